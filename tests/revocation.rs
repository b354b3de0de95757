//! What becomes of those who are connected, and of those who come, when a token is good no more.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt as _;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use common::judge::Desk;
use common::jwt::{claims, now, token, with};
use common::{Folder, PATIENCE, TestClient, TestServer, patiently, upgrade_request, wire};
use serde_json::json;
use signalcast::auth::{Authenticator, JwtRules, Keys, Token, TokenBook};
use signalcast::history::History;
use signalcast::hub::{Hub, View};
use signalcast::journal::Epoch;
use signalcast::metrics::{Passes, Registry};
use signalcast::session::{LogRange, Session, Settings, TestSignal, Who};
use signalcast::shard::{self, Client, Outlet, Shard, Stop};
use signalcast::source::States;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::interval;
use tokio_tungstenite::MaybeTlsStream;

/// How long a server may take to see that a token was revoked, and to act.
const PROMISE: Duration = Duration::from_secs(2);

/// Runs a command that must do it.
fn done(folder: &Folder, arguments: &str) -> String {
    let output = folder.run(arguments);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    assert!(output.status.success(), "{}", text(output.stderr));
    text(output.stdout)
}

/// The client is closed for this reason, within the time for it.
async fn closed(client: &mut TestClient, since: Instant, reason: &str) {
    let (code, said) = client.expect_close().await;
    assert_eq!(code, 1008, "{said}");
    assert!(said.contains(reason) && said.len() <= 123, "{said}");
    let elapsed = since.elapsed();
    assert!(elapsed < PROMISE, "{elapsed:?}");
    client.expect_end().await;
}

/// A client whose token was issued while the server ran, which sees it within two seconds.
async fn newcomer(server: &TestServer, token: &str) -> TestClient {
    let mut pause = interval(Duration::from_millis(200));
    let come = async {
        loop {
            pause.tick().await;
            if let Ok(client) = server.client_at("/", token).await {
                break client;
            }
        }
    };
    patiently("a place", come).await
}

/// Why a token is refused.
async fn refused(server: &TestServer, token: &str) -> String {
    let answer = server
        .ask("/", &format!("Authorization: Bearer {token}\r\n"))
        .await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (401, "invalid_token")
    );
    let challenge = answer.header("www-authenticate").unwrap();
    let (_, description) = challenge.split_once("error_description=").unwrap();
    description.trim_matches('"').to_owned()
}

/// All get the next signal, and nothing before it.
async fn undisturbed(server: &mut TestServer, clients: &mut [TestClient]) {
    server.feed("buy X 1 7\n");
    for client in clients {
        assert_eq!(client.text().await, wire("buy", "X", "1", 7));
    }
}

#[tokio::test]
async fn a_revoked_tokens_connection_is_closed_within_two_seconds_and_the_others_stay() {
    for transport in ["", "--plaintext"] {
        let mut server = TestServer::start(transport);
        let folder = Arc::clone(&server.folder);
        let mut others = Vec::new();
        for token in [
            server.mint(&claims()),
            server.mint(&with("jti", "other")),
            folder.token("--sub bot-1"),
            folder.token("--opaque --sub bot-1"),
        ] {
            others.push(newcomer(&server, &token).await);
        }
        let nameless = server.mint(&with("exp", now() + 600));
        let opaque = folder.token("--opaque --sub bot-1");
        let by_id = folder.token("--opaque --sub by-id");
        let list = done(&folder, "token list");
        let row = list.lines().find(|line| line.contains("by-id")).unwrap();
        for (token, target) in [
            (&folder.token("--sub bot-1"), None),
            (&server.mint(&with("jti", "t-1")), Some("--jti t-1")),
            (&nameless, None),
            (&opaque, None),
            (&by_id, Some(&row[..16])),
        ] {
            let mut client = newcomer(&server, token).await;
            let mut second = server.client_at("/", token).await.unwrap();
            let target = target.unwrap_or(token);
            done(&folder, &format!("token revoke {target}"));
            let since = Instant::now();
            for client in [&mut client, &mut second] {
                closed(client, since, "the token has been revoked").await;
            }
            assert_eq!(refused(&server, token).await, "the token has been revoked");
        }
        undisturbed(&mut server, &mut others).await;
        let log = server.stop();
        assert_eq!(log.matches("code=1008").count(), 10, "{log}");
    }
}

