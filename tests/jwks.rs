//! The issuer's public keys as a JSON Web Key Set: from a file, and from an https URL that is
//! slow, wrong or gone.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::issuer::{Answer, Issuer, Proxy, Signer};
use common::jwt::{claims, sign};
use common::{Folder, PATIENCE, TestServer, patiently, upgrade_request, wire};
use futures::future::join_all;
use jsonwebtoken::Algorithm::*;
use jsonwebtoken::EncodingKey;
use serde_json::{Value, json};

/// What a server says at a token that no key it knows has signed.
const UNKNOWN: &str = "the token is signed by a key that this server does not know";

/// A server that trusts the keys of this issuer.
fn serve(folder: &Arc<Folder>, issuer: &Issuer, arguments: &str) -> TestServer {
    serve_from(folder, issuer, &issuer.url(), arguments)
}

fn serve_from(folder: &Arc<Folder>, issuer: &Issuer, url: &str, arguments: &str) -> TestServer {
    let mut command = folder.command(&format!(
        "serve --listen 127.0.0.1:0 --source stdin --auth-jwks {url} --auth-failed-tries-per-minute 0 {arguments}",
    ));
    issuer.make_trusted(&mut command);
    TestServer::start_command(Arc::clone(folder), command)
}

fn folder() -> Arc<Folder> {
    Arc::new(Folder::new())
}

