//! What operators are given: the unit, the container, the alerts, the dashboard and their
//! documents, each tried as far as it goes without installing it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::Arc;

use rustix::process::Signal;
use serde_json::Value;
use signalcast::metrics::table::{Kind, METRICS, Metric};

mod common;
mod scrape;

use common::{Folder, PATIENCE, TestServer};
use scrape::promql::{Names, Series, names};
use scrape::{MEASURED, Scrape, metrics_address, promtool, repository};

#[tokio::test]
async fn the_service_manager_is_told_when_clients_can_connect_and_when_the_server_stops() {
    let folder = Arc::new(Folder::new());
    let manager = UnixDatagram::bind(folder.path("notify")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut buffer = [0; 1024];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let mut command = folder.command("serve --listen 127.0.0.1:0 --source stdin");
    command.env("NOTIFY_SOCKET", folder.path("notify"));
    let server = TestServer::start_command(folder, command);
    assert_eq!(told(), "READY=1\n");
    let mut client = server.client().await;
    server.signal(Signal::TERM);
    assert_eq!(told(), "STOPPING=1\n");
    assert_eq!(client.expect_close().await.0, 1001);
    assert!(server.wait().0.success());
}

#[tokio::test]
async fn a_service_manager_that_is_not_there_is_a_warning() {
    let folder = Arc::new(Folder::new());
    let mut command = folder.command("serve --listen 127.0.0.1:0 --source stdin");
    command.env("NOTIFY_SOCKET", folder.path("nobody"));
    let server = TestServer::start_command(folder, command);
    server.logged("the service manager can't be told").await;
    server.stop();
}

/// The unit as it is installed, but for the place of the program.
fn unit(folder: &Folder) -> String {
    let unit = fs::read_to_string(repository("deploy/signalcast.service")).unwrap();
    let installed = "/usr/local/bin/signalcast";
    assert!(unit.contains(installed));
    let unit = unit.replace(installed, env!("CARGO_BIN_EXE_signalcast"));
    let path = folder.path("signalcast.service");
    fs::write(&path, unit).unwrap();
    path.to_str().unwrap().to_owned()
}

fn systemd_analyze(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("systemd-analyze").args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("systemd-analyze: {error}; run: make tools"));
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn systemd_understands_the_unit_and_finds_it_hardened() {
    let folder = Folder::new();
    let unit = unit(&folder);
    assert_eq!(
        systemd_analyze(&["verify", "--man=no", &unit]),
        (true, String::new())
    );
    // On its scale of 0.0 to 10.0, "OK" begins below 5; 1.4 when this was written.
    let hardened = ["security", "--offline=true", "--threshold=15", &unit];
    let (fine, said) = systemd_analyze(&hardened);
    assert!(fine, "{said}");
}

#[test]
fn the_container_has_all_it_is_built_from_and_says_what_it_lacks_to_run() {
    let text = fs::read_to_string(repository("deploy/Containerfile")).unwrap();
    let text = text.replace("\\\n", " ");
    let lines = |word: &'static str| {
        text.lines()
            .filter_map(move |line| line.strip_prefix(word)?.strip_prefix(' '))
    };
    let folder = Folder::new();
    for copy in lines("COPY").filter(|copy| !copy.starts_with("--from")) {
        let words: Vec<_> = copy.split_whitespace().collect();
        let (to, from) = words.split_last().unwrap();
        for from in from {
            let copied = Command::new("cp")
                .arg("-r")
                .arg(repository(from))
                .arg(folder.path(to))
                .status();
            assert!(copied.unwrap().success(), "{copy}");
        }
    }
    let manifest = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--locked",
            "--offline",
            "--no-deps",
            "--format-version=1",
        ])
        .current_dir(folder.path(""))
        .output()
        .unwrap();
    assert!(
        manifest.status.success(),
        "{}",
        String::from_utf8_lossy(&manifest.stderr)
    );

    let mut command = folder.command("serve");
    for (name, value) in lines("ENV")
        .flat_map(str::split_whitespace)
        .map(|one| one.split_once('=').unwrap())
    {
        command.env(name, value);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("development certificate"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

/// The metric of this series, whatever part of it that is.
fn metric(series: &str) -> Option<&'static Metric> {
    let exact = METRICS.iter().find(|metric| metric.name == series);
    let part = ["_bucket", "_sum", "_count"].iter().find_map(|part| {
        let name = series.strip_suffix(part)?;
        METRICS
            .iter()
            .find(|metric| metric.name == name && metric.kind == Kind::Histogram)
    });
    exact
        .filter(|metric| metric.kind != Kind::Histogram)
        .or(part)
        .copied()
}

/// Labels that Prometheus adds.
const TARGET: [&str; 2] = ["instance", "job"];

/// Checks that a query names only metrics and labels of the table.
fn check_names(query: &str, names: &Names) {
    let mut known: BTreeSet<&str> = TARGET.into();
    for series in names.series.iter().filter(|series| series.metric != "up") {
        let metric = metric(&series.metric)
            .unwrap_or_else(|| panic!("there is no {}: {query}", series.metric));
        let mut labels: BTreeSet<&str> = metric.labels.iter().copied().chain(TARGET).collect();
        if series.metric.ends_with("_bucket") {
            labels.insert("le");
        }
        for matcher in &series.matchers {
            let label = matcher.label.as_str();
            assert!(
                labels.contains(label),
                "{} has no {label}: {query}",
                series.metric
            );
        }
        known.extend(labels);
    }
    for label in &names.grouped {
        assert!(
            known.contains(label.as_str()),
            "nothing has {label}: {query}"
        );
    }
}

/// Whether a scrape has something for this.
fn is_exposed(scrape: &Scrape, series: &Series) -> bool {
    scrape.values.keys().any(|exposed| {
        let (name, labels) = exposed.split_once('{').unwrap_or((exposed, ""));
        name == series.metric
            && series.matchers.iter().all(|matcher| {
                let is = |value: &str| labels.contains(&format!("{}=\"{value}\"", matcher.label));
                match matcher.operator.as_str() {
                    _ if TARGET.contains(&matcher.label.as_str()) => true,
                    "=" => is(&matcher.value),
                    "=~" => matcher.value.split('|').all(is_one_of(
                        scrape,
                        &series.metric,
                        &matcher.label,
                    )),
                    "!=" => !is(&matcher.value),
                    other => panic!("{other}"),
                }
            })
    })
}

/// Whether each of several values occurs somewhere: one that never does is a typing error.
fn is_one_of<'a>(
    scrape: &'a Scrape,
    metric: &'a str,
    label: &'a str,
) -> impl Fn(&str) -> bool + 'a {
    move |value| {
        let wanted = format!("{label}=\"{value}\"");
        scrape
            .values
            .keys()
            .any(|exposed| exposed.starts_with(metric) && exposed.contains(&wanted))
    }
}

