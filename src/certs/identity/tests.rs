use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, NamedGroup, ProtocolVersion, RootCertStore,
    ServerConfig, ServerConnection, version,
};

use super::*;
use crate::certs::shown::provider;
use crate::certs::{Shown, make_development};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Loads these two texts as files `c` and `k`; errors without their folder.
fn load_texts(cert: &str, key: &str, mode: u32) -> Result<Identity, Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    let (cert_path, key_path) = (dir.path().join("c"), dir.path().join("k"));
    for (path, text) in [(&cert_path, cert), (&key_path, key)] {
        if !text.is_empty() {
            fs::write(path, text).unwrap();
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
    }
    let folder = format!("{}/", dir.path().display());
    load(&cert_path, &key_path, SystemTime::now()).map_err(|errors| {
        errors
            .iter()
            .map(|e| e.to_string().replace(&folder, ""))
            .collect()
    })
}

/// A certificate for localhost, good in these years, and its key.
fn made(years: (i32, i32), hosts: &[&str]) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[test]
fn what_is_wrong_is_told_all_at_once_with_the_remedy() {
    let (cert, key) = made((2020, 2200), &["localhost"]);
    let (other, _) = made((2020, 2200), &["localhost"]);
    let (expired, expired_key) = made((2020, 2021), &["localhost"]);
    let (future, future_key) = made((2199, 2200), &["localhost"]);
    let broken = cert.replace("-----END", "*-----END");
    let not_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let bad_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let locked =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (cert, key, mode, expected) in [
        (cert.as_str(), key.as_str(), 0o600, &[][..]),
        (
            "",
            "",
            0o600,
            &[
                "c: there is no such file; name yours with --tls-cert and --tls-key",
                "k: there is no such file; name yours",
            ],
        ),
        (
            &cert,
            &key,
            0o644,
            &["k: others may read it (mode 0644); run chmod 600 k"],
        ),
        (
            &expired,
            &key,
            0o604,
            &[
                "c: expired at 2021-01-01T00:00:00Z; renew it",
                "k: others may read it",
                "k: does not belong to the first certificate in c; name the pair",
            ],
        ),
        (
            &expired,
            &expired_key,
            0o600,
            &["c: expired at 2021-01-01T00:00:00Z; renew it"],
        ),
        (
            &future,
            &future_key,
            0o600,
            &["c: is not valid before 2199-01-01T00:00:00Z; set the clock"],
        ),
        (
            &other,
            &key,
            0o600,
            &["k: does not belong to the first certificate in c; name the pair"],
        ),
        (
            &key,
            &cert,
            0o600,
            &[
                "c: holds no PEM certificate; ",
                "k: holds no PEM private key; ",
            ],
        ),
        (&broken, &key, 0o600, &["c: is damaged PEM; "]),
        (not_der, &key, 0o600, &["c: holds a damaged certificate; "]),
        (
            &cert,
            bad_key,
            0o600,
            &["k: is no key that TLS can use; take an ECDSA P-256 key"],
        ),
        (
            &cert,
            locked,
            0o600,
            &["k: is locked with a passphrase; unlock it with openssl pkey -in k "],
        ),
    ] {
        let wrong = load_texts(cert, key, mode).err().unwrap_or_default();
        assert_eq!(wrong.len(), expected.len(), "{wrong:?}");
        for (found, expected) in wrong.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
    }
}

#[test]
fn what_is_only_doubtful_is_a_warning() {
    let (cert, key) = made((2020, 2200), &["localhost"]);
    let identity = load_texts(&cert, &key, 0o640).unwrap();
    assert!(!identity.is_development());
    assert!(identity.warnings()[0].contains("its group may read it (mode 0640)"));
    assert!(
        load_texts(&cert, &key, 0o600)
            .unwrap()
            .warnings()
            .is_empty()
    );
    let (nameless, key) = made((2020, 2200), &[]);
    let identity = load_texts(&nameless, &key, 0o600).unwrap();
    assert!(identity.warnings()[0].contains("names no host"));
}

#[test]
fn a_chain_and_other_words_around_the_pem_are_fine() {
    let (cert, key) = made((2020, 2200), &["localhost"]);
    let (other, _) = made((2020, 2200), &["localhost"]);
    let chain = format!("subject=x\n{cert}\n{other}");
    let identity = load_texts(&chain.replace('\n', "\r\n"), &key, 0o600).unwrap();
    assert_eq!(identity.certified.cert.len(), 2);
}

