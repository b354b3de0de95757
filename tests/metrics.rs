//! `/metrics`: what is counted is what happened, under the names of the one table.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::sync::Arc;

use signalcast::metrics::table::{BUCKETS, Kind, METRICS};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

mod common;
mod scrape;

use common::{Folder, Reader, TestServer, patiently, upgrade_request};
use scrape::{MEASURED, Scrape, get, metrics_address, promtool};

#[tokio::test]
async fn signals_deliveries_and_unreadable_lines_are_counted() {
    let mut server = TestServer::start(&format!("{MEASURED} --shards 2"));
    let address = metrics_address(&server).await;
    let start = Scrape::of(address).await;
    assert_eq!(start.count("signalcast_head_seq"), 0);
    let last_signal = r#"signalcast_source_last_signal_timestamp_seconds{source="stdin"}"#;
    assert_eq!(start.count(last_signal), 0);

    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(server.client().await);
    }
    server.feed("buy A 1 1\nbuy A 1 2\nsell A 1 3\nhold A\n");
    server.feed("{\"id\":\"a\",\"side\":\"buy\",\"symbol\":\"A\",\"price\":1}\n");
    server.feed("{\"id\":\"a\",\"side\":\"sell\",\"symbol\":\"A\",\"price\":1}\n");
    server.feed("sell A 1 9\n");
    let mut frames = 0;
    for client in &mut clients {
        let texts = client.texts(5).await;
        frames += texts.iter().map(|text| 2 + text.len() as u64).sum::<u64>();
    }
    // A pass counts when it has ended, which is after its clients have what it wrote.
    let seen = Scrape::until(address, "15 deliveries", |scrape| {
        scrape.count("signalcast_deliveries_total") == 15
    })
    .await;
    let stdin = |name: &str, side: &str| {
        seen.count(&format!("signalcast_{name}{{source=\"stdin\"{side}}}"))
    };
    assert_eq!(stdin("signals_total", ",type=\"buy\""), 3);
    assert_eq!(
        stdin("signals_total", ",type=\"sell\""),
        3,
        "with the duplicate"
    );
    assert_eq!(stdin("dead_letters_total", ""), 1);
    assert_eq!(stdin("source_up", ""), 1);
    assert!(stdin("source_last_signal_timestamp_seconds", "") > 1_700_000_000);
    assert_eq!(seen.count("signalcast_duplicates_total"), 1);
    assert_eq!(seen.count("signalcast_head_seq"), 5);
    assert_eq!(seen.count("signalcast_clients"), 3);
    assert_eq!(seen.sum("signalcast_clients_behind"), 0);
    // TLS adds 22 bytes to each record.
    let sent = seen.count("signalcast_sent_bytes_total");
    assert!(
        sent > frames && sent <= frames + 15 * 22,
        "{sent} for {frames}"
    );
    let commits = seen.count("signalcast_journal_commit_seconds_count");
    assert!((1..=7).contains(&commits), "{commits}");

    // As many as there were passes that reached anybody, on each of two shards.
    let count = |client: &str| {
        seen.count(&format!(
            "signalcast_delivery_seconds_count{{client=\"{client}\"}}"
        ))
    };
    assert!((2..=10).contains(&count("first")), "{}", count("first"));
    assert_eq!(count("first"), count("last"));
    let time = |client: &str| {
        seen.value(&format!(
            "signalcast_delivery_seconds_sum{{client=\"{client}\"}}"
        ))
    };
    assert!(
        time("first") > 0.0 && time("first") < time("last"),
        "{}",
        seen.text
    );

    drop(server.take_feed());
    Scrape::until(address, "the end of stdin", |scrape| {
        scrape.count(r#"signalcast_source_up{source="stdin"}"#) == 0
    })
    .await;
}

