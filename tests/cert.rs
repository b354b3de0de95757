//! `signalcast cert`: a certificate for the names that clients use.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::MaybeTlsStream;

mod common;

use common::{Folder, TestServer, patiently, text, wire};

fn made(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout)
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "");
    text(&output.stderr)
}

const FILES: [&str; 3] = ["certs/ca.pem", "certs/server.pem", "certs/server.key"];

fn contents(folder: &Folder) -> [String; 3] {
    FILES.map(|name| folder.read(name))
}

fn assert_modes(folder: &Folder) {
    let mode = |name| {
        fs::metadata(folder.path(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777
    };
    assert_eq!(FILES.map(mode), [0o644, 0o644, 0o600]);
}

/// Whether a client that trusts the folder's `ca.pem`, and nothing else, takes the server for
/// this host.
async fn is_trusted(server: &TestServer, host: &str) -> bool {
    let mut roots = RootCertStore::empty();
    let ca = server.folder.path("certs/ca.pem");
    roots
        .add(CertificateDer::from_pem_file(ca).unwrap())
        .unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    patiently("TLS handshake", connecting).await.is_ok()
}

#[tokio::test]
async fn clients_that_trust_its_authority_reach_the_server_under_each_name() {
    let folder = Arc::new(Folder::new());
    let output = folder.run(
        "cert --host bot.example.org --host *.bots.example.org --host 10.0.0.5 --host ::1 --host BOT.example.org",
    );
    let said = made(&output);
    let (first, rest) = said.split_once(", good until ").unwrap();
    assert_eq!(
        first,
        "certificate  certs/server.pem for bot.example.org, *.bots.example.org, 10.0.0.5, ::1"
    );
    let (until, rest) = rest.split_once('\n').unwrap();
    let until: jiff::Timestamp = until.parse().unwrap();
    let days = until.duration_since(jiff::Timestamp::now()).as_hours() / 24;
    assert!((820..=825).contains(&days), "{days}");
    assert_eq!(
        rest,
        "key          certs/server.key\n\
         authority    certs/ca.pem: give it to clients, for they trust the certificate by it; its own key is thrown away\n\
         A server that runs with these files takes them by itself.\n"
    );
    assert_modes(&folder);
    assert_eq!(fs::read_dir(folder.path("certs")).unwrap().count(), 3);

    let server = TestServer::start_in(folder, "");
    for (host, trusted) in [
        ("bot.example.org", true),
        ("eth.bots.example.org", true),
        ("10.0.0.5", true),
        ("::1", true),
        ("bots.example.org", false),
        ("a.b.bots.example.org", false),
        ("localhost", false),
        ("10.0.0.6", false),
    ] {
        assert_eq!(is_trusted(&server, host).await, trusted, "{host}");
    }
    server.stop();
}

#[tokio::test]
async fn a_running_server_goes_over_from_the_development_certificate_without_dropping_anybody() {
    let mut server = TestServer::start("");
    let mut client = server.client().await;
    let folder = Arc::clone(&server.folder);
    let development = contents(&folder);
    made(&folder.run("cert --host localhost --host bot.example.org"));
    let new = contents(&folder);
    assert!(development.iter().zip(&new).all(|(old, new)| old != new));
    assert_modes(&folder);
    server.logged("certificate reloaded").await;
    assert!(is_trusted(&server, "bot.example.org").await);
    assert!(matches!(server.connect().await, MaybeTlsStream::Rustls(_)));

    server.feed("buy BTCUSDT 1.00 1720000000\n");
    let expected = wire("buy", "BTCUSDT", "1.00", 1_720_000_000);
    assert_eq!(client.text().await, expected);
    drop(client);
    let log = server.stop();
    assert!(!log.contains("ERROR"), "{log}");
}

#[test]
fn the_certificate_is_good_on_a_network_where_the_one_for_development_is_not() {
    let folder = Folder::new();
    made(&folder.run("cert --host bot.example.org"));
    // Refused for this alone, before anything is bound: the certificate is not mentioned.
    let said = refused(&folder.run("serve --listen 0.0.0.0:0 --source stdin --source stdin"));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("stdin is there twice"), "{said}");
}

#[test]
fn what_somebody_else_made_is_replaced_only_with_force() {
    let folder = Folder::new();
    made(&folder.run("cert --host one.example.org"));
    let first = contents(&folder);
    let said = refused(&folder.run("cert --host other.example.org"));
    assert_eq!(
        said,
        "signalcast: server.tls_cert: certs/server.pem: is there, and no development certificate; \
         replace it with --force, or name other files with --tls-cert and --tls-key\n"
    );
    assert_eq!(contents(&folder), first);
    fs::set_permissions(folder.path(FILES[2]), fs::Permissions::from_mode(0o644)).unwrap();
    made(&folder.run("cert --host other.example.org --force"));
    assert_ne!(contents(&folder), first);
    assert_modes(&folder);

    // Each part of somebody's own counts.
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let own = params.self_signed(&key).unwrap().pem();
    for (name, content, reason) in [
        (
            "server.pem",
            own.as_str(),
            "is there, and no development certificate",
        ),
        (
            "server.pem",
            "damaged",
            "is there, and no development certificate",
        ),
        (
            "ca.pem",
            &own,
            "is there, and of no development certificate",
        ),
        (
            "server.key",
            &key.serialize_pem(),
            "server.pem: is there, and no development certificate",
        ),
    ] {
        let folder = Folder::new();
        assert!(
            folder
                .run("serve --listen 127.0.0.1:0 --source stdin --exit-on-eof")
                .status
                .success()
        );
        fs::write(folder.path("certs").join(name), content).unwrap();
        let before = contents(&folder);
        let said = refused(&folder.run("cert --host other.example.org"));
        assert!(said.contains(reason), "{said}");
        assert_eq!(contents(&folder), before);
        made(&folder.run("cert --host other.example.org --force"));
    }
    let folder = Folder::new();
    folder.append("certs/server.key", &key.serialize_pem());
    let said = refused(&folder.run("cert --host other.example.org"));
    assert!(
        said.contains("server.tls_key: certs/server.key: is there, and its certificate is not; "),
        "{said}"
    );
}

#[test]
fn other_files_can_be_named() {
    let folder = Folder::new();
    folder.append(
        "signalcast.toml",
        "server.tls_cert = \"etc/bot.pem\"\nserver.tls_key = \"private/bot.key\"\n",
    );
    let said = made(&folder.run("cert --host bot.example.org"));
    assert!(said.contains("authority    etc/ca.pem: "), "{said}");
    for name in ["etc/ca.pem", "etc/bot.pem", "private/bot.key"] {
        assert!(folder.path(name).exists(), "{name}");
    }
    let said = refused(&folder.run("cert --host bot.example.org --tls-cert etc/ca.pem"));
    assert!(
        said.contains("etc/ca.pem: is a name for two of the certificate, its key and its ca.pem; "),
        "{said}"
    );
    let said = refused(
        &folder.run("cert --host bot.example.org --tls-cert /proc/bot.pem --tls-key /proc/bot.key"),
    );
    assert!(said.contains("/proc/ca.pem: cannot be made: "), "{said}");
}

#[test]
fn names_that_are_none_are_refused_all_at_once() {
    let folder = Folder::new();
    let output = folder.run(
        "cert --host wss://bot.example.org --host bot.example.org:8443 --host [::1] --host 0.0.0.0 \
         --host 10.0.0.256 --host bücher.example --host *.org --host bot..example --host a,b --frce",
    );
    insta::assert_snapshot!(refused(&output));
    insta::assert_snapshot!(refused(&folder.run("cert")), @"signalcast: --host: is missing; say what clients call the server, as in --host bot.example.org --host 10.0.0.5");
    assert!(!folder.path("certs").exists());
}
