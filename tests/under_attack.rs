//! A hostile network: thousands of bad connections a second, and those who are in notice nothing.
//!
//! `make soak` runs it in full size and prints what was measured.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "what was measured")]

mod common;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::process::{ChildStdin, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::frames::{PING, RawClient, TEXT};
use common::jwt::{claims, with};
use common::{Answer, Folder, TestServer, patiently, upgrade_request};
use futures::future::join_all;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

struct Scale {
    clients: usize,
    signals_per_second: u32,
    attacks_per_second: u32,
    calm: Duration,
    attack: Duration,
    /// Between two bytes of a peer that dawdles.
    dawdle: Duration,
    /// Between two good clients that come while it goes on.
    between_good: Duration,
}

/// Every kind of bad peer, in turn.
#[derive(Clone, Copy)]
enum Bad {
    /// Does everything right, but for its token.
    Token,
    /// Sends a ClientHello a byte at a time.
    SlowHello,
    /// Sends a ClientHello and nothing more.
    StalledHandshake,
    /// Encrypts, and sends its request a byte at a time.
    SlowHeaders,
    /// Says nothing.
    Silent,
    /// Connects and hangs up.
    Scan,
    /// Sends what is neither TLS nor HTTP.
    Garbage,
    /// Sends half of a ClientHello and hangs up.
    HalfHello,
    /// Speaks HTTP/2 without being asked.
    Http2,
}

impl Bad {
    const ALL: [Self; 12] = [
        Self::Token,
        Self::SlowHello,
        Self::Scan,
        Self::Token,
        Self::StalledHandshake,
        Self::Garbage,
        Self::Token,
        Self::SlowHeaders,
        Self::HalfHello,
        Self::Token,
        Self::Silent,
        Self::Http2,
    ];
}

/// What bad peers need.
#[derive(Clone)]
struct Target {
    address: SocketAddr,
    tls: TlsConnector,
    hello: Arc<[u8]>,
    request: Arc<str>,
    dawdle: Duration,
}

/// What came of an attack.
#[derive(Debug, Default)]
struct Attack {
    connected: u64,
    /// Answers by status; 0: the connection ended without one.
    answers: BTreeMap<u16, u64>,
}

impl Target {
    fn of(server: &TestServer, dawdle: Duration) -> Self {
        let mut tls = ClientConfig::builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous))
            .with_no_client_auth();
        // Each handshake is to cost the server all of it.
        tls.resumption = Resumption::disabled();
        let padding = "x".repeat(1000);
        let headers = format!("Authorization: Bearer {padding}\r\n");
        Self {
            address: server.address,
            tls: TlsConnector::from(Arc::new(tls)),
            hello: server.client_hello().into(),
            request: upgrade_request("/", &headers).into(),
            dawdle,
        }
    }

    async fn connect(&self, source: Ipv4Addr) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if source != Ipv4Addr::LOCALHOST {
            socket.bind((source, 0).into())?;
        }
        let stream = socket.connect(self.address).await?;
        // Nothing is left of it in this machine's tables.
        stream.set_zero_linger()?;
        Ok(stream)
    }

    async fn secure(&self, stream: TcpStream) -> io::Result<impl AsyncRead + AsyncWrite + Unpin> {
        let name = ServerName::try_from("localhost").unwrap();
        self.tls.connect(name, stream).await
    }

    /// Does its evil until the server ends it. The status of the answer, if there is one.
    async fn strike(&self, bad: Bad, mut stream: TcpStream) -> io::Result<u16> {
        match bad {
            Bad::Token => {
                let mut stream = self.secure(stream).await?;
                stream.write_all(self.request.as_bytes()).await?;
                let mut answer = [0; 12];
                stream.read_exact(&mut answer).await?;
                let status = answer[9..].iter();
                return Ok(status.fold(0, |all, digit| all * 10 + u16::from(digit - b'0')));
            }
            Bad::SlowHello => self.dawdle(stream, &self.hello).await?,
            Bad::StalledHandshake => {
                stream.write_all(&self.hello).await?;
                to_the_end(stream).await?;
            }
            Bad::SlowHeaders => {
                let stream = self.secure(stream).await?;
                self.dawdle(stream, self.request.as_bytes()).await?;
            }
            Bad::Silent => to_the_end(stream).await?,
            Bad::Scan => {}
            Bad::Garbage => {
                stream.write_all(b"\0\x01\xfe\xff garbage\r\n\r\n").await?;
                to_the_end(stream).await?;
            }
            Bad::HalfHello => {
                stream
                    .write_all(&self.hello[..self.hello.len() / 2])
                    .await?
            }
            Bad::Http2 => {
                let mut stream = self.secure(stream).await?;
                stream
                    .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
                    .await?;
                to_the_end(stream).await?;
            }
        }
        Ok(0)
    }

    async fn dawdle(&self, stream: impl AsyncRead + AsyncWrite, bytes: &[u8]) -> io::Result<()> {
        let (from, mut to) = tokio::io::split(stream);
        let mut pace = interval(self.dawdle);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let sending = async {
            for byte in bytes {
                pace.tick().await;
                to.write_all(&[*byte]).await?;
            }
            Ok(())
        };
        tokio::select! {
            sent = sending => sent,
            ended = to_the_end(from) => ended,
        }
    }
}