#[tokio::test]
async fn who_is_refused_and_who_leaves_is_counted_by_reason() {
    let server = TestServer::start(&format!("{MEASURED} --limits-connections 3"));
    let address = metrics_address(&server).await;
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    assert_eq!(server.ask("/", "").await.status, 401);
    assert_eq!(server.ask("/", &bearer("x.y.z")).await.status, 401);
    assert_eq!(server.ask("/elsewhere", "").await.status, 404);
    let blind = server.folder.token("--sub b --scope signals:test");
    assert_eq!(server.ask("/", &bearer(&blind)).await.status, 403);
    assert_eq!(server.exchange(b"GET\r\n\r\n").await.status, 400);
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    drop(TcpStream::connect(server.address).await.unwrap());

    let (mut polite, rude, mut binary) = (
        server.client().await,
        server.client().await,
        server.client().await,
    );
    assert_eq!(server.ask("/", &bearer(&server.token())).await.status, 503);
    patiently("close", polite.socket.close(None)).await.unwrap();
    drop(rude);
    let bytes = tokio_tungstenite::tungstenite::Message::binary(vec![1]);
    patiently("send", futures::SinkExt::send(&mut binary.socket, bytes))
        .await
        .unwrap();
    assert_eq!(binary.expect_close().await.0, 1003);
    drop(binary);

    let expected = [
        ("refusals_total{code=\"missing_token\"}", 1),
        ("refusals_total{code=\"invalid_token\"}", 1),
        ("refusals_total{code=\"not_found\"}", 1),
        ("refusals_total{code=\"insufficient_scope\"}", 1),
        ("refusals_total{code=\"overloaded\"}", 1),
        ("auth_failures_total{reason=\"missing_token\"}", 1),
        ("auth_failures_total{reason=\"malformed\"}", 1),
        ("auth_failures_total{reason=\"insufficient_scope\"}", 1),
        ("handshake_failures_total{reason=\"http\"}", 1),
        ("handshake_failures_total{reason=\"not_tls\"}", 1),
        ("handshake_failures_total{reason=\"closed\"}", 1),
        ("closes_total{by=\"client\",code=\"1005\"}", 1),
        ("closes_total{by=\"network\",code=\"1006\"}", 1),
        ("closes_total{by=\"server\",code=\"1003\"}", 1),
        ("connections_total", 11),
        ("clients", 0),
        ("clients_limit", 3),
    ];
    let so = |scrape: &Scrape, (name, count): &(&str, u64)| {
        scrape.count(&format!("signalcast_{name}")) == *count
    };
    let seen = Scrape::until(address, "all of it", |scrape| {
        expected.iter().all(|expected| so(scrape, expected))
    });
    seen.await;
}

#[tokio::test]
async fn a_client_that_reads_too_slowly_is_seen_with_its_lag_until_it_has_caught_up() {
    let mut server = TestServer::start(&format!("{MEASURED} --shards 1"));
    let address = metrics_address(&server).await;
    let mut slow = server.deaf_client().await;
    let mut feed = server.take_feed();
    let feeder = std::thread::spawn(move || {
        let lines: String = (0..40_000).map(|n| format!("buy A 1 {n}\n")).collect();
        std::io::Write::write_all(&mut feed, lines.as_bytes()).unwrap();
        feed
    });
    let behind = r#"signalcast_clients_behind{shard="0"}"#;
    let lag = r#"signalcast_client_lag_signals{shard="0"}"#;
    let seen = Scrape::until(address, "a client behind", |scrape| {
        scrape.count("signalcast_head_seq") == 40_000 && scrape.count(behind) == 1
    })
    .await;
    let feed = feeder.join().unwrap();
    // The look that showed it may be older than the last signals.
    let seen = Scrape::until(address, "its lag", |now| {
        now.count(lag) + now.count("signalcast_deliveries_total") == 40_000
    })
    .await
    .count(lag)
        + seen.count(behind);
    assert!(seen > 1000, "{seen}");
    slow.texts(40_000).await;
    let seen = Scrape::until(address, "nobody behind", |scrape| {
        scrape.count(behind) == 0 && scrape.count(lag) == 0
    })
    .await;
    assert_eq!(seen.count("signalcast_deliveries_total"), 40_000);
    drop(feed);
}

#[tokio::test]
async fn what_is_exposed_is_the_table_and_nothing_else() {
    let server = TestServer::start(MEASURED);
    let address = metrics_address(&server).await;
    let seen = Scrape::of(address).await;
    let exposed: BTreeSet<_> = seen.types().into_keys().collect();
    let table: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(exposed, table);
    for metric in METRICS {
        let name = metric.name;
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        assert_eq!(seen.types()[name], kind, "{name}");
        let help = format!("# HELP {name} {}\n", metric.help);
        assert!(seen.text.contains(&help), "{help}");
        let labels: BTreeSet<_> = metric
            .labels
            .iter()
            .map(|label| (*label).to_owned())
            .collect();
        assert_eq!(seen.labels(name), labels, "{name}");
        if metric.kind == Kind::Histogram {
            let buckets = format!("{name}_bucket");
            let of_it = |series: &&String| series.starts_with(&buckets);
            let count = seen.values.keys().filter(of_it).count();
            let each = BUCKETS.len() + 1;
            assert!(count > 0 && count % each == 0, "{name}: {count}");
        }
    }
    server.stop();
}