/// What a server exposes that has seen something of everything.
async fn lively_scrape() -> Scrape {
    let mut server =
        TestServer::start(&format!("{MEASURED} --source stdin --source file:none.txt"));
    let address = metrics_address(&server).await;
    let mut client = server.client().await;
    server.feed("buy A 1\nsell A 1\nnonsense\n");
    client.texts(2).await;
    drop(client);
    server.ask("/", "").await;
    server.ask("/nowhere", "").await;
    server.ask("/", "Authorization: Bearer x.y.z\r\n").await;
    Scrape::until(address, "some of everything", |scrape| {
        scrape.sum("signalcast_closes_total") == 1
            && scrape.sum("signalcast_refusals_total") == 3
            && scrape.sum("signalcast_deliveries_total") == 2
    })
    .await
}

fn check_queries(queries: &[String], scrape: &Scrape) {
    assert!(queries.len() > 10);
    let mut rules = "groups:\n- name: queries\n  rules:\n".to_owned();
    for query in queries {
        let names = names(query);
        assert!(!names.series.is_empty(), "{query}");
        check_names(query, &names);
        for series in names.series.iter().filter(|series| series.metric != "up") {
            assert!(
                is_exposed(scrape, series),
                "nothing for {series:?}: {query}"
            );
        }
        let plain = query.replace("$__rate_interval", "5m");
        rules.push_str(&format!(
            "  - record: one\n    expr: {}\n    labels: {{n: \"{}\"}}\n",
            Value::from(plain),
            rules.len()
        ));
    }
    // Prometheus parses all of them.
    let folder = Folder::new();
    fs::write(folder.path("rules.yml"), rules).unwrap();
    promtool(
        &["check", "rules", folder.path("rules.yml").to_str().unwrap()],
        "",
    );
}

