//! The least that a log can cost: rows into the server's own table, and nothing else.

use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, process as this};

use rusqlite::Connection;

use super::lines::{self, FIRST_TIMESTAMP, Ids, PRICE};
use super::process;
use super::server::PATIENCE;

/// What a loop took, in a process of its own.
pub struct Taken {
    pub cpu: Duration,
    pub wall: Duration,
}

/// Inserts signals of these numbers, which are their seqs, in transactions of 1,000 rows.
pub fn insert(database: &Path, numbers: Range<u64>, ids: Ids) -> Taken {
    let start = Instant::now();
    let mut child = Command::new(env::current_exe().unwrap())
        .arg(ASKED)
        .arg(database)
        .args([numbers.start.to_string(), numbers.end.to_string()])
        .arg(if ids == Ids::Random { "random" } else { "made" })
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let (status, cpu) = process::end(&mut child, 4 * PATIENCE);
    assert!(status.success(), "the loop ended with {status}");
    let wall = start.elapsed();
    Taken { cpu, wall }
}

/// Has all of it in the one file, as after a server that ended well.
pub fn tidy(database: &Path) {
    let db = Connection::open(database).unwrap();
    db.query_row("PRAGMA wal_checkpoint(truncate)", [], |_| Ok(()))
        .unwrap();
}

/// The first and the last seq of a log.
pub fn range(database: &Path) -> (u64, u64) {
    let db = Connection::open(database).unwrap();
    let seq = |which| {
        let sql = format!("SELECT {which}(seq) FROM signals");
        db.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    (
        u64::try_from(seq("min")).unwrap(),
        u64::try_from(seq("max")).unwrap(),
    )
}

/// Is the loop, if this process was started as one. To be called first.
pub fn run_if_asked() {
    let words: Vec<String> = env::args().collect();
    if words.get(1).is_some_and(|word| word == ASKED) {
        let number = |at: usize| words[at].parse().unwrap();
        let ids = if words[5] == "random" {
            Ids::Random
        } else {
            Ids::Made
        };
        run(Path::new(&words[2]), number(3)..number(4), ids);
        this::exit(0);
    }
}

const ASKED: &str = "--bare-loop";
const ROWS_IN_A_TRANSACTION: u64 = 1000;

/// When signal 0 was received, in microseconds; the next ones a millisecond apart.
const FIRST_RECEIVED_AT: u64 = FIRST_TIMESTAMP * 1_000_000;

/// When this signal was received, as RFC 3339.
pub fn received_at(number: u64) -> String {
    let micros = FIRST_RECEIVED_AT + number * 1000;
    jiff::Timestamp::from_microsecond(micros.cast_signed())
        .unwrap()
        .to_string()
}

fn run(database: &Path, numbers: Range<u64>, ids: Ids) {
    let db = Connection::open(database).unwrap();
    // As the server has it. It moves the write-ahead log into the database at the same length, but
    // on another thread.
    let pragmas = [
        ("cache_size", "-32768"),
        ("temp_store", "memory"),
        ("synchronous", "normal"),
    ];
    for (name, value) in pragmas {
        db.pragma_update(None, name, value).unwrap();
    }
    let checkpoints = |_: &rusqlite::Row<'_>| Ok(());
    db.pragma_update_and_check(None, "wal_autocheckpoint", 4096, checkpoints)
        .unwrap();
    let columns = columns(&db);
    let places = vec!["?"; columns.len()].join(",");
    let sql = format!(
        "INSERT INTO signals ({}) VALUES ({places})",
        columns.join(",")
    );
    let mut insert = db.prepare(&sql).unwrap();
    let mut content = Vec::new();
    for number in numbers.clone() {
        if (number - numbers.start).is_multiple_of(ROWS_IN_A_TRANSACTION) {
            db.execute_batch(if number == numbers.start {
                "BEGIN"
            } else {
                "COMMIT; BEGIN"
            })
            .unwrap();
        }
        content.clear();
        lines::write_content(&mut content, number, 0);
        for (at, column) in columns.iter().enumerate() {
            let mut text = |text: &[u8]| {
                insert
                    .raw_bind_parameter(at + 1, std::str::from_utf8(text).unwrap())
                    .unwrap();
            };
            let integer = match column.as_str() {
                "id" => {
                    text(&lines::random_id(number));
                    continue;
                }
                "type" => {
                    text(b"buy");
                    continue;
                }
                "symbol" => {
                    text(b"BTCUSDT");
                    continue;
                }
                "price" => {
                    text(PRICE.as_bytes());
                    continue;
                }
                "source" => {
                    text(b"stdin");
                    continue;
                }
                "content" => {
                    text(&content);
                    continue;
                }
                // Not bound: NULL.
                "stale_after" => continue,
                "seq" => number,
                "id_given" => u64::from(ids == Ids::Random),
                "timestamp" => FIRST_TIMESTAMP + number,
                "is_test" => 0,
                "received_at" => FIRST_RECEIVED_AT + number * 1000,
                other => panic!("the log has a column {other} that this loop does not know"),
            };
            insert
                .raw_bind_parameter(at + 1, integer.cast_signed())
                .unwrap();
        }
        insert.raw_execute().unwrap();
    }
    db.execute_batch("COMMIT").unwrap();
}

fn columns(db: &Connection) -> Vec<String> {
    let mut columns = db
        .prepare("SELECT name FROM pragma_table_info('signals')")
        .unwrap();
    let columns = columns.query_map([], |row| row.get(0)).unwrap();
    columns.map(Result::unwrap).collect()
}
