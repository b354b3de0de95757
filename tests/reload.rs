//! Certificates, keys and tokens that are replaced while clients are connected.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures::{StreamExt, stream};
use rcgen::{CertificateParams, KeyPair};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use signalcast::certs::make_development;
use tokio::time::timeout;
use tokio_tungstenite::MaybeTlsStream;

mod common;

use common::jwt::{claims, now, token};
use common::{Folder, PATIENCE, TestClient, TestServer, patiently, upgrade_request, wire};

/// A certificate for localhost, its key, and the authority it is of.
struct Pair(tempfile::TempDir);

impl Pair {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        make_development(dir.path(), SystemTime::now()).unwrap();
        Self(dir)
    }

    fn leaf(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.0.path().join("server.pem")).unwrap()
    }

    /// Puts one of its files in the place of the server's, as `cp` does.
    fn copy(&self, name: &str, folder: &Folder) {
        fs::copy(self.0.path().join(name), folder.path("certs").join(name)).unwrap();
    }

    fn copy_all(&self, folder: &Folder) {
        for name in ["ca.pem", "server.pem", "server.key"] {
            self.copy(name, folder);
        }
    }
}

/// The certificate that a new connection is shown.
async fn shown(server: &TestServer) -> CertificateDer<'static> {
    let MaybeTlsStream::Rustls(stream) = server.connect().await else {
        panic!("not encrypted");
    };
    let (_, tls) = stream.get_ref();
    tls.peer_certificates().unwrap()[0].clone().into_owned()
}

fn times(server: &TestServer, text: &str) -> usize {
    server.log().matches(text).count()
}

/// Waits until the server has logged this so often.
async fn logged(server: &TestServer, text: &str, count: usize) {
    let mut pause = tokio::time::interval(Duration::from_millis(5));
    let seen = async {
        while times(server, text) < count {
            pause.tick().await;
        }
    };
    if timeout(PATIENCE, seen).await.is_err() {
        panic!("{text:?} not {count} times:\n{}", server.log());
    }
    assert_eq!(times(server, text), count, "{text:?}:\n{}", server.log());
}

fn secret(folder: &Folder, name: &str, text: &str) {
    let path = folder.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // In place of the old one at one stroke.
    let draft = path.with_extension("draft");
    fs::write(&draft, text).unwrap();
    fs::set_permissions(&draft, Permissions::from_mode(0o600)).unwrap();
    fs::rename(draft, path).unwrap();
}

/// The status of an upgrade with this token.
async fn status(server: &TestServer, token: &str) -> u16 {
    let request = upgrade_request("/", &format!("Authorization: Bearer {token}\r\n"));
    let (_, answer) = server.open(request.as_bytes()).await;
    answer.status
}

const ONE: &str = "one secret of at least thirty-two bytes";
const OTHER: &str = "another secret of at least 32 bytes...";
const NEW: &str = "a new secret in place of the first one";

/// Connects so many clients that may stay.
async fn crowd(server: &TestServer, count: usize, token: &str) -> Vec<TestClient> {
    let connecting = (0..count).map(|_| server.client_at("/", token));
    let mut clients = Vec::with_capacity(count);
    let mut connected = stream::iter(connecting).buffer_unordered(32);
    while let Some(client) = connected.next().await {
        clients.push(client.unwrap());
    }
    clients
}

/// Each of them gets the next signal, and nothing came before it.
async fn all_get_the_next(server: &mut TestServer, clients: &mut [TestClient], price: &str) {
    server.feed(&format!("buy BTCUSDT {price} 1720000000\n"));
    let expected = wire("buy", "BTCUSDT", price, 1_720_000_000);
    for client in clients {
        assert_eq!(client.text().await, expected);
    }
}

