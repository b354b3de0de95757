//! Files that are there at the start but can't be opened then. A program of its own, since it uses
//! up its file descriptors.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod source;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signalcast::source::{Bookmarks, Sources};
use source::{Run, spec};
use tokio::time::timeout;

/// Takes all file descriptors there are, while it is held.
fn no_descriptors() -> Vec<File> {
    let limit = Rlimit {
        current: Some(64),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

#[tokio::test]
async fn what_was_there_at_the_start_is_not_new_when_it_can_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let append = |name: &str, text: &str| {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path(name))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    fs::create_dir(path("many")).unwrap();
    for name in ["one", "other", "many/a", "many/b"] {
        append(name, "old\n");
    }
    let sources = ["one", "other", "many/*", "late"]
        .map(|name| spec(&format!("file:{}", path(name).display())));

    let taken = no_descriptors();
    let sources = Sources::prepare(&sources, Bookmarks::new()).unwrap();
    drop(taken);
    append("one", "new\n");
    fs::remove_file(path("other")).unwrap();
    append("other", "a\n");
    append("late", "late\n");
    let mut run = Run::start(sources);

    let folder = format!("{}/", folder.path().display());
    let mut lines = Vec::new();
    for _ in 0..3 {
        lines.push(run.line().await.replace(&folder, ""));
    }
    lines.sort();
    assert_eq!(lines, ["late:1@0 late", "one:2@4 new", "other:1@0 a"]);
    // What was written before the folder could be looked into is taken for old: when that was,
    // only the first line that comes can tell.
    let first = loop {
        append("many/a", "new\n");
        if let Ok(line) = timeout(Duration::from_millis(50), run.line()).await {
            break line.replace(&folder, "");
        }
    };
    assert!(first.starts_with("many/a:") && first.ends_with(" new"));
    append("many/later", "all of it\n");
    let mut line = run.line().await;
    while line.ends_with(" new") {
        line = run.line().await;
    }
    assert_eq!(line.replace(&folder, ""), "many/later:1@0 all of it");
    run.stop().await;
}