#[tokio::test]
async fn revoking_somebody_ends_all_of_his_connections_and_a_new_token_is_good_at_once() {
    const EACH: usize = 50;
    let mut server = TestServer::start("--shards 2");
    let folder = Arc::clone(&server.folder);
    let undated = server.mint(&with("sub", "bot-1"));
    let mut kept = Vec::new();
    let mut clients = Vec::new();
    let (his, other) = (folder.token("--sub bot-1"), folder.token("--sub bot-2"));
    let opaque = folder.token("--opaque --sub bot-1");
    for n in 0..EACH {
        let token = [&his, &opaque, &undated][n % 3];
        clients.push(newcomer(&server, token).await);
        kept.push(server.client_at("/", &other).await.unwrap());
    }
    done(&folder, "token revoke --sub bot-1");
    let since = Instant::now();
    for client in &mut clients {
        closed(client, since, "the token has been revoked").await;
    }
    let again = folder.token("--sub bot-1");
    kept.push(server.client_at("/", &again).await.unwrap());
    let again = folder.token("--opaque --sub bot-1");
    kept.push(newcomer(&server, &again).await);
    undisturbed(&mut server, &mut kept).await;
}

#[tokio::test]
async fn the_others_miss_nothing_while_somebody_is_revoked_in_the_middle_of_a_feed() {
    const SIGNALS: u64 = 2000;
    let mut server = TestServer::start("--shards 2");
    let folder = Arc::clone(&server.folder);
    let (his, other) = (folder.token("--sub bot-1"), folder.token("--sub bot-2"));
    let (mut revoked, mut kept) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        revoked.push(server.client_at("/", &his).await.unwrap());
        kept.push(server.client_at("/", &other).await.unwrap());
    }
    let mut feed = server.take_feed();
    let feeding = thread::spawn(move || {
        for price in 0..SIGNALS {
            if price == SIGNALS / 2 {
                done(&folder, "token revoke --sub bot-1");
            }
            writeln!(feed, "buy X {price} 7").unwrap();
        }
        feed
    });
    let expected: Vec<String> = (0..SIGNALS)
        .map(|price| wire("buy", "X", &price.to_string(), 7))
        .collect();
    for client in &mut kept {
        let got = client.texts(expected.len()).await;
        assert!(got == expected, "a signal is missing or out of order");
    }
    for client in &mut revoked {
        let (got, code) = client.texts_until_close().await;
        assert_eq!(code, 1008);
        assert!(got == expected[..got.len()], "a run without a gap");
    }
    drop(feeding.join().unwrap());
}

/// Between the answer to the upgrade and the session's beginning: nothing wakes it afterwards.
#[test]
fn a_session_that_begins_after_its_token_was_revoked_ends_at_once() {
    let folder = Folder::new();
    let token = folder.token("--sub bot-1");
    let keys = Keys::load(&[folder.path("certs/jwt.key")]).unwrap();
    let authenticator = |book| {
        let rules = JwtRules {
            issuer: None,
            audience: None,
            leeway: Duration::ZERO,
        };
        Authenticator::new(keys.clone(), book, rules)
    };
    let before = authenticator(TokenBook::default());
    let principal = before.authenticate(&Token::new(token), SystemTime::now());
    done(&folder, "token revoke --sub bot-1");
    let after = authenticator(TokenBook::load(&folder.path("certs/tokens.toml")).unwrap());
    let (_sender, news) = watch::channel(Arc::new(after));

    let (_hub, mut followers) = Hub::new(None, 1 << 20, 1);
    let (inbox, arriving) = mpsc::channel(1);
    let stop = Stop::default();
    let abort = stop.abort.clone();
    let (principal, authenticator) = (principal.unwrap(), news.clone());
    let host = move || {
        let settings = Rc::new(settings(authenticator));
        move |shard: Rc<Shard>, socket: std::net::TcpStream| {
            let (principal, settings) = (principal.clone(), Rc::clone(&settings));
            async move {
                let socket = TcpStream::from_std(socket).unwrap();
                let address = socket.peer_addr().unwrap().ip();
                let client = Client::new(socket, Outlet::new(None), shard.next());
                let (view, log) = (
                    View::default(),
                    LogRange {
                        first_seq: 1,
                        last_seq: 0,
                    },
                );
                let who = Who { principal, address };
                let mut session = Session::new(shard, client, who, &view, log, settings, b"");
                session.run().await;
            }
        }
    };
    let (follower, metrics) = (followers.remove(0), Passes::new(&Registry::default(), 0));
    let shard = shard::start(0, follower, arriving, news, stop, metrics, host).unwrap();

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, _) = listener.accept().unwrap();
    socket.set_nonblocking(true).unwrap();
    inbox.blocking_send(socket).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut close = [0; 4];
    client.read_exact(&mut close).unwrap();
    assert_eq!((close[0], &close[2..]), (0x88, &1008_u16.to_be_bytes()[..]));
    abort.cancel();
    shard.join().unwrap();
}