#[tokio::test]
async fn promtool_finds_nothing_to_object_to() {
    let mut server = TestServer::start(MEASURED);
    let address = metrics_address(&server).await;
    let mut client = server.client().await;
    server.feed("buy A 1\nnonsense\n");
    client.text().await;
    let seen = Scrape::of(address).await;
    let said = promtool(&["check", "metrics"], &seen.text);
    assert_eq!(said, "");
    // It has rules that we could break.
    let bad =
        std::panic::catch_unwind(|| promtool(&["check", "metrics"], "# TYPE a counter\na 1\n"));
    assert!(bad.is_err());
}

#[tokio::test]
async fn a_port_that_is_in_use_keeps_the_server_from_starting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = Folder::new();
    let output = folder.run(&format!(
        "serve --listen 127.0.0.1:0 --metrics-listen 127.0.0.1:{port} --source stdin"
    ));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let expected = format!("signalcast: can't listen on 127.0.0.1:{port}: Address already in use");
    assert!(said.contains(&expected), "{said}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
}

#[tokio::test]
async fn the_port_for_metrics_answers_nothing_else_and_the_port_for_clients_has_no_metrics() {
    let server = TestServer::start(MEASURED);
    let address = metrics_address(&server).await;
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/", 404),
        ("/ws", 404),
    ] {
        let answer = get(address, path).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("connection"), Some("close"), "{path}");
    }
    let headers = format!("Authorization: Bearer {}\r\n", server.token());
    assert_eq!(server.ask("/metrics", &headers).await.code(), "not_found");
    // Whoever says nothing, or no HTTP, does not keep others from it.
    let mut silent = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"\x16\x03\x01").await.unwrap();
        silent.push(stream);
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    Scrape::of(address).await;
    server.stop();
}

#[tokio::test]
async fn readyz_tells_the_log_the_drain_and_the_sources() {
    let mut server = TestServer::start(&format!(
        "{MEASURED} --drain 20s --source stdin --source file:later.txt"
    ));
    let address = metrics_address(&server).await;
    let ready = |answer: common::Answer| {
        let mut body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        // How full this machine's disk is nobody knows.
        let disk = body["checks"].as_object_mut().unwrap().remove("disk");
        let disk = disk.unwrap().as_str().unwrap().to_owned();
        assert!(disk == "ok" || disk.ends_with(" % full"), "{disk}");
        (answer.status, body)
    };
    let mut deaf = server.deaf_client().await;
    let expected = serde_json::json!({
        "status": "ready",
        "checks": {
            "log": "ok",
            "draining": false,
            "halted": false,
            "sources": { "stdin": { "state": "live" }, "file:later.txt": { "state": "waiting" } },
        },
    });
    let mut pause = tokio::time::interval(std::time::Duration::from_millis(10));
    patiently("the sources' states", async {
        while ready(get(address, "/readyz").await) != (200, expected.clone()) {
            pause.tick().await;
        }
    })
    .await;
    let request = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(ready(server.exchange(request).await), (200, expected));

    // A client that does not read holds up the end, so there is time to look.
    let lines: String = (0..40_000).map(|n| format!("buy A 1 {n}\n")).collect();
    server.folder.append("later.txt", &lines);
    Scrape::until(address, "40,000 signals", |scrape| {
        scrape.count("signalcast_head_seq") == 40_000
    })
    .await;
    server.signal(rustix::process::Signal::TERM);
    let seen = Scrape::until(address, "the drain", |scrape| {
        scrape.count("signalcast_draining") == 1
    })
    .await;
    assert_eq!(seen.count("signalcast_clients"), 1);
    let (status, body) = ready(get(address, "/readyz").await);
    assert_eq!((status, &body["status"]), (503, &"draining".into()));
    assert_eq!(body["checks"]["draining"], true);
    let (texts, code) = deaf.texts_until_close().await;
    assert_eq!((texts.len(), code), (40_000, 1001));
    drop(deaf);
    drop(server.take_feed());
    assert!(server.wait().0.success());
}