#[tokio::test]
async fn a_thousand_clients_stay_while_certificate_keys_and_tokens_are_replaced() {
    let files = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: files.maximum,
        ..files
    };
    setrlimit(Resource::Nofile, most).unwrap();
    let folder = Arc::new(Folder::new());
    secret(&folder, "certs/one.key", ONE);
    secret(&folder, "certs/other.key", OTHER);
    let mut server = TestServer::start_in(
        Arc::clone(&folder),
        "--jwt-key certs/one.key --jwt-key certs/other.key --log warn,signalcast::reload=info",
    );
    let mut clients = crowd(&server, 1000, &token(&claims(), OTHER)).await;
    all_get_the_next(&mut server, &mut clients, "1.00").await;
    let first = shown(&server).await;

    let second = Pair::new();
    second.copy_all(&folder);
    logged(&server, "certificate reloaded", 1).await;
    assert_eq!(shown(&server).await, second.leaf());
    assert_ne!(first, second.leaf());

    secret(&folder, "certs/one.key", NEW);
    logged(&server, "keys reloaded", 1).await;
    assert_eq!(status(&server, &token(&claims(), ONE)).await, 401);
    assert_eq!(status(&server, &token(&claims(), NEW)).await, 101);
    assert_eq!(status(&server, &token(&claims(), OTHER)).await, 101);

    let mallory = json!({"sub": "mallory", "exp": now() + 3600, "scope": "signals:read"});
    let mallory = token(&mallory, OTHER);
    assert_eq!(status(&server, &mallory).await, 101);
    secret(
        &folder,
        "certs/tokens.toml",
        "[[revoked]]\nsub = \"mallory\"\nat = 2100-01-01T00:00:00Z\n",
    );
    logged(&server, "tokens reloaded", 1).await;
    assert_eq!(status(&server, &mallory).await, 401);
    all_get_the_next(&mut server, &mut clients, "2.00").await;

    // Broken, it is said once, however often it is looked at meanwhile.
    let kept =
        "old certificate kept: server.tls_cert: certs/server.pem: holds no PEM certificate; ";
    fs::write(folder.path("certs/server.pem"), "broken").unwrap();
    logged(&server, kept, 1).await;
    for (round, key) in [ONE, NEW, ONE].into_iter().enumerate() {
        secret(&folder, "certs/one.key", key);
        logged(&server, "keys reloaded", 2 + round).await;
    }
    logged(&server, kept, 1).await;
    assert_eq!(shown(&server).await, second.leaf());
    second.copy("server.pem", &folder);
    logged(&server, "certificate fine again", 1).await;
    all_get_the_next(&mut server, &mut clients, "3.00").await;

    drop(clients);
    let log = server.stop();
    assert_eq!(log.matches("ERROR").count(), 1, "{log}");
}

#[tokio::test]
async fn a_hangup_reloads_at_once_and_says_what_it_did() {
    let mut server = TestServer::start("");
    let mut clients = [server.client().await];
    server.signal(Signal::HUP);
    for what in ["certificate", "keys", "tokens"] {
        logged(&server, &format!("{what} unchanged"), 1).await;
    }

    // A pair that does not match is no time to wait for who asks.
    let second = Pair::new();
    second.copy("server.key", &server.folder);
    server.signal(Signal::HUP);
    let mismatch = "old certificate kept: server.tls_key: certs/server.key: does not belong to the first certificate in certs/server.pem; ";
    logged(&server, mismatch, 1).await;
    server.signal(Signal::HUP);
    logged(&server, mismatch, 2).await;
    second.copy_all(&server.folder);
    server.signal(Signal::HUP);
    logged(&server, "certificate reloaded", 1).await;
    assert_eq!(shown(&server).await, second.leaf());

    let key = server.folder.read("certs/jwt.key");
    let path = server.folder.path("certs/jwt.key");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    server.signal(Signal::HUP);
    let open = "old keys kept: auth.jwt_key: certs/jwt.key: others may read it (mode 0644); run chmod 600 certs/jwt.key";
    logged(&server, open, 1).await;
    fs::remove_file(&path).unwrap();
    server.signal(Signal::HUP);
    logged(&server, "certs/jwt.key: there is no such file; ", 1).await;
    assert!(!path.exists(), "keys are never made on the way");
    assert_eq!(
        status(&server, &token(&claims(), key.trim_end())).await,
        101
    );

    all_get_the_next(&mut server, &mut clients, "1.00").await;
    drop(clients);
    server.stop();
}

