//! What is on the disk when a client sees a signal, and what outlives a restart.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod strace;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::{Folder, TestClient, TestServer, wire};
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use strace::{Call, Strace};

const SYNCS: &[&str] = &["fsync", "fdatasync", "sync_file_range", "msync"];
const WRITES: &[&str] = &["write", "writev", "sendto", "sendmsg", "pwrite64"];

/// A signal comes in and reaches a client: the calls from its last write to the log up to its
/// first write to the client's socket.
struct Way {
    calls: Vec<Call>,
    logged: usize,
    /// How far the log goes now was noted.
    noted: Option<usize>,
    sent: usize,
}

impl Way {
    async fn of_a_signal(durability: &str) -> Self {
        let arguments = format!("--plaintext --durability {durability}");
        let mut server = TestServer::start(&arguments);
        let mut client = server.client().await;
        // The first one also makes what is made only once.
        server.feed("buy FIRST 1 1720000000\n");
        assert_eq!(
            client.text().await,
            wire("buy", "FIRST", "1", 1_720_000_000)
        );
        let watched = format!("trace={},{}", SYNCS.join(","), WRITES.join(","));
        // -y: paths of files; -s: enough of what is written to find the symbol in it.
        let arguments = ["-y", "-s", "65536", "-e", &watched];
        let strace = Strace::attach(&server, &server.folder, &arguments);
        server.feed("buy SYNCED 2 1720000000\n");
        assert_eq!(
            client.text().await,
            wire("buy", "SYNCED", "2", 1_720_000_000)
        );
        let calls = strace.detach();
        server.stop();
        let holds = |call: &&Call| call.is(WRITES) && call.text.contains("SYNCED");
        let sent = calls.iter().filter(holds).find(|call| !call.is_on(WAL));
        let sent = sent.expect("the socket was written to").begun;
        let logged = |call: &&Call| call.is(WRITES) && call.is_on(WAL) && call.begun < sent;
        let logged = calls.iter().filter(logged).map(|call| call.ended).max();
        let logged = logged.expect("the log was written to");
        let noted = |call: &&Call| call.is(&["pwrite64"]) && call.is_on("/data/signals.head");
        let noted = calls.iter().find(noted).filter(|call| logged < call.begun);
        let noted = noted.map(|call| call.ended);
        Self {
            calls,
            logged,
            noted,
            sent,
        }
    }

    fn syncs(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(|call| call.is(SYNCS))
    }
}

const WAL: &str = "/data/signals.db-wal";

#[tokio::test]
async fn on_disk_a_signal_is_synced_before_the_first_client_gets_it() {
    let way = Way::of_a_signal("disk").await;
    assert!(way.logged < way.sent, "{:#?}", way.calls);
    let done = |call: &Call| {
        call.is_on(WAL)
            && call.text.ends_with("= 0")
            && way.logged < call.begun
            && call.ended < way.sent
    };
    assert!(way.syncs().any(done), "{:#?}", way.calls);
    assert!(way.noted.unwrap() < way.sent, "{:#?}", way.calls);
}

#[tokio::test]
async fn with_os_nothing_is_waited_for_but_the_signal_is_written_before_the_first_client_gets_it() {
    let way = Way::of_a_signal("os").await;
    assert!(way.logged < way.sent, "{:#?}", way.calls);
    assert!(way.noted.unwrap() < way.sent, "{:#?}", way.calls);
    assert_eq!(way.syncs().count(), 0, "{:#?}", way.calls);
}

fn header<'a>(client: &'a TestClient, name: &str) -> &'a str {
    client.response.headers()[name].to_str().unwrap()
}

fn line(number: u64) -> String {
    format!("buy X {number} 1720000000\n")
}

async fn expect(client: &mut TestClient, number: u64) {
    let wire = wire("buy", "X", &number.to_string(), 1_720_000_000);
    assert_eq!(client.text().await, wire);
}