#[tokio::test]
async fn lines_that_a_full_standard_error_costs_are_counted_and_signals_go_on() {
    // Nobody reads the log, which would tell the address.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap();
    drop(free);
    let folder = Arc::new(Folder::new());
    // Each of them is a line of the log: it can't be followed.
    fs::create_dir(folder.path("many")).unwrap();
    for number in 0..12_000 {
        symlink("/dev/null", folder.path(format!("many/{number}"))).unwrap();
    }
    let command = folder.command(&format!(
        "serve --listen 127.0.0.1:0 --metrics-listen {port} --source stdin --source file:many/*"
    ));
    let mut server =
        TestServer::start_read(folder, command, Stdio::piped(), Reader::OfOneLineAndNoLog);
    let mut client = server.client().await;
    let dropped = "signalcast_log_lines_dropped_total";
    Scrape::until(port, "a full log", |scrape| scrape.count(dropped) > 0).await;
    let before = Scrape::of(port).await.count(dropped);
    for number in 0..100 {
        server.feed(&format!("buy A 1 {number}\n"));
        client.text().await;
    }
    assert!(Scrape::of(port).await.count(dropped) >= before);
    server.signal(rustix::process::Signal::KILL);
    server.wait();
}

#[tokio::test]
async fn nothing_a_client_sends_becomes_a_label() {
    let server = TestServer::start(MEASURED);
    let address = metrics_address(&server).await;
    let before: BTreeSet<_> = Scrape::of(address).await.values.into_keys().collect();
    for path in ["/", "/evil", "/metrics", "/ws?evil"] {
        for headers in [
            "",
            "Authorization: Bearer evil\r\n",
            "Authorization: evil e\r\n",
        ] {
            server
                .exchange(
                    upgrade_request(path, headers)
                        .replace("GET", "EVIL")
                        .as_bytes(),
                )
                .await;
            server.ask(path, headers).await;
        }
    }
    for code in [1000, 1001, 3333, 4999] {
        use tokio_tungstenite::tungstenite::protocol::CloseFrame;
        let mut client = server.client().await;
        let frame = CloseFrame {
            code: code.into(),
            reason: "evil".into(),
        };
        patiently("close", client.socket.close(Some(frame)))
            .await
            .unwrap();
    }
    let seen = Scrape::until(address, "four closes", |scrape| {
        scrape.sum("signalcast_closes_total") == 4
    })
    .await;
    assert!(!seen.text.contains("evil"), "{}", seen.text);
    let after: BTreeSet<_> = seen.values.into_keys().collect();
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_certificate_that_is_refused_or_replaced_while_the_server_runs_is_seen() {
    let server = TestServer::start(MEASURED);
    let address = metrics_address(&server).await;
    let reloads =
        |outcome| format!("signalcast_reloads_total{{what=\"certificate\",outcome=\"{outcome}\"}}");
    let refused_now = r#"signalcast_reload_refused{what="certificate"}"#;
    let expires = "signalcast_certificate_expires_timestamp_seconds";
    let start = Scrape::of(address).await;
    assert_eq!(start.count(&reloads("taken")), 0);
    assert_eq!(start.count(refused_now), 0);
    let expiry = start.count(expires);
    assert!(expiry > 1_700_000_000);

    let good = server.folder.read("certs/server.pem");
    fs::write(server.folder.path("certs/server.pem"), "no certificate").unwrap();
    server.signal(rustix::process::Signal::HUP);
    // A scrape in between may have one without the other.
    let seen = Scrape::until(address, "the refusal", |scrape| {
        scrape.count(refused_now) == 1 && scrape.count(&reloads("refused")) == 1
    })
    .await;
    assert_eq!(seen.count(expires), expiry);
    fs::write(server.folder.path("certs/server.pem"), good).unwrap();
    server.signal(rustix::process::Signal::HUP);
    Scrape::until(address, "the old one", |scrape| {
        scrape.count(refused_now) == 0
    })
    .await;

    let key = rcgen::KeyPair::generate().unwrap();
    let mut other = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    other.not_after = rcgen::date_time_ymd(2199, 1, 1);
    let other = other.self_signed(&key).unwrap();
    // The file with the key stays readable by its owner only.
    fs::write(server.folder.path("certs/server.key"), key.serialize_pem()).unwrap();
    fs::write(server.folder.path("certs/server.pem"), other.pem()).unwrap();
    server.signal(rustix::process::Signal::HUP);
    let seen = Scrape::until(address, "the new one", |scrape| {
        scrape.count(&reloads("taken")) == 1
    })
    .await;
    assert_eq!(seen.count(expires), 7_226_582_400, "2199-01-01");
    server.stop();
}
