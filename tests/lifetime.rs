//! How a connection lives and ends: heartbeat, limits, violations, close codes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::Write as _;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use common::frames::{
    BINARY, CLOSE, CONTINUATION, FIN, FIRST, LAST, PING, PONG, RawClient, TEXT, close, frame,
};
use common::{Folder, PATIENCE, TestServer, patiently, wire};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{interval, timeout};
use tokio_tungstenite::MaybeTlsStream;

/// A client that does not know when it is next spoken to sees the answer to `test` next.
async fn lives(client: &mut RawClient) {
    client.send(&frame(TEXT, b"test")).await;
    let mut answer = client.next().await;
    while answer.0 == PING {
        answer = client.next().await;
    }
    assert_eq!(answer.0, TEXT);
    assert!(answer.1.ends_with(br#""is_test":true}"#), "{answer:?}");
}

/// The server closes with this code, says why in few words, and ends the connection.
async fn ends(client: &mut RawClient, code: u16, what: &str) -> String {
    let (closed, reason) = client.close().await;
    assert_eq!(closed, code, "{what}: {reason}");
    assert!((1..=123).contains(&reason.len()), "{what}: {reason:?}");
    client.send(&close(code, b"")).await;
    client.end().await;
    reason
}

#[tokio::test]
async fn pings_come_at_their_interval_and_whoever_only_answers_them_stays() {
    for transport in ["", "--plaintext"] {
        let arguments = format!("{transport} --limits-ping 200ms --limits-silence 2s");
        let server = TestServer::start(&arguments);
        let mut client = server.raw_client(&server.token()).await;
        let begin = Instant::now();
        const PINGS: u32 = 15;
        for _ in 0..PINGS {
            assert_eq!(client.next().await, (PING, vec![]));
            client.send(&frame(PONG, b"")).await;
        }
        let elapsed = begin.elapsed();
        let least = Duration::from_millis(200) * (PINGS - 1);
        assert!(
            elapsed >= least && elapsed < least + PATIENCE,
            "{elapsed:?}"
        );
        lives(&mut client).await;
    }
}

#[tokio::test]
async fn a_ping_gets_its_payload_back_and_an_unsolicited_pong_is_no_harm() {
    let server = TestServer::start("");
    let mut client = server.raw_client(&server.token()).await;
    for payload in [&b""[..], b"hello", &[0xff; 125]] {
        client.send(&frame(PONG, payload)).await;
        client.send(&frame(PING, payload)).await;
        assert_eq!(client.next().await, (PONG, payload.to_vec()));
    }
    let many: Vec<u8> = (0..100).flat_map(|byte| frame(PING, &[byte])).collect();
    client.send(&many).await;
    for byte in 0..100 {
        assert_eq!(client.next().await, (PONG, vec![byte]));
    }
    lives(&mut client).await;
}

#[tokio::test]
async fn a_silent_client_is_let_go() {
    let server = TestServer::start("--limits-ping 300ms --limits-silence 1s");
    let begin = Instant::now();
    let mut client = server.raw_client(&server.token()).await;
    for _ in 0..3 {
        assert_eq!(client.next().await, (PING, vec![]));
    }
    ends(&mut client, 1011, "silence").await;
    assert!(begin.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn the_operator_is_told_that_no_ping_comes_before_the_silence_is_over() {
    for (silence, told) in [("2s", true), ("1s", true), ("2001ms", false)] {
        let arguments = format!("--limits-ping 2s --limits-silence {silence}");
        let log = TestServer::start(&arguments).stop();
        assert_eq!(log.contains("longer than limits.ping"), told, "{log}");
    }
}

#[tokio::test]
async fn half_a_frame_is_silence() {
    let server = TestServer::start("--limits-ping 100ms --limits-silence 1s");
    let mut client = server.raw_client(&server.token()).await;
    for byte in frame(TEXT, &[b'x'; 1000]) {
        let (first, _) = match client.next().await {
            (CLOSE, payload) => {
                assert_eq!(payload[..2], 1011_u16.to_be_bytes());
                return;
            }
            other => other,
        };
        assert_eq!(first, PING);
        client.send(&[byte]).await;
    }
    panic!(
        "{:?} of dripping was let pass",
        Duration::from_millis(100) * 1000
    );
}

#[tokio::test]
async fn a_message_that_takes_its_time_is_not_silence_for_its_frames_come() {
    let server = TestServer::start("--limits-ping 250ms --limits-silence 2s");
    let mut client = server.raw_client(&server.token()).await;
    client.send(&frame(FIRST, b"x")).await;
    for _ in 0..12 {
        assert_eq!(client.next().await, (PING, vec![]));
        client.send(&frame(CONTINUATION, b"x")).await;
    }
    client.send(&frame(LAST, b"x")).await;
    while client.next().await.0 == PING {}
}

/// What a token says of its end, and the leeway of a second on top.
fn end_of(server: &TestServer, token: &str) -> SystemTime {
    let output = server.folder.run(&format!("token inspect {token}"));
    let said = String::from_utf8(output.stdout).unwrap();
    let line = said.lines().find_map(|line| line.strip_prefix("expires"));
    let end: jiff::Timestamp = line.unwrap().trim().parse().unwrap();
    SystemTime::from(end) + Duration::from_secs(1)
}

#[tokio::test]
async fn a_connection_ends_with_its_token_and_the_leeway_and_the_others_stay() {
    // No ping wakes anybody: the end itself does.
    let folder = Arc::new(Folder::new());
    let opaque = folder.token("--opaque --sub brief --ttl 8s");
    let mut server = TestServer::start_in(folder, "--auth-leeway 1s");
    let mut other = server.raw_client(&server.token()).await;
    for token in [server.folder.token("--sub brief --ttl 3s"), opaque] {
        let mut client = server.raw_client(&token).await;
        let end = end_of(&server, &token);
        lives(&mut client).await;
        let reason = ends(&mut client, 1008, "expired").await;
        assert!(reason.contains("expired"), "{reason}");
        let late = SystemTime::now()
            .duration_since(end)
            .expect("not before its end");
        assert!(late < Duration::from_secs(2), "{late:?}");
        let answer = server
            .ask("/", &format!("Authorization: Bearer {token}\r\n"))
            .await;
        assert_eq!(answer.status, 401);
        assert!(answer.body.contains("expired"), "{answer:?}");
    }
    server.feed("buy X 1 7\n");
    assert_eq!(other.text().await, wire("buy", "X", "1", 7));
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off_with_its_token() {
    for transport in ["", "--plaintext"] {
        let mut server = TestServer::start(&format!(
            "{transport} --auth-leeway 1s --limits-write-timeout 10m"
        ));
        let token = server.folder.token("--sub brief --ttl 4s");
        let end = end_of(&server, &token);
        let mut other = server.raw_client(&server.token()).await;
        let _deaf = narrow_client(&server, &token).await;
        // More than a socket holds.
        let note = "x".repeat(60_000);
        let line = format!(r#"{{"side":"buy","symbol":"X","price":1,"note":"{note}"}}"#) + "\n";
        let mut feed = server.take_feed();
        let feeding = thread::spawn(move || feed.write_all(line.repeat(200).as_bytes()));
        for _ in 0..200 {
            other.text().await;
        }
        feeding.join().unwrap().unwrap();
        server.logged("code=1008").await;
        let late = SystemTime::now()
            .duration_since(end)
            .expect("not before its end");
        assert!(late < Duration::from_secs(4), "{late:?}");
        lives(&mut other).await;
    }
}

#[tokio::test]
async fn twenty_commands_at_once_and_ten_a_second_are_fine() {
    let server = TestServer::start("");
    let mut client = server.raw_client(&server.token()).await;
    client.send(&frame(TEXT, b"test").repeat(20)).await;
    for _ in 0..20 {
        client.text().await;
    }
    // A little slower, so that no rounding of the clock counts against the client.
    let mut tenth = interval(Duration::from_millis(105));
    tenth.tick().await;
    for _ in 0..15 {
        tenth.tick().await;
        client.send(&frame(TEXT, b"test")).await;
        client.text().await;
    }
}

#[tokio::test]
async fn more_commands_end_the_connection_after_the_twenty_were_answered() {
    let server = TestServer::start("");
    for text in [&b"test"[..], b"x"] {
        let mut client = server.raw_client(&server.token()).await;
        // So many that a slow machine's tenths of a second make no difference.
        client.send(&frame(TEXT, text).repeat(200)).await;
        for _ in 0..20 {
            client.text().await;
        }
        let mut next = client.next().await;
        while next.0 == TEXT {
            next = client.next().await;
        }
        assert_eq!((next.0, &next.1[..2]), (CLOSE, &1008_u16.to_be_bytes()[..]));
        client.send(&close(1008, b"")).await;
        client.end().await;
    }
}

#[tokio::test]
async fn control_frames_are_no_commands() {
    let server = TestServer::start("");
    let mut client = server.raw_client(&server.token()).await;
    client.send(&frame(PING, b"x").repeat(200)).await;
    for _ in 0..200 {
        assert_eq!(client.next().await, (PONG, b"x".to_vec()));
    }
    lives(&mut client).await;
}

#[tokio::test]
async fn a_message_may_have_65536_bytes_and_none_more() {
    let server = TestServer::start("");
    let token = server.token();
    let long = |extra: usize| vec![b'x'; 65_536 + extra];
    let fragments = |payload: &[u8]| -> Vec<u8> {
        let (first, rest) = payload.split_at(30_000);
        let (middle, last) = rest.split_at(30_000);
        [
            frame(FIRST, first),
            frame(CONTINUATION, middle),
            frame(LAST, last),
        ]
        .concat()
    };
    let mut client = server.raw_client(&token).await;
    for message in [frame(TEXT, &long(0)), fragments(&long(0))] {
        client.send(&message).await;
        assert!(client.text().await.contains("unknown_command"));
    }
    lives(&mut client).await;
    for message in [
        frame(TEXT, &long(1)),
        fragments(&long(1)),
        frame(BINARY, &long(1)),
    ] {
        let mut client = server.raw_client(&token).await;
        client.send(&message).await;
        ends(&mut client, 1009, "too long").await;
    }
    // What the header announces is enough.
    let mut client = server.raw_client(&token).await;
    client
        .send(&[TEXT, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4])
        .await;
    ends(&mut client, 1009, "announced").await;
}

/// A frame whose mask bit is not set.
fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, u8::try_from(payload.len()).unwrap()];
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn a_long_message_leaves_nothing_behind() {
    const CLIENTS: u64 = 100;
    let server = TestServer::start("--plaintext --shards 1");
    let token = server.token();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(server.raw_client(&token).await);
    }
    let before = server.resident_bytes();
    let long = frame(TEXT, &[b'x'; 60_000]);
    for client in &mut clients {
        client.send(&long).await;
        assert!(client.text().await.contains("unknown_command"));
    }
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < CLIENTS * 60_000 / 4, "{grown} bytes more");
}

#[tokio::test]
async fn each_violation_gets_its_close_code_and_harms_nobody_else() {
    const NOT_UTF8: &[u8] = b"te\xff";
    let cases: &[(&str, u16, Vec<u8>)] = &[
        ("binary", 1003, frame(BINARY, b"test")),
        ("empty binary", 1003, frame(BINARY, b"")),
        (
            "binary in fragments",
            1003,
            [frame(0x2, b"te"), frame(LAST, b"st")].concat(),
        ),
        ("not UTF-8", 1007, frame(TEXT, NOT_UTF8)),
        ("a surrogate", 1007, frame(TEXT, b"\xed\xa0\x80")),
        ("overlong", 1007, frame(TEXT, b"\xc0\xaf")),
        (
            "not UTF-8 in a fragment",
            1007,
            [frame(FIRST, b"te"), frame(LAST, NOT_UTF8)].concat(),
        ),
        (
            "half a character at the end",
            1007,
            [frame(FIRST, b"te"), frame(LAST, b"\xe2\x82")].concat(),
        ),
        (
            "two halves that don't fit",
            1007,
            [frame(FIRST, b"\xe2"), frame(LAST, b"(\xa1")].concat(),
        ),
        ("reserved data opcode", 1002, frame(FIN | 0x3, b"")),
        ("reserved control opcode", 1002, frame(FIN | 0xb, b"")),
        ("RSV1", 1002, frame(TEXT | 0x40, b"test")),
        ("RSV2", 1002, frame(TEXT | 0x20, b"test")),
        ("RSV3", 1002, frame(PING | 0x10, b"")),
        ("unmasked", 1002, unmasked(TEXT, b"test")),
        ("unmasked ping", 1002, unmasked(PING, b"")),
        ("fragmented ping", 1002, frame(0x9, b"")),
        ("fragmented close", 1002, frame(0x8, b"")),
        ("ping over 125 bytes", 1002, frame(PING, &[b'x'; 126])),
        ("close over 125 bytes", 1002, close(1000, &[b'x'; 124])),
        ("continuation of nothing", 1002, frame(LAST, b"test")),
        (
            "continuation after the end",
            1002,
            [frame(FIRST, b"te"), frame(LAST, b"st"), frame(LAST, b"")].concat(),
        ),
        (
            "a message within a message",
            1002,
            [frame(FIRST, b"te"), frame(TEXT, b"st")].concat(),
        ),
        ("close body of one byte", 1002, frame(CLOSE, b"x")),
        ("close code 0", 1002, close(0, b"")),
        ("close code 999", 1002, close(999, b"")),
        ("close code 1004", 1002, close(1004, b"")),
        ("close code 1005", 1002, close(1005, b"")),
        ("close code 1006", 1002, close(1006, b"")),
        ("close code 1015", 1002, close(1015, b"")),
        ("close code 1016", 1002, close(1016, b"")),
        ("close code 2999", 1002, close(2999, b"")),
        ("close code 5000", 1002, close(5000, b"")),
        ("close code 65535", 1002, close(65_535, b"")),
        ("close reason not UTF-8", 1007, close(1000, NOT_UTF8)),
    ];
    for transport in ["", "--plaintext"] {
        let mut server = TestServer::start(transport);
        let token = server.token();
        let mut bystander = server.raw_client(&token).await;
        for (what, code, bytes) in cases {
            let mut client = server.raw_client(&token).await;
            client.send(bytes).await;
            let answers_before = usize::from(*what == "continuation after the end");
            for _ in 0..answers_before {
                client.text().await;
            }
            ends(&mut client, *code, what).await;
        }
        server.feed("buy X 1 7\n");
        assert_eq!(bystander.text().await, wire("buy", "X", "1", 7));
        lives(&mut bystander).await;
    }
}

#[tokio::test]
async fn the_clients_close_is_echoed_and_the_server_hangs_up_first() {
    for transport in ["", "--plaintext"] {
        let server = TestServer::start(transport);
        let token = server.token();
        for code in [
            1000, 1001, 1003, 1007, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999,
        ] {
            let mut client = server.raw_client(&token).await;
            client.send(&close(code, "schön war’s".as_bytes())).await;
            assert_eq!(client.close().await.0, code);
            client.end().await;
        }
        let mut client = server.raw_client(&token).await;
        client.send(&frame(CLOSE, b"")).await;
        assert_eq!(client.close().await, (1005, String::new()));
        client.end().await;

        // The longest reason there can be.
        let mut client = server.raw_client(&token).await;
        client.send(&close(1000, &[b'x'; 123])).await;
        assert_eq!(client.close().await.0, 1000);
        client.end().await;
    }
}

#[tokio::test]
async fn a_message_may_come_in_fragments_with_control_frames_between() {
    let server = TestServer::start("");
    let mut client = server.raw_client(&server.token()).await;
    let message = [
        frame(FIRST, b"te"),
        frame(PING, b"between"),
        frame(CONTINUATION, b""),
        frame(PONG, b""),
        frame(LAST, b"st"),
    ]
    .concat();
    let split = message.len() / 2;
    client.send(&message[..split]).await;
    client.send(&message[split..]).await;
    assert_eq!(client.next().await, (PONG, b"between".to_vec()));
    assert!(client.text().await.contains(r#""type":"buy""#));

    // Byte by byte, and a character that is cut in two.
    let euro = [frame(FIRST, b"\xe2\x82"), frame(LAST, b"\xac")].concat();
    for byte in euro {
        client.send(&[byte]).await;
    }
    assert!(client.text().await.contains("unknown_command"));

    // A close between the fragments ends it all the same.
    client
        .send(&[frame(FIRST, b"te"), close(1000, b"")].concat())
        .await;
    assert_eq!(client.close().await.0, 1000);
    client.end().await;
}

#[tokio::test]
async fn what_comes_after_our_close_frame_is_ignored() {
    let server = TestServer::start("");
    let token = server.token();
    let after = [
        frame(TEXT, b"test"),
        frame(PING, b"x"),
        frame(BINARY, b"x"),
        close(4000, b"bye"),
    ]
    .concat();
    for (code, cause) in [(1003, frame(BINARY, b"")), (1002, frame(LAST, b""))] {
        let mut client = server.raw_client(&token).await;
        client.send(&[cause, after.clone()].concat()).await;
        assert_eq!(client.close().await.0, code);
        drop_write(&mut client).await;
        client.end().await;
    }
    // Whatever it is: the one close frame was sent, and it keeps its meaning.
    let mut client = server.raw_client(&token).await;
    client
        .send(&[frame(BINARY, b""), frame(LAST, b"")].concat())
        .await;
    assert_eq!(client.close().await.0, 1003);
    drop_write(&mut client).await;
    client.end().await;
    let log = server.stop();
    let closes = |code: &str| log.matches(code).count();
    assert_eq!((closes("code=1003"), closes("code=1002")), (2, 1), "{log}");
}

/// The client says that it will send no more.
async fn drop_write(client: &mut RawClient) {
    patiently("shutdown", client.stream.shutdown())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_answer_our_close_is_let_go_all_the_same() {
    let server = TestServer::start("");
    let token = server.token();
    for cause in [frame(BINARY, b""), frame(LAST, b"")] {
        let mut client = server.raw_client(&token).await;
        client.send(&cause).await;
        client.close().await;
        client.end().await;
    }
}

#[tokio::test]
async fn a_client_that_breaks_off_is_forgotten() {
    for transport in ["", "--plaintext"] {
        let mut server = TestServer::start(transport);
        let token = server.token();
        let mut other = server.raw_client(&token).await;
        let client = server.raw_client(&token).await;
        SockRef::from(client.tcp())
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(client);
        server.logged("connection lost").await;
        server.feed("buy X 1 7\n");
        assert_eq!(other.text().await, wire("buy", "X", "1", 7));
    }
}

/// A raw client whose socket holds little, so that it is full soon.
async fn narrow_client(server: &TestServer, token: &str) -> RawClient {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = patiently("connect", socket.connect(server.address))
        .await
        .unwrap();
    let stream = match server.scheme.as_str() {
        "ws" => MaybeTlsStream::Plain(stream),
        _ => MaybeTlsStream::Rustls(server.secure(stream).await),
    };
    server.raw_client_on(stream, token).await
}

#[tokio::test]
async fn a_client_that_pings_and_never_reads_is_read_no_more_and_suffers_alone() {
    for transport in ["", "--plaintext"] {
        let mut server = TestServer::start(&format!(
            "{transport} --shards 1 --limits-write-timeout 20s"
        ));
        let token = server.token();
        let mut other = server.raw_client(&token).await;
        let mut flood = narrow_client(&server, &token).await;
        let before = server.resident_bytes();

        // It can send until the server stops reading; what it sent by then would fill many
        // buffers with pongs.
        let pings = frame(PING, &[b'x'; 125]).repeat(100);
        let mut sent = 0;
        while let Ok(written) = timeout(Duration::from_secs(1), flood.stream.write(&pings)).await {
            sent += written.unwrap();
            assert!(sent < 100_000_000, "it is read for ever");
        }
        let grown = server.resident_bytes().saturating_sub(before);
        assert!(grown < 4_000_000, "{grown} bytes more for {sent} of pings");

        server.feed("buy X 1 7\n");
        assert_eq!(other.text().await, wire("buy", "X", "1", 7));
        lives(&mut other).await;
    }
}

#[tokio::test]
async fn a_client_that_pings_without_end_delays_nobody() {
    let mut server = TestServer::start("--plaintext --shards 1");
    let token = server.token();
    let mut other = server.raw_client(&token).await;
    let flood = server.raw_client(&token).await;
    let MaybeTlsStream::Plain(stream) = flood.stream else {
        unreachable!("the server speaks plaintext");
    };
    let (mut answers, mut pings) = stream.into_split();
    let many = frame(PING, b"").repeat(50_000);
    let flooding = async {
        let mut scratch = vec![0; 64 * 1024];
        let write = async { while pings.write_all(&many).await.is_ok() {} };
        let read = async {
            while answers
                .read(&mut scratch)
                .await
                .is_ok_and(|count| count > 0)
            {}
        };
        tokio::join!(write, read);
    };
    let others = async {
        for price in 1..=20 {
            server.feed(&format!("buy X {price} 7\n"));
            assert_eq!(other.text().await, wire("buy", "X", &price.to_string(), 7));
        }
        lives(&mut other).await;
    };
    tokio::select! {
        () = flooding => panic!("the flood was ended"),
        () = others => {}
    }
}
