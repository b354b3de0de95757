use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys, ServerConfig, version};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::development::DEVELOPMENT_CA;
use crate::key_file::{KeyFile, UnusableFile};

/// A certificate chain and the key that belongs to it, good at the time it was loaded.
#[derive(Clone, Debug)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    facts: Facts,
    warnings: Vec<String>,
}

/// What the leaf says about itself.
#[derive(Clone, Debug)]
struct Facts {
    development: bool,
    not_before: SystemTime,
    not_after: SystemTime,
    names_hosts: bool,
}

/// Reads a certificate chain, the server's own first, and its key, both PEM.
///
/// # Errors
/// All that is wrong at once: files that cannot be read, a key that others may read, a certificate
/// that is expired or not valid yet, two that don't belong together.
pub fn load(cert: &Path, key: &Path, now: SystemTime) -> Result<Identity, Vec<UnusableFile>> {
    let mut wrong = Vec::new();
    let mut warnings = Vec::new();
    let mut keep = |error: UnusableFile| wrong.push(error);

    let chain = read_chain(cert).map_err(&mut keep).ok();
    let key_file = KeyFile::read(key, IF_MISSING).map_err(&mut keep).ok();
    if let Some((_, facts)) = &chain {
        facts.check_time(cert, now).unwrap_or_else(&mut keep);
        warnings.extend(facts.doubt(cert));
    }
    let private = key_file.and_then(|file| {
        warnings.extend(file.check_secrecy().map_err(&mut keep).ok().flatten());
        read_private(key, &file.bytes).map_err(&mut keep).ok()
    });
    let pair = chain.zip(private).and_then(|((chain, facts), private)| {
        let pair = CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider());
        let pair = pair.map_err(|error| keep(mismatch(cert, key, &error)));
        Some((pair.ok()?, facts))
    });

    match pair {
        Some((certified, facts)) if wrong.is_empty() => Ok(Identity {
            certified: Arc::new(certified),
            facts,
            warnings,
        }),
        _ => Err(wrong),
    }
}

impl Identity {
    /// Whether it was made by [`make_development`](super::make_development): for one's own
    /// machine only, as nobody elsewhere trusts it.
    pub fn is_development(&self) -> bool {
        self.facts.development
    }

    /// The last moment at which clients take it.
    pub fn expires_at(&self) -> SystemTime {
        self.facts.not_after
    }

    /// What an operator should know, a line each: a key that a group may read, no host named.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// TLS 1.2 and 1.3 for HTTP/1.1, without client certificates.
    pub fn server_config(&self) -> ServerConfig {
        let mut config = ServerConfig::builder_with_provider(provider().into())
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .expect("this provider has cipher suites for both")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::clone(
                &self.certified,
            ))));
        // Bots connect once and stay, and their libraries never resume: two tickets and a shared
        // cache entry for each handshake would be for nobody.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // A WebSocket is upgraded from HTTP/1.1.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }
}

/// The usual one, X25519 first: the cheapest handshake that every client can do.
fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    let x25519 = aws_lc_rs::kx_group::X25519.name();
    provider
        .kx_groups
        .sort_by_key(|group| group.name() != x25519);
    provider
}

type Chain = Vec<CertificateDer<'static>>;

fn read_chain(path: &Path) -> Result<(Chain, Facts), UnusableFile> {
    let file = KeyFile::read(path, IF_MISSING)?;
    let chain: Result<Chain, _> = CertificateDer::pem_slice_iter(&file.bytes).collect();
    let chain = chain.map_err(|_| UnusableFile::new(path, "is damaged PEM", EXPORT_AGAIN))?;
    let leaf = chain.first().ok_or_else(|| {
        UnusableFile::new(
            path,
            "holds no PEM certificate",
            "convert it with openssl x509 -inform DER, or name another",
        )
    })?;
    let facts = Facts::of(path, leaf)?;
    Ok((chain, facts))
}