#[tokio::test]
async fn the_dashboard_asks_only_for_what_a_server_exposes() {
    let text = fs::read_to_string(repository("deploy/grafana.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut queries = Vec::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let targets = panel["targets"].as_array().into_iter().flatten();
        queries.extend(targets.map(|target| target["expr"].as_str().unwrap().to_owned()));
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    for query in variables
        .iter()
        .filter_map(|variable| variable["query"]["query"].as_str())
    {
        let label = query
            .strip_prefix("label_values(")
            .and_then(|query| query.strip_suffix(')'));
        let (series, label) = label.unwrap().rsplit_once(", ").unwrap();
        assert!(TARGET.contains(&label), "{query}");
        queries.push(series.to_owned());
    }
    check_queries(&queries, &lively_scrape().await);

    // What nobody looks at is not worth counting.
    let shown: BTreeSet<_> = queries
        .iter()
        .flat_map(|query| names(query).series)
        .filter_map(|series| Some(metric(&series.metric)?.name))
        .collect();
    let not_shown: Vec<_> = METRICS
        .iter()
        .map(|metric| metric.name)
        .filter(|name| !shown.contains(name))
        .collect();
    let little_use = [
        "process_virtual_memory_bytes",
        "process_virtual_memory_max_bytes",
        "process_threads",
    ];
    assert_eq!(not_shown, little_use);
}

/// Names and expressions of the alerts.
fn alerts() -> Vec<(String, String)> {
    let text = fs::read_to_string(repository("deploy/alerts.yml")).unwrap();
    let values = |key: &'static str| {
        let lines = text
            .lines()
            .map(|line| line.trim_start().trim_start_matches("- "));
        let found = lines
            .filter_map(move |line| line.strip_prefix(key))
            .map(str::to_owned);
        found.collect::<Vec<_>>()
    };
    let (names, queries) = (values("alert: "), values("expr: "));
    assert_eq!(names.len(), queries.len());
    names.into_iter().zip(queries).collect()
}

#[tokio::test]
async fn the_alerts_are_sound_and_each_is_explained() {
    promtool(&["check", "rules", "--lint-fatal", "deploy/alerts.yml"], "");
    let queries: Vec<_> = alerts().into_iter().map(|(_, query)| query).collect();
    check_queries(&queries, &lively_scrape().await);
    let guide = fs::read_to_string(repository("docs/operations.md")).unwrap();
    for (name, _) in alerts() {
        assert!(
            guide.contains(&format!("**{name}**")),
            "docs/operations.md on {name}"
        );
    }
}

#[test]
fn each_alert_fires_when_it_should_and_not_before() {
    promtool(&["test", "rules", "tests/scrape/alerts.test.yml"], "");
    let tests = fs::read_to_string(repository("tests/scrape/alerts.test.yml")).unwrap();
    for (name, _) in alerts() {
        assert!(
            tests.contains(&format!("alertname: {name}\n")),
            "no test of {name}"
        );
    }
}

#[test]
fn each_metric_is_explained() {
    let guide = fs::read_to_string(repository("docs/operations.md")).unwrap();
    for metric in METRICS {
        let labels = match metric.labels {
            [] => String::new(),
            labels => format!("{{{}}}", labels.join(",")),
        };
        let row = format!("| `{}{labels}` |", metric.name);
        assert!(guide.contains(&row), "docs/operations.md on {row}");
    }
    // And none that is not there.
    let words = guide.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    for word in words.filter(|word| word.starts_with("signalcast_") || word.starts_with("process_"))
    {
        let known = METRICS.iter().any(|metric| metric.name == word) || metric(word).is_some();
        assert!(known, "docs/operations.md names {word}");
    }
}