#[test]
fn the_development_certificate_is_good_for_some_two_years_and_says_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    make_development(dir.path(), now).unwrap();
    let path = |name| dir.path().join(name);
    let at = |time| load(&path("server.pem"), &path("server.key"), time);
    for time in [now, now - DAY / 2, now + 800 * DAY] {
        assert!(at(time).unwrap().is_development());
    }
    assert!(
        at(now - 2 * DAY).unwrap_err()[0]
            .to_string()
            .contains("is not valid before")
    );
    let over = at(now + 824 * DAY).unwrap_err()[0].to_string();
    assert!(
        over.ends_with(" or remove it, its key and its ca.pem to have new ones made"),
        "{over}"
    );
}

/// A handshake in memory, until both sides have nothing more to say.
fn shake_hands(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    host: &str,
) -> Result<(ClientConnection, ServerConnection), Error> {
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut client = ClientConnection::new(client, name)?;
    let mut server = ServerConnection::new(server)?;
    while client.wants_write() || server.wants_write() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        server.read_tls(&mut io::Cursor::new(wire)).unwrap();
        server.process_new_packets()?;
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        client.read_tls(&mut io::Cursor::new(wire)).unwrap();
        client.process_new_packets()?;
    }
    Ok((client, server))
}

fn client(ca: &Path, provider: CryptoProvider, alpn: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(ca).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config.into()
}

#[test]
fn a_client_that_trusts_the_ca_gets_through_under_all_three_names() {
    let dir = tempfile::tempdir().unwrap();
    make_development(dir.path(), SystemTime::now()).unwrap();
    let path = |name| dir.path().join(name);
    let identity = load(&path("server.pem"), &path("server.key"), SystemTime::now()).unwrap();
    let server = Arc::new(Shown::new(&identity).server_config());
    let usual = client(
        &path("ca.pem"),
        aws_lc_rs::default_provider(),
        &["http/1.1"],
    );

    for host in ["localhost", "127.0.0.1", "::1"] {
        for _ in 0..2 {
            let (client, served) = shake_hands(usual.clone(), server.clone(), host).unwrap();
            assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
            assert_eq!(client.alpn_protocol(), Some(&b"http/1.1"[..]));
            // The second time too: nothing to resume, and no retry for another group.
            assert_eq!(served.handshake_kind(), Some(HandshakeKind::Full));
            let group = served.negotiated_key_exchange_group().unwrap().name();
            assert_eq!(group, NamedGroup::X25519);
            assert_eq!(client.tls13_tickets_received(), 0);
        }
    }
    for host in ["example.org", "127.0.0.2"] {
        assert!(shake_hands(usual.clone(), server.clone(), host).is_err());
    }

    let mut old = aws_lc_rs::default_provider();
    old.cipher_suites.retain(|suite| suite.tls13().is_none());
    old.kx_groups
        .retain(|group| group.name() == NamedGroup::secp384r1);
    let config = client_of_tls12(&path("ca.pem"), old);
    let (client_side, _) = shake_hands(config, server.clone(), "localhost").unwrap();
    assert_eq!(
        client_side.protocol_version(),
        Some(ProtocolVersion::TLSv1_2)
    );

    let http2 = client(&path("ca.pem"), aws_lc_rs::default_provider(), &["h2"]);
    assert!(shake_hands(http2, server, "localhost").is_err());
}

#[test]
fn a_new_certificate_is_shown_from_the_next_handshake_on() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [first, second] = dirs.each_ref().map(|dir| {
        make_development(dir.path(), SystemTime::now()).unwrap();
        let path = |name| dir.path().join(name);
        load(&path("server.pem"), &path("server.key"), SystemTime::now()).unwrap()
    });
    assert!(first == first.clone() && first != second);
    let shown = Shown::new(&first);
    let server = Arc::new(shown.server_config());
    let usual = |dir: usize| {
        let ca = dirs[dir].path().join("ca.pem");
        client(&ca, aws_lc_rs::default_provider(), &["http/1.1"])
    };
    assert!(shake_hands(usual(0), server.clone(), "localhost").is_ok());
    shown.replace(&second);
    assert!(shake_hands(usual(0), server.clone(), "localhost").is_err());
    assert!(shake_hands(usual(1), server, "localhost").is_ok());
}

fn client_of_tls12(ca: &Path, provider: CryptoProvider) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(ca).unwrap())
        .unwrap();
    ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
        .into()
}

#[test]
fn x25519_comes_first_and_the_other_groups_stay() {
    let ours: Vec<_> = provider()
        .kx_groups
        .iter()
        .map(|group| group.name())
        .collect();
    assert_eq!(ours[0], NamedGroup::X25519);
    let usual = aws_lc_rs::default_provider().kx_groups;
    assert_eq!(ours.len(), usual.len());
    assert!(usual.iter().all(|group| ours.contains(&group.name())));
}