fn read_private(path: &Path, file: &[u8]) -> Result<PrivateKeyDer<'static>, UnusableFile> {
    PrivateKeyDer::from_pem_slice(file).map_err(|error| {
        let encrypted = memchr::memmem::find(file, b"ENCRYPTED").is_some();
        match error {
            pem::Error::NoItemsFound if encrypted => UnusableFile::new(
                path,
                "is locked with a passphrase",
                format!(
                    "unlock it with openssl pkey -in {} -out NEW",
                    path.display()
                ),
            ),
            pem::Error::NoItemsFound => UnusableFile::new(
                path,
                "holds no PEM private key",
                "convert it with openssl pkey -inform DER, or name another",
            ),
            _ => UnusableFile::new(path, "is damaged PEM", EXPORT_AGAIN),
        }
    })
}

fn mismatch(cert: &Path, key: &Path, error: &Error) -> UnusableFile {
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => UnusableFile::new(
            key,
            format!(
                "does not belong to the first certificate in {}",
                cert.display()
            ),
            "name the pair that was made together, the server's own certificate first",
        ),
        Error::InvalidCertificate(_) => {
            UnusableFile::new(cert, format!("cannot be served: {error}"), MAKE_ANOTHER)
        }
        _ => UnusableFile::new(
            key,
            "is no key that TLS can use",
            "take an ECDSA P-256 key, or RSA of at least 2048 bits",
        ),
    }
}

impl Facts {
    fn of(path: &Path, leaf: &CertificateDer<'_>) -> Result<Self, UnusableFile> {
        let (_, leaf) = X509Certificate::from_der(leaf)
            .map_err(|_| UnusableFile::new(path, "holds a damaged certificate", EXPORT_AGAIN))?;
        let mut issuers = leaf.issuer().iter_common_name();
        let validity = leaf.validity();
        Ok(Self {
            development: issuers.any(|name| name.as_str() == Ok(DEVELOPMENT_CA)),
            not_before: at(validity.not_before.timestamp()),
            not_after: at(validity.not_after.timestamp()),
            names_hosts: matches!(leaf.subject_alternative_name(), Ok(Some(_))),
        })
    }

    fn check_time(&self, path: &Path, now: SystemTime) -> Result<(), UnusableFile> {
        if now > self.not_after {
            let remedy = if self.development {
                "remove it, its key and its ca.pem to have new ones made"
            } else {
                "renew it"
            };
            let reason = format!("expired at {}", shown(self.not_after));
            return Err(UnusableFile::new(path, reason, remedy));
        }
        if now < self.not_before {
            let reason = format!("is not valid before {}", shown(self.not_before));
            return Err(UnusableFile::new(path, reason, "set the clock, or wait"));
        }
        Ok(())
    }

    /// What clients may object to.
    fn doubt(&self, path: &Path) -> Option<String> {
        (!self.names_hosts).then(|| {
            format!(
                "{}: names no host (subjectAltName), so clients will refuse it; {MAKE_ANOTHER}",
                path.display()
            )
        })
    }
}

fn at(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        UNIX_EPOCH - distance
    } else {
        UNIX_EPOCH + distance
    }
}

fn shown(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| "an unknown time".to_owned(), |time| time.to_string())
}

const IF_MISSING: &str = "name yours with --tls-cert and --tls-key, or neither, to have one made";
const EXPORT_AGAIN: &str = "export it again from where it came";
const MAKE_ANOTHER: &str = "get another from where it came, or remove the folder's three files \
     to have a development certificate made";

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::io;
    use std::os::unix::fs::PermissionsExt as _;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use rustls::pki_types::ServerName;
    use rustls::{
        ClientConfig, ClientConnection, HandshakeKind, NamedGroup, ProtocolVersion, RootCertStore,
        ServerConnection,
    };

    use super::*;
    use crate::certs::make_development;

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
            over.ends_with("; remove it, its key and its ca.pem to have new ones made"),
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
        let server = Arc::new(identity.server_config());
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
}
