//! The words of those who watch a server: scraping it, and reading what came.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses the words it needs")]
#![allow(unreachable_pub, reason = "pub is what the test files see")]

pub mod promql;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use crate::common::schema::{Door, check_answer};
use crate::common::{Answer, PATIENCE, TestServer, patiently};

/// The flag that has a server measured.
pub const MEASURED: &str = "--metrics-listen 127.0.0.1:0";

/// Where this server answers those who watch it.
pub async fn metrics_address(server: &TestServer) -> SocketAddr {
    let told = "metrics are served address=";
    server.logged(told).await;
    let log = server.log();
    let address = log.split_once(told).unwrap().1;
    address.lines().next().unwrap().trim().parse().unwrap()
}

/// Asks for something there.
pub async fn get(address: SocketAddr, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let asked = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        bytes
    };
    let answer = Answer::parse(&patiently("answer", asked).await);
    check_answer(Door::Metrics, request.as_bytes(), &answer);
    answer
}

/// What a scrape brought.
#[derive(Debug)]
pub struct Scrape {
    pub text: String,
    /// The value of each series: `name{label="value"}`.
    pub values: BTreeMap<String, f64>,
}

impl Scrape {
    pub async fn of(address: SocketAddr) -> Self {
        let answer = get(address, "/metrics").await;
        assert_eq!(answer.status, 200);
        let format = "text/plain; version=0.0.4; charset=utf-8";
        assert_eq!(answer.header("content-type"), Some(format));
        Self::parse(answer.body)
    }

    /// Scrapes until something holds.
    pub async fn until(address: SocketAddr, what: &str, holds: impl Fn(&Self) -> bool) -> Self {
        let mut pause = interval(Duration::from_millis(20));
        let mut last = Self::of(address).await;
        let found = async {
            while !holds(&last) {
                pause.tick().await;
                last = Self::of(address).await;
            }
        };
        if timeout(PATIENCE, found).await.is_err() {
            panic!("{what} was never so:\n{}", last.text);
        }
        last
    }

    fn parse(text: String) -> Self {
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let values = lines
            .map(|line| {
                let (series, value) = line.rsplit_once(' ').unwrap();
                (series.to_owned(), value.parse().unwrap())
            })
            .collect();
        Self { text, values }
    }

    /// The value of one series.
    pub fn value(&self, series: &str) -> f64 {
        let value = self.values.get(series);
        *value.unwrap_or_else(|| panic!("no {series}:\n{}", self.text))
    }

    /// The same, as the whole number that it is.
    pub fn count(&self, series: &str) -> u64 {
        let value = self.value(series);
        assert!(value >= 0.0 && value.fract() == 0.0, "{series} {value}");
        format!("{value}").parse().unwrap()
    }

    /// All counts of one metric together.
    pub fn sum(&self, name: &str) -> u64 {
        let series = self.values.keys();
        let of_it = series.filter(|series| series.split('{').next() == Some(name));
        of_it.map(|series| self.count(series)).sum()
    }

    /// What it told of each metric in its `# TYPE` line.
    pub fn types(&self) -> BTreeMap<&str, &str> {
        let lines = self.text.lines();
        lines
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
            .collect()
    }

    /// The label names with which a metric occurs; of histograms without `le`.
    pub fn labels(&self, name: &str) -> BTreeSet<String> {
        let parts = ["", "_bucket", "_sum", "_count"].map(|part| format!("{name}{part}"));
        let series = self
            .values
            .keys()
            .filter_map(|series| series.split_once('{'));
        series
            .filter(|(name, _)| parts.iter().any(|part| part == name))
            .flat_map(|(_, labels)| labels.trim_end_matches('}').split("\","))
            .filter_map(|label| Some(label.split_once('=')?.0.to_owned()))
            .filter(|label| label != "le")
            .collect()
    }
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs promtool with these arguments and this input; it must find nothing wrong.
pub fn promtool(arguments: &[&str], input: &str) -> String {
    let ours = repository(".tools/promtool");
    let program = if ours.exists() {
        ours
    } else {
        "promtool".into()
    };
    let mut child = Command::new(&program)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; run: make tools", program.display()));
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(output.status.success(), "promtool {arguments:?}:\n{said}");
    said
}