async fn to_the_end(mut stream: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut rest = [0; 256];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Takes any certificate, so that an attack costs the attacker little.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = default_provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// Attacks from these addresses, so many times a second, on a thread of its own until told to stop.
fn attack(
    target: Target,
    sources: Vec<Ipv4Addr>,
    per_second: u32,
    stop: CancellationToken,
) -> JoinHandle<Attack> {
    thread::spawn(move || {
        runtime().block_on(async {
            let (mut attack, mut peers) = (Attack::default(), JoinSet::new());
            let (connected, mut begun) = (Arc::new(AtomicU64::new(0)), 0_u64);
            let mut tick = interval(Duration::from_millis(5));
            let start = Instant::now();
            let mut turn = Bad::ALL.iter().copied().cycle();
            let mut sources = sources.iter().copied().cycle();
            while !stop.is_cancelled() {
                tokio::select! {
                    Some(ended) = peers.join_next() => {
                        *attack.answers.entry(ended.unwrap()).or_default() += 1;
                        continue;
                    }
                    _ = tick.tick() => {}
                }
                let due = start.elapsed().as_micros() * u128::from(per_second) / 1_000_000;
                while u128::from(begun) < due {
                    begun += 1;
                    let (bad, source) = (turn.next().unwrap(), sources.next().unwrap());
                    let (target, connected) = (target.clone(), Arc::clone(&connected));
                    peers.spawn(async move {
                        let Ok(stream) = target.connect(source).await else {
                            return 0;
                        };
                        connected.fetch_add(1, Ordering::Relaxed);
                        target.strike(bad, stream).await.unwrap_or(0)
                    });
                }
            }
            attack.connected = connected.load(Ordering::Relaxed);
            attack
        })
    })
}

/// The feed: numbered signals, and when each was written.
struct Feed {
    stdin: ChildStdin,
    sent: Arc<Vec<AtomicU64>>,
    began: Instant,
    next: usize,
    per_second: u32,
}

impl Feed {
    /// Writes signals at their pace for this long.
    fn go_on(&mut self, time: Duration) {
        let start = Instant::now();
        let first = self.next;
        for turn in 0..signals(time, self.per_second) {
            let due =
                start + Duration::from_secs(1) * u32::try_from(turn).unwrap() / self.per_second;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            self.next = first + turn;
            let now = u64::try_from(self.began.elapsed().as_micros()).unwrap();
            self.sent[self.next].store(now, Ordering::Relaxed);
            let line = format!("buy BTCUSDT 75000.00 {}\n", self.next);
            self.stdin.write_all(line.as_bytes()).unwrap();
            self.next += 1;
        }
    }
}

fn signals(time: Duration, per_second: u32) -> usize {
    usize::try_from(time.as_millis()).unwrap() * per_second as usize / 1000
}

/// So many clients that must get all of it, on a thread of their own; it returns when they are in.
/// What each has seen: the delay of every signal in microseconds.
async fn listen(
    server: &Arc<TestServer>,
    clients: usize,
    sent: &Arc<Vec<AtomicU64>>,
    began: Instant,
) -> JoinHandle<Vec<Vec<u32>>> {
    let (server, sent) = (Arc::clone(server), Arc::clone(sent));
    let (ready, are_in) = oneshot::channel();
    let listening = thread::spawn(move || {
        runtime().block_on(async {
            let token = server.mint(&claims());
            let mut all = Vec::new();
            for _ in 0..clients {
                all.push(server.raw_client(&token).await);
            }
            ready.send(()).unwrap();
            join_all(all.iter_mut().map(|client| receive(client, &sent, began))).await
        })
    });
    are_in.await.unwrap();
    listening
}

async fn receive(client: &mut RawClient, sent: &[AtomicU64], began: Instant) -> Vec<u32> {
    let mut delays = Vec::with_capacity(sent.len());
    loop {
        while let Some((first, payload)) = client.received() {
            if first == PING {
                continue;
            }
            assert_eq!(first, TEXT);
            let number = number(payload);
            assert_eq!(number, delays.len(), "each signal once and in order");
            let now = u64::try_from(began.elapsed().as_micros()).unwrap();
            let delay = now - sent[number].load(Ordering::Relaxed);
            delays.push(u32::try_from(delay).unwrap());
        }
        if delays.len() == sent.len() {
            return delays;
        }
        let count = client.receive(16 * 1024).await.unwrap();
        assert!(count > 0, "the connection ended at {}", delays.len());
    }
}

fn runtime() -> Runtime {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// What counts the signals is their timestamp.
fn number(payload: &[u8]) -> usize {
    const KEY: &str = r#""timestamp":"#;
    let text = str::from_utf8(payload).unwrap();
    let digits = &text[text.find(KEY).unwrap() + KEY.len()..];
    digits[..digits.find('}').unwrap()].parse().unwrap()
}

/// CPU time of a process so far.
fn cpu(pid: impl std::fmt::Display) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap()..].split(' ').collect();
    let ticks: u64 = fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// The value below which this share of all lies.
fn percentile(delays: &mut [u32], share: usize) -> Duration {
    delays.sort_unstable();
    let place = (delays.len() * share / 100).min(delays.len() - 1);
    Duration::from_micros(delays[place].into())
}

async fn under_attack(scale: &Scale) {
    let mut server = TestServer::start("");
    let token = server.mint(&claims());
    let stdin = server.take_feed();
    let server = Arc::new(server);
    let phases = [scale.calm, scale.attack, scale.attack];
    let counts = phases.map(|time| signals(time, scale.signals_per_second));
    let sent: Vec<AtomicU64> = (0..counts.iter().sum())
        .map(|_| AtomicU64::new(0))
        .collect();
    let (sent, began) = (Arc::new(sent), Instant::now());
    let listening = listen(&server, scale.clients, &sent, began).await;
    let mut feed = Feed {
        stdin,
        sent,
        began,
        next: 0,
        per_second: scale.signals_per_second,
    };

    let many = (2..=254)
        .map(|host| Ipv4Addr::new(127, 0, 0, host))
        .collect();
    let mut said = Vec::new();
    for (name, sources, time) in [
        ("calm", Vec::new(), scale.calm),
        ("from many addresses", many, scale.attack),
        ("from one address", vec![Ipv4Addr::LOCALHOST], scale.attack),
    ] {
        let pid = server.pid().as_raw_nonzero();
        let before = (
            cpu(pid),
            cpu("self"),
            server.resident_bytes(),
            Instant::now(),
        );
        let stop = CancellationToken::new();
        let attacking = (!sources.is_empty()).then(|| {
            let target = Target::of(&server, scale.dawdle);
            attack(target, sources, scale.attacks_per_second, stop.clone())
        });
        let mut feeding = spawn_blocking(move || {
            feed.go_on(time);
            feed
        });
        let mut good = Vec::new();
        let mut pace = interval(scale.between_good);
        let fed = loop {
            tokio::select! {
                fed = &mut feeding => break fed.unwrap(),
                _ = pace.tick() => {
                    let start = Instant::now();
                    server.client_at("/", &token).await.unwrap();
                    good.push(u32::try_from(start.elapsed().as_micros()).unwrap());
                }
            }
        };
        feed = fed;
        let took = before.3.elapsed();
        let share = |now: Duration, then: Duration| (now - then).as_secs_f64() / took.as_secs_f64();
        let cpus = (share(cpu(pid), before.0), share(cpu("self"), before.1));
        let resident = server.resident_bytes();
        stop.cancel();
        let attack = attacking
            .map(|attack| attack.join().unwrap())
            .unwrap_or_default();
        said.push(format!(
            "{name}: {:.0} connections a second, answers {:?}; {} good clients came, p50 {:?}, slowest {:?}; \
             CPU {:.2} server, {:.2} load; resident {} -> {} KiB",
            attack.connected as f64 / took.as_secs_f64(),
            attack.answers,
            good.len(),
            percentile(&mut good, 50),
            percentile(&mut good, 100),
            cpus.0,
            cpus.1,
            before.2 / 1024,
            resident / 1024,
        ));
        assert!(name == "calm" || attack.connected > 0);
    }

    let delays = listening.join().unwrap();
    let mut from = 0;
    for (count, said) in counts.into_iter().zip(said) {
        let of_phase = delays.iter().flat_map(|delays| &delays[from..from + count]);
        let mut of_phase: Vec<u32> = of_phase.copied().collect();
        from += count;
        println!(
            "{said}; {} deliveries: p50 {:?}, p99 {:?}, slowest {:?}",
            of_phase.len(),
            percentile(&mut of_phase, 50),
            percentile(&mut of_phase, 99),
            percentile(&mut of_phase, 100),
        );
    }
    let log = Arc::try_unwrap(server).ok().unwrap().stop();
    println!("{} lines of log", log.lines().count());
    for line in log.lines().filter(|line| line.contains("WARN")) {
        println!("{line}");
    }
    let about_clients = ["subscribed", "closed", "connection lost"];
    let others = log
        .lines()
        .filter(|line| !about_clients.iter().any(|about| line.contains(about)));
    assert!(others.count() < 20, "bad peers fill the log:\n{log}");
}

#[tokio::test]
async fn clients_miss_nothing_and_good_ones_get_in_while_the_server_is_attacked() {
    let scale = Scale {
        clients: 20,
        signals_per_second: 50,
        attacks_per_second: 150,
        calm: Duration::from_millis(500),
        attack: Duration::from_secs(2),
        dawdle: Duration::from_millis(100),
        between_good: Duration::from_millis(200),
    };
    under_attack(&scale).await;
}

#[tokio::test]
async fn three_thousand_attacks_a_second_while_500_clients_get_100_signals_a_second() {
    if std::env::var_os("SIGNALCAST_SOAK").is_none() {
        return;
    }
    let scale = Scale {
        clients: 500,
        signals_per_second: 100,
        attacks_per_second: 3000,
        calm: Duration::from_secs(20),
        attack: Duration::from_secs(20),
        dawdle: Duration::from_secs(1),
        between_good: Duration::from_millis(100),
    };
    under_attack(&scale).await;
}

/// A server that may have 200 files open has room for 50 strangers who have begun.
#[tokio::test]
async fn strangers_push_out_nobody_whose_body_may_come() {
    const SECRET: &str = "c0ffee-c0ffee-c0ffee-c0ffee";
    let folder = Folder::new();
    folder.append("secret", SECRET);
    fs::set_permissions(folder.path("secret"), Permissions::from_mode(0o600)).unwrap();
    folder.append("signalcast.toml", "[hooks.tv]\nsecret_file = \"secret\"\n");
    let serve = folder.command("serve --plaintext --source stdin --listen 127.0.0.1:0");
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -n 200; exec \"$0\" \"$@\""])
        .arg(serve.get_program())
        .args(serve.get_args())
        .current_dir(folder.path(""));
    let server = TestServer::start_command(Arc::new(folder), limited);
    let bearer = |scope| {
        let token = server.mint(&with("scope", scope));
        format!("Authorization: Bearer {token}\r\n")
    };
    let mut begun = Vec::new();
    for (path, bearer, body, status) in [
        ("/signals", bearer("signals:publish"), "buy GOOD 1", 201),
        (
            &*format!("/hooks/tv/{SECRET}"),
            String::new(),
            "buy GOOD 2",
            200,
        ),
        ("/halt", bearer("admin"), "{\"reason\":\"because\"}", 200),
    ] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{bearer}\
             Content-Type: text/plain\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            body.len()
        );
        let mut stream = server.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut told = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
        let waited_for = stream.read_exact(&mut told);
        patiently("the body being waited for", waited_for)
            .await
            .unwrap();
        begun.push((stream, head, body, status));
    }
    let mut strangers = Vec::new();
    for _ in 0..70 {
        let asking = server.open(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        strangers.push(asking.await);
    }
    for (mut stream, head, body, status) in begun {
        stream.write_all(body.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        patiently("answer", stream.read_to_end(&mut bytes))
            .await
            .unwrap();
        let answer = Answer::to(head.as_bytes(), &bytes);
        assert_eq!(answer.status, status, "{answer:?}");
    }
}
