//! What one peer, and all together, may use of the server.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::HashSet;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use common::jwt::claims;
use common::{Folder, TestClient, TestServer, patiently, upgrade_request, wait_until, wire};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::MaybeTlsStream;

/// A server that may have this many files open, and has time.
fn server_with_files(files: u32, arguments: &str) -> TestServer {
    let folder = Arc::new(Folder::new());
    let serve = folder.command("serve --listen 127.0.0.1:0 --source stdin --limits-handshake 10m");
    let mut limited = Command::new("sh");
    limited
        .args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\"")])
        .arg(serve.get_program())
        .args(serve.get_args())
        .args(arguments.split_whitespace())
        .current_dir(serve.get_current_dir().unwrap());
    for (name, _) in serve.get_envs() {
        limited.env_remove(name);
    }
    TestServer::start_command(folder, limited)
}

/// So many connections, on which this was said.
async fn crowd(server: &TestServer, many: usize, said: &[u8]) -> Vec<TcpStream> {
    let mut crowd = Vec::new();
    for _ in 0..many {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        // Some are dropped before they have said it.
        stream.write_all(said).await.ok();
        crowd.push(stream);
    }
    crowd
}

async fn still_gets_signals(server: &mut TestServer, client: &mut TestClient, number: u64) {
    server.feed(&format!("buy BTCUSDT 75000.00 {number}\n"));
    let expected = wire("buy", "BTCUSDT", "75000.00", number);
    assert_eq!(client.text().await, expected);
}

/// The server has hung up, with or without an answer before.
async fn expect_end(mut stream: TcpStream) {
    let mut rest = Vec::new();
    // A reset is an end, too.
    patiently("end", stream.read_to_end(&mut rest)).await.ok();
}

/// However they dawdle: the oldest are dropped, clients stay, and those that come get in.
async fn a_crowd_shuts_nobody_out(arguments: &str, said: impl Fn(&TestServer) -> Vec<u8>) {
    let mut server = server_with_files(256, arguments);
    let mut client = server.client().await;
    let token = server.mint(&claims());
    // More than the server has files for.
    let mut crowd = crowd(&server, 300, &said(&server)).await;
    let mut late = server.client_at("/", &token).await.unwrap();
    expect_end(crowd.swap_remove(0)).await;
    still_gets_signals(&mut server, &mut client, 1).await;
    assert_eq!(late.text().await, wire("buy", "BTCUSDT", "75000.00", 1));
    // The youngest are still waited for.
    let youngest = crowd.last().unwrap();
    let waiting = youngest.try_read(&mut [0; 4096]);
    let open = matches!(waiting, Ok(1..))
        || waiting.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
    assert!(open, "the youngest was dropped, too");
    let log = server.stop();
    let said = log
        .matches("more connections than there is room for")
        .count();
    assert_eq!(said, 1, "{log}");
}

#[tokio::test]
async fn silent_sockets_shut_nobody_out() {
    a_crowd_shuts_nobody_out("", |_| Vec::new()).await;
}

#[tokio::test]
async fn half_client_hellos_shut_nobody_out() {
    a_crowd_shuts_nobody_out("", |server| {
        let hello = server.client_hello();
        hello[..hello.len() / 2].to_vec()
    })
    .await;
}

#[tokio::test]
async fn handshakes_that_are_never_finished_shut_nobody_out() {
    a_crowd_shuts_nobody_out("", TestServer::client_hello).await;
}

#[tokio::test]
async fn half_requests_without_tls_shut_nobody_out() {
    let request = upgrade_request("/", "");
    a_crowd_shuts_nobody_out("--plaintext", |_| request.as_bytes()[..60].to_vec()).await;
}

/// As after a restart: all are connected before the first of them has said anything.
#[tokio::test]
async fn all_clients_may_come_at_once() {
    let mut server = server_with_files(1024, "--plaintext");
    let token = server.mint(&claims());
    let mut clients = Vec::new();
    for stream in crowd(&server, 450, &[]).await {
        let stream = MaybeTlsStream::Plain(stream);
        clients.push(server.raw_client_on(stream, &token).await);
    }
    server.feed("buy BTCUSDT 75000.00 1\n");
    for client in &mut clients {
        assert_eq!(client.text().await, wire("buy", "BTCUSDT", "75000.00", 1));
    }
}