fn settings(authenticator: watch::Receiver<Arc<Authenticator>>) -> Settings {
    Settings {
        message_bytes: 1024,
        commands_per_second: NonZeroU32::MIN,
        ping: PATIENCE * 2,
        silence: PATIENCE * 2,
        heartbeat: PATIENCE * 2,
        write_timeout: PATIENCE * 2,
        judge: Box::new(Desk(authenticator.clone())),
        authenticator,
        history: History::of(None),
        departures: Arc::default(),
        test: TestSignal {
            symbol: "X".parse().unwrap(),
            price: "1".parse().unwrap(),
        },
        epoch: Epoch::begin(),
        sources: States::new([]),
    }
}

#[tokio::test]
async fn an_opaque_token_that_was_changed_or_struck_out_by_hand_is_good_no_more() {
    let folder = Arc::new(Folder::new());
    let edited = folder.token("--opaque --sub edited");
    let struck = folder.token("--opaque --sub struck");
    let stays = folder.token("--opaque --sub stays");
    let mut server = TestServer::start_in(Arc::clone(&folder), "");
    let mut stays = [server.client_at("/", &stays).await.unwrap()];
    let mut struck_client = server.client_at("/", &struck).await.unwrap();
    let mut edited_client = server.client_at("/", &edited).await.unwrap();

    let text = folder.read("certs/tokens.toml");
    let (head, entries) = text.split_once("[[tokens]]").unwrap();
    let entries: Vec<String> = entries
        .split("[[tokens]]")
        .filter(|entry| !entry.contains("struck"))
        .map(|entry| match entry.contains("edited") {
            true => entry.replace("signals:read signals:test", "signals:read"),
            false => entry.to_owned(),
        })
        .collect();
    let text = format!("{head}[[tokens]]{}", entries.join("[[tokens]]"));
    fs::write(folder.path("certs/tokens.toml"), text).unwrap();
    let since = Instant::now();
    closed(&mut struck_client, since, "revoked").await;
    closed(
        &mut edited_client,
        since,
        "what the token is good for has changed",
    )
    .await;
    assert_eq!(
        refused(&server, &struck).await,
        "the token is not known here"
    );
    let mut edited_client = server.client_at("/", &edited).await.unwrap();
    edited_client.send("test").await;
    assert!(edited_client.text().await.contains("insufficient_scope"));
    undisturbed(&mut server, &mut stays).await;
}