/// 101, or the `error_description` of the refusal.
async fn try_token(server: &TestServer, token: &str) -> String {
    let header = format!("Authorization: Bearer {token}\r\n");
    let request = upgrade_request("/", &header);
    let (_stream, answer) = server.open(request.as_bytes()).await;
    if answer.status == 101 {
        return "101".to_owned();
    }
    assert_eq!(answer.status, 401, "{answer:?}");
    let challenge = answer.header("www-authenticate").unwrap();
    let (_, description) = challenge.split_once("error_description=\"").unwrap();
    description.trim_end_matches('"').to_owned()
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

#[tokio::test]
async fn the_first_token_of_a_new_key_gets_in_after_one_look() {
    let (old, new) = (Signer::p256("old"), Signer::rsa("new"));
    let issuer = Issuer::start(Answer::keys(&[&old]));
    let server = serve(&folder(), &issuer, "");
    assert_eq!(try_token(&server, &old.token()).await, "101");
    issuer.now_answers(Answer::keys(&[&old, &new]));
    assert_eq!(try_token(&server, &new.token()).await, "101");
    assert_eq!(try_token(&server, &old.token()).await, "101");
    assert_eq!(issuer.requests(), 2);
}

#[tokio::test]
async fn made_up_names_of_keys_make_the_server_ask_once_in_a_while() {
    let signer = Signer::p256("known");
    let issuer = Issuer::start(Answer::keys(&[&signer]));
    let server = serve(&folder(), &issuer, "");
    server.logged("auth.jwks fetched").await;
    let begin = Instant::now();
    let strangers = (0..100).map(async |number: usize| {
        let stranger = Signer::p256(&format!("made-up-{number}"));
        try_token(&server, &stranger.token()).await
    });
    let known = async { try_token(&server, &signer.token()).await };
    let (answers, known) = tokio::join!(join_all(strangers), known);
    assert!(
        answers.iter().all(|answer| answer == UNKNOWN),
        "{answers:?}"
    );
    assert_eq!(known, "101");
    // One at the start, one for the first stranger, and one for each half minute after.
    let most = 2 + usize::try_from(begin.elapsed().as_secs() / 30).unwrap();
    assert!(
        (2..=most).contains(&issuer.requests()),
        "{}",
        issuer.requests()
    );
}

#[tokio::test]
async fn a_server_starts_without_the_issuer_and_lets_in_when_it_is_there() {
    let signer = Signer::ed25519("a");
    let mut issuer = Issuer::start(Answer::keys(&[&signer]));
    issuer.stop();
    let server = serve(&folder(), &issuer, "");
    server.logged("auth.jwks can't be fetched").await;
    assert_eq!(try_token(&server, &signer.token()).await, UNKNOWN);
    assert_eq!(try_token(&server, &server.token()).await, "101");
    issuer.restart();
    server.logged("auth.jwks can be fetched again").await;
    assert_eq!(try_token(&server, &signer.token()).await, "101");
    let log = server.stop();
    assert_eq!(count(&log, "auth.jwks can't be fetched"), 1, "{log}");
    assert!(log.contains("Connection refused"), "{log}");
}

#[tokio::test]
async fn known_keys_go_on_while_the_issuer_is_gone_also_after_a_restart() {
    let (known, new) = (Signer::p256("known"), Signer::p256("new"));
    let mut issuer = Issuer::start(Answer::keys(&[&known]));
    let folder = folder();
    let server = serve(&folder, &issuer, "");
    server.logged("auth.jwks fetched").await;
    issuer.stop();
    assert_eq!(try_token(&server, &new.token()).await, UNKNOWN);
    server.logged("auth.jwks can't be fetched").await;
    assert_eq!(try_token(&server, &known.token()).await, "101");
    server.stop();

    let server = serve(&folder, &issuer, "");
    server.logged("kept from an earlier run hold").await;
    server.logged("auth.jwks can't be fetched").await;
    assert_eq!(try_token(&server, &known.token()).await, "101");
    issuer.now_answers(Answer::keys(&[&known, &new]));
    issuer.restart();
    server.logged("auth.jwks can be fetched again").await;
    assert_eq!(try_token(&server, &new.token()).await, "101");
    server.stop();

    // Another issuer's name is no reason to trust the keys of this one.
    issuer.stop();
    let server = serve_from(&folder, &issuer, &issuer.url_of("/other.json"), "");
    server.logged("auth.jwks can't be fetched").await;
    assert_eq!(try_token(&server, &known.token()).await, UNKNOWN);
}

#[tokio::test]
async fn what_is_no_key_set_never_replaces_one() {
    let signer = Signer::p256("known");
    let issuer = Issuer::start(Answer::keys(&[&signer]));
    let folder = folder();
    let server = serve(&folder, &issuer, "");
    server.logged("auth.jwks fetched").await;
    server.stop();
    let kept = folder.read("data/jwks.json");
    let secret = json!({"keys": [{"kty": "oct", "kid": "s", "k": "AAAA"}]}).to_string();
    for (answer, why) in [
        (
            Answer::ok("<html>maintenance</html>"),
            "the answer is not a JSON object",
        ),
        (Answer::ok(""), "the answer is not a JSON object"),
        (
            Answer::ok(r#"{"keys":[]}"#),
            "the answer holds no key to check signatures with",
        ),
        (
            Answer::ok(r#"{"error":"later"}"#),
            "the answer has no list keys",
        ),
        (
            Answer::ok(&secret),
            "key \\\"s\\\" is left out: it is a secret (oct)",
        ),
        (Answer::ok(&" ".repeat(2 << 20)), "longer than 1024 KiB"),
        (
            Answer::raw("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
            "the answer is 503",
        ),
        (
            Answer::raw("HTTP/1.1 304 Not Modified\r\n\r\n"),
            "the answer is 304",
        ),
        (
            Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"),
            "breaks off",
        ),
        (Answer::raw("SSH-2.0-OpenSSH\r\n"), "no HTTP answer"),
        (
            Answer::redirect("http://localhost/jwks.json"),
            "redirects to what is no https URL",
        ),
        (
            Answer::redirect("/jwks.json"),
            "redirects more than 3 times",
        ),
    ] {
        issuer.now_answers(answer);
        let server = serve(&folder, &issuer, "");
        server.logged("auth.jwks can't be fetched").await;
        assert_eq!(try_token(&server, &signer.token()).await, "101");
        let log = server.stop();
        assert!(log.contains(why), "{why:?} is not in {log}");
        assert_eq!(folder.read("data/jwks.json"), kept);
    }
}

#[tokio::test]
async fn a_redirect_to_https_is_followed() {
    let signer = Signer::p256("a");
    let issuer = Issuer::start(Answer::keys(&[&signer]));
    let front = Issuer::start(Answer::redirect(&issuer.url()));
    let folder = folder();
    let both = [front.authority(), issuer.authority()].concat();
    fs::write(folder.path("both.pem"), both).unwrap();
    let mut command = folder.command("serve --listen 127.0.0.1:0 --source stdin --auth-jwks");
    command.arg(front.url());
    front.make_trusted(&mut command);
    command.env("SSL_CERT_FILE", folder.path("both.pem"));
    let server = TestServer::start_command(Arc::clone(&folder), command);
    assert_eq!(try_token(&server, &signer.token()).await, "101");
}

#[tokio::test]
async fn an_issuer_whose_certificate_is_not_trusted_is_not_listened_to() {
    let signer = Signer::p256("a");
    let issuer = Issuer::start(Answer::keys(&[&signer]));
    let stranger = Issuer::start(Answer::keys(&[]));
    let folder = folder();
    let mut command = folder.command("serve --listen 127.0.0.1:0 --source stdin --auth-jwks");
    command.arg(issuer.url());
    stranger.make_trusted(&mut command);
    let server = TestServer::start_command(folder, command);
    server.logged("auth.jwks can't be fetched").await;
    assert_eq!(try_token(&server, &signer.token()).await, UNKNOWN);
    let log = server.stop();
    assert!(
        log.contains("no TLS connection: invalid peer certificate"),
        "{log}"
    );
    assert_eq!(issuer.requests(), 0);
}

#[tokio::test]
async fn a_slow_issuer_holds_up_nobody_whose_key_is_known() {
    let (known, new) = (Signer::p256("known"), Signer::p256("new"));
    let issuer = Issuer::start(Answer::keys(&[&known]));
    let server = serve(&folder(), &issuer, "--limits-handshake 4s");
    server.logged("auth.jwks fetched").await;
    issuer.now_answers(Answer::Silence);
    let token = new.token();
    let waiting = async { try_token(&server, &token).await };
    let others = async {
        patiently("the question", issuer.asked(2)).await;
        for _ in 0..10 {
            assert_eq!(try_token(&server, &known.token()).await, "101");
        }
        issuer.now_answers(Answer::keys(&[&known, &new]));
    };
    let (answer, ()) = tokio::join!(waiting, others);
    assert_eq!(answer, "101", "{}", server.log());
}

#[tokio::test]
async fn nobody_waits_long_for_a_slow_issuer() {
    let signer = Signer::p256("a");
    let issuer = Issuer::start(Answer::Silence);
    let server = serve(&folder(), &issuer, "--limits-handshake 1s");
    let begin = Instant::now();
    assert_eq!(try_token(&server, &signer.token()).await, UNKNOWN);
    let waited = begin.elapsed();
    assert!(waited >= Duration::from_millis(900), "{waited:?}");
    assert!(waited < PATIENCE / 3, "{waited:?}");
    issuer.now_answers(Answer::keys(&[&signer]));
    server.logged("auth.jwks fetched").await;
    assert_eq!(try_token(&server, &signer.token()).await, "101");
}

#[tokio::test]
async fn a_key_that_has_left_the_set_lets_nobody_in_and_its_clients_are_let_go() {
    let (old, stays, new) = (
        Signer::p256("old"),
        Signer::rsa("stays"),
        Signer::p256("new"),
    );
    let issuer = Issuer::start(Answer::keys(&[&old, &stays]));
    let mut server = serve(&folder(), &issuer, "");
    server.logged("auth.jwks fetched").await;
    let mut leaving = server.client_at("/", &old.token()).await.unwrap();
    let mut staying = server.client_at("/", &stays.token()).await.unwrap();
    issuer.now_answers(Answer::keys(&[&stays, &new]));
    assert_eq!(try_token(&server, &new.token()).await, "101");
    let (code, reason) = leaving.expect_close().await;
    assert_eq!(
        (code, reason.as_str()),
        (
            1008,
            "the key that signed the token is trusted no more: reconnect with a new token"
        )
    );
    assert_eq!(try_token(&server, &old.token()).await, UNKNOWN);
    server.feed("buy BTCUSDT 75000.00 1720000000\n");
    assert_eq!(
        staying.text().await,
        wire("buy", "BTCUSDT", "75000.00", 1_720_000_000)
    );
}

#[tokio::test]
async fn a_hang_up_fetches_the_set_at_once() {
    let (old, new) = (Signer::p256("old"), Signer::p256("new"));
    let issuer = Issuer::start(Answer::keys(&[&old]));
    let server = serve(&folder(), &issuer, "");
    server.logged("auth.jwks fetched keys=1").await;
    issuer.now_answers(Answer::keys(&[&old, &new]));
    server.signal(rustix::process::Signal::HUP);
    server.logged("auth.jwks fetched keys=2").await;
    assert_eq!(issuer.requests(), 2);
}

/// A server whose key set is a file that says this.
fn serve_file(folder: &Arc<Folder>, set: &Value) -> TestServer {
    fs::write(folder.path("keys.json"), set.to_string()).unwrap();
    TestServer::start_in(Arc::clone(folder), "--auth-jwks keys.json")
}

#[tokio::test]
async fn a_key_decides_the_algorithm_and_is_never_a_secret() {
    let rsa = Signer::rsa("a");
    let mut jwk = rsa.jwk();
    jwk["alg"] = "RS256".into();
    let set = json!({ "keys": [jwk] });
    let server = serve_file(&folder(), &set);
    assert_eq!(try_token(&server, &rsa.token()).await, "101");
    let ps = rsa.token_with(PS256, &claims());
    assert_eq!(
        try_token(&server, &ps).await,
        "the header names alg PS256, which no key of this server takes"
    );
    let modulus = jwk_text(&jwk, "n");
    for secret in [modulus.as_str(), &jwk.to_string(), &set.to_string()] {
        let key = EncodingKey::from_secret(secret.as_bytes());
        let header = r#"{"alg":"HS256","kid":"a"}"#;
        let forged = sign(header, &claims().to_string(), HS256, &key);
        assert_eq!(
            try_token(&server, &forged).await,
            "the signature does not match"
        );
    }
    // The default secret is trusted beside the set.
    assert_eq!(try_token(&server, &server.token()).await, "101");
}

fn jwk_text(jwk: &Value, name: &str) -> String {
    jwk[name].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_changed_file_is_taken_and_a_bad_one_is_not() {
    let (old, new) = (Signer::p256("old"), Signer::ed25519("new"));
    let folder = folder();
    let server = serve_file(&folder, &json!({ "keys": [old.jwk()] }));
    assert_eq!(try_token(&server, &old.token()).await, "101");
    assert_eq!(try_token(&server, &new.token()).await, UNKNOWN);

    fs::write(folder.path("keys.json"), "{}").unwrap();
    server
        .logged("old keys kept: --auth-jwks: keys.json: has no list keys")
        .await;
    assert_eq!(try_token(&server, &old.token()).await, "101");

    let set = json!({ "keys": [new.jwk(), {"kty": "oct", "kid": "s"}] });
    fs::write(folder.path("keys.json"), set.to_string()).unwrap();
    server.logged("keys reloaded").await;
    server
        .logged("keys.json: key \"s\" is left out: it is a secret (oct)")
        .await;
    assert_eq!(try_token(&server, &new.token()).await, "101");
    assert_eq!(try_token(&server, &old.token()).await, UNKNOWN);
}

#[test]
fn what_cannot_be_a_key_set_keeps_the_server_from_starting() {
    let folder = Folder::new();
    fs::write(folder.path("empty.json"), r#"{"keys":[]}"#).unwrap();
    for (jwks, said) in [
        (
            "missing.json",
            "signalcast: --auth-jwks: missing.json: there is no such file; put the key set there, or name another as auth.jwks\n",
        ),
        (
            "empty.json",
            "signalcast: --auth-jwks: empty.json: holds no key to check signatures with; put a JSON Web Key Set there, {\"keys\":[…]}, as its issuer publishes it\n",
        ),
        (
            "http://localhost/jwks.json",
            "signalcast: --auth-jwks: whoever is on the way could put keys of his own into http://; write https:// instead, or fetch it to a file and name that\n",
        ),
    ] {
        let output = folder.run(&format!("serve --listen 127.0.0.1:0 --auth-jwks {jwks}"));
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), said);
    }
    assert!(!folder.path("certs").exists());
}

#[tokio::test]
async fn files_that_are_reloaded_leave_the_keys_of_the_url_alone() {
    let signer = Signer::p256("a");
    let issuer = Issuer::start(Answer::keys(&[&signer]));
    let server = serve(&folder(), &issuer, "");
    server.logged("auth.jwks fetched").await;
    let mut client = server.client_at("/", &signer.token()).await.unwrap();
    let opaque = server.folder.token("--sub bot-2 --opaque");
    server.logged("tokens reloaded").await;
    assert_eq!(try_token(&server, &opaque).await, "101");
    assert_eq!(try_token(&server, &signer.token()).await, "101");
    assert_eq!(issuer.requests(), 1);
    client.send("test").await;
    assert_eq!(client.json().await["is_test"], true);
}

#[tokio::test]
async fn the_issuer_is_reached_through_the_proxy_of_the_environment() {
    let signer = Signer::p256("a");
    let issuer = Issuer::start(Answer::keys(&[&signer]));
    let proxy = Proxy::start();
    let folder = folder();
    let mut command = folder.command("serve --listen 127.0.0.1:0 --source stdin --auth-jwks");
    command.arg(issuer.url());
    issuer.make_trusted(&mut command);
    command.env("HTTPS_PROXY", proxy.url());
    let server = TestServer::start_command(folder, command);
    server.logged("auth.jwks fetched").await;
    assert_eq!(try_token(&server, &signer.token()).await, "101");
    let asked = proxy.end();
    let first = format!("CONNECT localhost:{} HTTP/1.1", issuer.port());
    assert!(asked.starts_with(&first), "{asked}");
}

#[tokio::test]
async fn the_key_set_may_be_all_that_is_trusted() {
    let signer = Signer::p256("a");
    let folder = folder();
    let set = json!({ "keys": [signer.jwk()] });
    fs::write(folder.path("keys.json"), set.to_string()).unwrap();
    let settings = "[auth]\njwks = \"keys.json\"\njwt_key = []\n";
    fs::write(folder.path("signalcast.toml"), settings).unwrap();
    let server = TestServer::start_in(Arc::clone(&folder), "");
    assert_eq!(try_token(&server, &signer.token()).await, "101");
    assert!(!folder.path("certs/jwt.key").exists());
    let output = folder.run("token issue --sub bot-1");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("there are public keys only, and those can't sign; add a secret or a private key with --jwt-key"), "{said}");
}

#[tokio::test]
async fn inspect_judges_by_the_keys_that_the_server_saw_last() {
    let (known, stranger) = (Signer::p256("known"), Signer::p256("stranger"));
    let mut issuer = Issuer::start(Answer::keys(&[&known]));
    let server = serve(&folder(), &issuer, "");
    server.logged("auth.jwks fetched").await;
    let folder = Arc::clone(&server.folder);
    server.stop();
    issuer.stop();
    let inspect = |token: String| {
        folder.run(&format!(
            "token inspect {token} --auth-jwks {}",
            issuer.url()
        ))
    };
    let good = inspect(known.token());
    assert!(good.status.success(), "{good:?}");
    let bad = inspect(stranger.token());
    assert!(!bad.status.success());
    let said = [bad.stdout, bad.stderr].concat();
    assert!(String::from_utf8(said).unwrap().contains(UNKNOWN));
}

#[tokio::test]
async fn a_token_of_an_issuer_is_revoked_only_until_it_expires() {
    let (known, stranger) = (Signer::p256("known"), Signer::p256("stranger"));
    let issuer = Issuer::start(Answer::keys(&[&known]));
    let server = serve(&folder(), &issuer, "");
    server.logged("auth.jwks fetched").await;
    let revoke = |token: String| {
        let output = server.folder.run(&format!(
            "token revoke {token} --auth-jwks {}",
            issuer.url()
        ));
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let book = server.folder.read("certs/tokens.toml");
        let expiries = count(&book, "\nexpires = ");
        (said.contains("which no key here has signed"), expiries)
    };
    // What a stranger writes of its end is not believed.
    assert_eq!(revoke(stranger.token()), (true, 0));
    assert_eq!(revoke(known.token()), (false, 1));
}