#[tokio::test]
async fn what_a_flood_took_is_given_back() {
    let server = server_with_files(4096, "");
    let before = server.resident_bytes();
    let crowd = crowd(&server, 700, &server.client_hello()).await;
    wait_until("they take memory", || {
        open_files(server.pid()).len() > 700 && server.resident_bytes() > before + 10_000_000
    });
    let most = server.resident_bytes();
    drop(crowd);
    // Nobody comes any more for whom it would be needed or tidied up.
    wait_until("it is given back", || {
        server.resident_bytes() < before + (most - before) / 2
    });
    server.stop();
}

fn open_files(pid: Pid) -> HashSet<u64> {
    let listing = fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).unwrap();
    listing
        .map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_str()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect()
}

/// From now on a process may have so many files open. What it had before.
fn allow_files(pid: Pid, current: Option<u64>) -> Rlimit {
    let Rlimit { maximum, .. } = rustix::process::getrlimit(Resource::Nofile);
    prlimit(Some(pid), Resource::Nofile, Rlimit { current, maximum }).unwrap()
}

/// The process can open nothing more, but for what is closed meanwhile.
fn leave_no_file(pid: Pid) -> Rlimit {
    let open = open_files(pid);
    let free = (0..).find(|number| !open.contains(number));
    allow_files(pid, free)
}

fn cpu_ticks(pid: Pid) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap()..].split(' ').collect();
    fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap()
}

#[tokio::test]
async fn without_a_file_left_silent_sockets_go_and_a_client_gets_in() {
    let mut server = TestServer::start("--limits-handshake 10m");
    let mut client = server.client().await;
    let token = server.mint(&claims());
    let files = open_files(server.pid()).len();
    let silent = TcpStream::connect(server.address).await.unwrap();
    let mut pause = tokio::time::interval(Duration::from_millis(5));
    let accepted = async {
        while open_files(server.pid()).len() <= files {
            pause.tick().await;
        }
    };
    patiently("accept", accepted).await;
    leave_no_file(server.pid());
    let mut late = server.client_at("/", &token).await.unwrap();
    expect_end(silent).await;
    still_gets_signals(&mut server, &mut client, 1).await;
    assert_eq!(late.text().await, wire("buy", "BTCUSDT", "75000.00", 1));
    server.stop();
}

#[tokio::test]
async fn without_a_file_left_the_server_waits_and_goes_on_when_there_is_one() {
    let mut server = TestServer::start("--limits-handshake 10m");
    let mut client = server.client().await;
    let leaving = server.client().await;
    let token = server.mint(&claims());
    let before = leave_no_file(server.pid());
    let stream = TcpStream::connect(server.address).await.unwrap();
    server.logged("no connection can be accepted").await;
    let (ticks, mut watch) = (cpu_ticks(server.pid()), Duration::ZERO);
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    while watch < Duration::from_millis(500) {
        pace.tick().await;
        watch += pace.period();
    }
    let used = cpu_ticks(server.pid()) - ticks;
    assert!(
        used < 25,
        "{used} hundredths of a second of CPU in half of one: it spins"
    );
    still_gets_signals(&mut server, &mut client, 1).await;
    // A client that goes makes room for the one that waits.
    drop(leaving);
    let stream = patiently("TLS", server.secure(stream)).await;
    // And so does whoever raises the limit.
    leave_no_file(server.pid());
    let waits = TcpStream::connect(server.address).await.unwrap();
    allow_files(server.pid(), before.current);
    patiently("TLS", server.secure(waits)).await;
    drop(stream);
    server.client_at("/", &token).await.unwrap();
    let log = server.stop();
    let said = log.matches("no connection can be accepted").count();
    assert_eq!(said, 1, "{log}");
}

#[tokio::test]
async fn a_good_token_gets_in_from_an_address_that_is_throttled_and_others_are_untouched() {
    let server = TestServer::start("");
    let token = server.mint(&claims());
    let bad = "Authorization: Bearer nonsense\r\n";
    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(server.ask("/", bad).await.status);
    }
    assert_eq!(statuses, [401; 20]);
    let status = loop {
        // One more is let through every 3 seconds, and this machine may be slow.
        let answer = server.ask("/", bad).await;
        if answer.status != 401 {
            break answer.status;
        }
    };
    assert_eq!(status, 429);
    let neighbour = Ipv4Addr::new(127, 0, 0, 2);
    assert_eq!(server.ask_from(neighbour, "/", bad).await.status, 401);
    server.client_at("/", &token).await.unwrap();
}