#[tokio::test]
async fn a_pair_that_does_not_match_for_a_moment_is_no_trouble() {
    let server = TestServer::start("");
    for round in 1..=3 {
        let pair = Pair::new();
        pair.copy("ca.pem", &server.folder);
        let since = Instant::now();
        pair.copy("server.key", &server.folder);
        // Other news shows that the server has looked meanwhile.
        secret(&server.folder, "certs/jwt.key", &OTHER.repeat(1 + round));
        logged(&server, "keys reloaded", round).await;
        let errors = times(&server, "ERROR");
        // Unless the machine is so busy that the moment became a long one.
        assert!(errors == 0 || since.elapsed() > Duration::from_secs(1));
        pair.copy("server.pem", &server.folder);
        logged(&server, "certificate reloaded", round).await;
        assert_eq!(shown(&server).await, pair.leaf());
    }
    server.stop();
}

#[tokio::test]
async fn links_that_are_turned_to_another_pair_are_followed() {
    let folder = Arc::new(Folder::new());
    let pairs = [Pair::new(), Pair::new(), Pair::new()];
    fs::create_dir_all(folder.path("certs")).unwrap();
    fs::create_dir_all(folder.path("archive")).unwrap();
    for (number, pair) in pairs.iter().enumerate() {
        for name in ["server.pem", "server.key"] {
            let place = folder.path(format!("archive/{number}"));
            fs::create_dir_all(&place).unwrap();
            fs::copy(pair.0.path().join(name), place.join(name)).unwrap();
        }
    }
    let point = |link: &str, target: &str| {
        let draft = folder.path("certs/draft");
        symlink(target, &draft).unwrap();
        fs::rename(draft, folder.path(link)).unwrap();
    };
    // As Kubernetes mounts secrets: the names lead through one link, which is turned.
    point("certs/..data", "../archive/0");
    point("certs/server.pem", "..data/server.pem");
    point("certs/server.key", "..data/server.key");
    pairs[0].copy("ca.pem", &folder);
    let server = TestServer::start_in(Arc::clone(&folder), "");
    assert_eq!(shown(&server).await, pairs[0].leaf());
    pairs[1].copy("ca.pem", &folder);
    point("certs/..data", "../archive/1");
    logged(&server, "certificate reloaded", 1).await;
    assert_eq!(shown(&server).await, pairs[1].leaf());

    // As certbot does it: each name is a link of its own.
    pairs[2].copy("ca.pem", &folder);
    point("certs/server.pem", "../archive/2/server.pem");
    point("certs/server.key", "../archive/2/server.key");
    logged(&server, "certificate reloaded", 2).await;
    assert_eq!(shown(&server).await, pairs[2].leaf());
    let log = server.stop();
    assert!(!log.contains("ERROR"), "{log}");
}

#[tokio::test]
async fn a_file_of_revocations_that_is_gone_gives_nothing_back() {
    let folder = Arc::new(Folder::new());
    let revocation = "[[revoked]]\nsub = \"bot-1\"\nat = 2100-01-01T00:00:00Z\n";
    secret(&folder, "certs/tokens.toml", revocation);
    let server = TestServer::start_in(Arc::clone(&folder), "");
    let revoked = server.mint(&claims());
    assert_eq!(status(&server, &revoked).await, 401);

    fs::remove_file(folder.path("certs/tokens.toml")).unwrap();
    let gone = "old tokens kept: auth.tokens: certs/tokens.toml: there is no such file any more; ";
    logged(&server, gone, 1).await;
    assert_eq!(status(&server, &revoked).await, 401);
    secret(&folder, "certs/tokens.toml", "");
    logged(&server, "tokens reloaded", 1).await;
    assert_eq!(status(&server, &revoked).await, 101);
    server.stop();
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_told_of_at_the_start() {
    let folder = Arc::new(Folder::new());
    let key = KeyPair::generate().unwrap();
    for (days, warned) in [(13, 1), (15, 0)] {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let now = SystemTime::now();
        params.not_before = (now - Duration::from_secs(60 * 86_400)).into();
        params.not_after = (now + Duration::from_secs(days * 86_400)).into();
        let cert = params.self_signed(&key).unwrap().pem();
        secret(&folder, "certs/server.pem", &cert);
        secret(&folder, "certs/server.key", &key.serialize_pem());
        let server = TestServer::start_in(Arc::clone(&folder), "");
        server.signal(Signal::HUP);
        patiently("answer", logged(&server, "certificate unchanged", 1)).await;
        let log = server.stop();
        assert_eq!(
            log.matches("expires soon; renew it").count(),
            warned,
            "{log}"
        );
    }
}