#[tokio::test]
async fn a_key_that_is_replaced_takes_its_tokens_along_and_no_others() {
    let (old, new, next) = ("o".repeat(32), "n".repeat(32), "x".repeat(32));
    let folder = Arc::new(Folder::new());
    let write = |name: &str, secret: &str| {
        fs::write(folder.path(name), secret).unwrap();
        fs::set_permissions(folder.path(name), Permissions::from_mode(0o600)).unwrap();
    };
    write("new.key", &new);
    write("old.key", &old);
    let keys = "--jwt-key new.key --jwt-key old.key";
    let issued = folder.token(&format!("--sub bot-1 {keys}"));
    let said = done(&folder, &format!("token inspect {issued} {keys}"));
    assert!(
        said.contains("signed by  new.key\n"),
        "the first that can sign: {said}"
    );

    let mut server = TestServer::start_in(Arc::clone(&folder), keys);
    let mut stay = [
        server.client_at("/", &issued).await.unwrap(),
        server
            .client_at("/", &token(&claims(), &new))
            .await
            .unwrap(),
    ];
    let of_old = token(&claims(), &old);
    let mut goes = server.client_at("/", &of_old).await.unwrap();
    write("old.key", &next);
    closed(
        &mut goes,
        Instant::now(),
        "the key that signed the token is trusted no more",
    )
    .await;
    assert_eq!(
        refused(&server, &of_old).await,
        "the signature does not match"
    );
    server
        .client_at("/", &token(&claims(), &next))
        .await
        .unwrap();
    undisturbed(&mut server, &mut stay).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off_when_its_token_is_revoked() {
    for transport in ["", "--plaintext"] {
        let mut server = TestServer::start(&format!("{transport} --limits-write-timeout 10m"));
        let folder = Arc::clone(&server.folder);
        let token = folder.token("--sub deaf");
        let mut reader = server.client().await;
        let mut deaf = deaf(&server, &token).await;
        // More than a socket holds.
        let note = "x".repeat(60_000);
        let line = json!({"side": "buy", "symbol": "X", "price": 1, "note": note}).to_string();
        let mut feed = server.take_feed();
        let feeding = thread::spawn(move || feed.write_all((line + "\n").repeat(200).as_bytes()));
        reader.texts(200).await;
        feeding.join().unwrap().unwrap();

        done(&folder, "token revoke --sub deaf");
        let since = Instant::now();
        server.logged("code=1008").await;
        let elapsed = since.elapsed();
        assert!(elapsed < 2 * PROMISE, "{elapsed:?}");
        let mut rest = Vec::new();
        // Reset or ended, but not with everything.
        let _ = patiently("end", deaf.read_to_end(&mut rest)).await;
        assert!(rest.len() < 200 * 60_000);
        reader.send("test").await;
        assert!(reader.text().await.contains(r#""is_test":true"#));
    }
}

/// A connection that was let in, has hardly any room, and is not read from.
async fn deaf(server: &TestServer, token: &str) -> MaybeTlsStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(server.address).await.unwrap();
    let mut stream = match server.scheme.as_str() {
        "ws" => MaybeTlsStream::Plain(stream),
        _ => MaybeTlsStream::Rustls(server.secure(stream).await),
    };
    let request = upgrade_request("/", &format!("Authorization: Bearer {token}\r\n"));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    patiently("answer", stream.read_exact(&mut status))
        .await
        .unwrap();
    assert_eq!(&status, b"HTTP/1.1 101");
    stream
}

#[tokio::test]
async fn refused_tokens_of_every_kind_count_as_tries_and_a_good_one_always_gets_in() {
    let server = TestServer::start("--plaintext");
    let folder = Arc::clone(&server.folder);
    let good = server.mint(&claims());
    let opaque = folder.token("--opaque --sub bot-1");
    let revoked = server.mint(&with("jti", "t-1"));
    done(&folder, "token revoke --jti t-1");
    newcomer(&server, &opaque).await;
    while server.client_at("/", &revoked).await.is_ok() {}

    let headers = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let mut bad = 0;
    let answer = loop {
        let token = ["sgc_unknown", &revoked, "a.b.c"][bad % 3];
        let answer = server.ask("/", &headers(token)).await;
        if answer.status == 429 {
            break answer;
        }
        assert_eq!(answer.status, 401);
        bad += 1;
        assert!(bad < 60, "no limit");
    };
    // Twenty in all: some were tried above, and one comes back every three seconds.
    assert!(bad >= 5, "{bad}");
    assert_eq!(answer.code(), "too_many_attempts");

    let good = [good, opaque];
    for token in &good {
        server.client_at("/", token).await.unwrap();
    }
    let mut neighbour = Neighbour::connect(&server).await;
    assert_eq!(neighbour.status(&headers("sgc_unknown")).await, "401");
    let mut neighbour = Neighbour::connect(&server).await;
    assert_eq!(neighbour.status(&headers(&good[0])).await, "101");
}

/// Somebody at another address.
struct Neighbour(TcpStream);

impl Neighbour {
    async fn connect(server: &TestServer) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        Self(socket.connect(server.address).await.unwrap())
    }

    async fn status(&mut self, headers: &str) -> String {
        let request = upgrade_request("/", headers);
        self.0.write_all(request.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        patiently("answer", self.0.read_exact(&mut status))
            .await
            .unwrap();
        String::from_utf8(status[9..].to_vec()).unwrap()
    }
}