#[tokio::test]
async fn a_log_keeps_its_epoch_and_its_numbering_over_restarts_and_a_new_one_has_its_own() {
    let folder = Arc::new(Folder::new());
    let mut epochs = Vec::new();
    for number in 1..=3 {
        let mut server = TestServer::start_in(Arc::clone(&folder), "--plaintext");
        let mut client = server.client().await;
        assert_eq!(
            header(&client, "signalcast-last-seq"),
            (number - 1).to_string()
        );
        epochs.push(header(&client, "signalcast-epoch").to_owned());
        server.feed(&line(number));
        expect(&mut client, number).await;
        let mut from_start = server
            .client_at("/?after_seq=0", &server.token())
            .await
            .unwrap();
        for number in 1..=number {
            expect(&mut from_start, number).await;
        }
        drop((client, from_start));
        server.stop();
    }
    epochs.dedup();
    assert_eq!(epochs.len(), 1);

    fs::rename(folder.path("data/signals.db"), folder.path("old.db")).unwrap();
    let server = TestServer::start_in(folder, "--plaintext");
    let client = server.client().await;
    assert_eq!(header(&client, "signalcast-last-seq"), "0");
    assert_ne!(header(&client, "signalcast-epoch"), epochs[0]);
    // Who remembers a seq of the old one is told.
    let headers = format!("Authorization: Bearer {}\r\n", server.token());
    let answer = server.ask("/?after_seq=3", &headers).await;
    assert_eq!(answer.status, 410);
    assert!(answer.body.contains("history_gone"), "{}", answer.body);
    server.stop();
}

/// What the documents tell people to type, in this language.
fn told(language: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/durability.md");
    let text = fs::read_to_string(path).unwrap();
    let begin = format!("```{language}\n");
    let blocks = text.split(&begin).skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks.collect()
}

#[tokio::test]
async fn the_queries_of_the_documents_answer_while_the_server_runs() {
    let mut server = TestServer::start("--plaintext");
    let mut client = server.client().await;
    let stop_loss =
        r#"{"side":"sell","symbol":"Y","price":1.50,"timestamp":1720000000,"stop_loss":"1.40"}"#;
    server.feed(&format!("{}{}{stop_loss}\n", line(1), line(2)));
    client.texts(3).await;
    let path = server.folder.path("data/signals.db");
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let queries = told("sql");
    assert!(queries.len() >= 5);
    for sql in queries {
        let mut query = db
            .prepare(&sql)
            .unwrap_or_else(|error| panic!("{error}: {sql}"));
        assert!(query.readonly(), "{sql}");
        let columns = query.column_count();
        let mut rows = query.query([]).unwrap();
        let row = rows.next().unwrap();
        let row = row.unwrap_or_else(|| panic!("it finds nothing: {sql}"));
        let values: Vec<Value> = (0..columns)
            .map(|column| row.get(column).unwrap())
            .collect();
        assert!(!values.contains(&Value::Null), "{values:?}: {sql}");
    }
    drop(client);
    server.stop();
}

#[tokio::test]
async fn a_backup_taken_while_the_server_runs_is_restored_under_a_new_epoch() {
    let told = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/durability.md"));
    let told = told.unwrap();
    assert!(told.contains("VACUUM INTO") && told.contains("    rm data/signals.head\n"));
    let folder = Arc::new(Folder::new());
    let mut server = TestServer::start_in(Arc::clone(&folder), "--plaintext");
    let mut client = server.client().await;
    let old = header(&client, "signalcast-epoch").to_owned();
    server.feed(&line(1));
    expect(&mut client, 1).await;
    let (log, backup) = (folder.path("data/signals.db"), folder.path("backup.db"));
    let db = Connection::open(&log).unwrap();
    db.execute("VACUUM INTO ?1", [backup.to_str().unwrap()])
        .unwrap();
    drop(db);
    let head_of_backup = folder.read("data/signals.head");
    server.feed(&line(2));
    expect(&mut client, 2).await;
    drop(client);
    server.stop();
    assert!(
        !folder.path("data/signals.db-wal").exists(),
        "a stop leaves one file"
    );

    // The log alone, then with all that stood beside it.
    let mut epochs = vec![old];
    for whole_folder in [false, true] {
        fs::copy(&backup, &log).unwrap();
        let head = folder.path("data/signals.head");
        if whole_folder {
            fs::write(&head, &head_of_backup).unwrap();
            fs::remove_file(&head).unwrap();
        }
        let mut server = TestServer::start_in(Arc::clone(&folder), "--plaintext");
        let mut client = server
            .client_at("/?after_seq=0", &server.token())
            .await
            .unwrap();
        assert_eq!(header(&client, "signalcast-last-seq"), "1");
        let epoch = header(&client, "signalcast-epoch").to_owned();
        assert!(!epochs.contains(&epoch), "{epoch}");
        epochs.push(epoch);
        server.feed(&line(3));
        expect(&mut client, 1).await;
        expect(&mut client, 3).await;
        drop(client);
        server.stop();
    }
}
