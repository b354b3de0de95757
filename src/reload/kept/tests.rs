use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::config::Refusal;

/// A text that is loaded from two files and good when both say the same, as a certificate and its
/// key belong together. Time is what the test says.
struct Pair {
    dir: tempfile::TempDir,
    kept: Kept<String>,
    now: (Instant, SystemTime),
}

impl Pair {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = ["one", "other"].map(|name| dir.path().join(name));
        for file in &files {
            fs::write(file, "a").unwrap();
        }
        let kept = Kept::new(files.to_vec(), "a".to_owned());
        // The files are no longer being written.
        let now = (Instant::now(), SystemTime::now() + Duration::from_secs(1));
        Self { dir, kept, now }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn pass(&mut self, time: Duration) {
        self.now.0 += time;
        self.now.1 += time;
    }

    /// What the look comes to, and whether it read the files.
    fn see(&mut self, cause: Cause) -> (Outcome, bool) {
        let files = self.kept.files.clone();
        let mut read = false;
        let outcome = self.kept.look(cause, self.now, || {
            read = true;
            load(&files)
        });
        (outcome, read)
    }

    fn look(&mut self) -> Outcome {
        self.see(Cause::Look).0
    }
}

fn load(files: &[PathBuf]) -> Result<String, Refusals> {
    let texts: Vec<String> = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap_or_default())
        .collect();
    if texts[0] == texts[1] && !texts[0].is_empty() {
        Ok(texts[0].clone())
    } else {
        Err(refusal(&texts.join(" and ")))
    }
}

fn refusal(texts: &str) -> Refusals {
    Refusal::new("pair", format!("is {texts}"), "write the same").into()
}

#[test]
fn what_is_new_is_taken_and_what_is_not_is_no_news() {
    let mut pair = Pair::new();
    assert_eq!(pair.see(Cause::Look), (Outcome::Nothing, true));
    pair.pass(Duration::from_secs(10));
    assert_eq!(pair.see(Cause::Look), (Outcome::Nothing, true));
    // Long enough unchanged: not even read.
    assert_eq!(pair.see(Cause::Look), (Outcome::Nothing, false));
    assert_eq!(pair.see(Cause::Asked), (Outcome::Unchanged, true));

    pair.write("one", "b");
    pair.write("other", "b");
    assert_eq!(pair.look(), Outcome::Taken);
    assert_eq!(pair.kept.current(), "b");
    pair.write("one", "b");
    assert_eq!(pair.look(), Outcome::Nothing);
}

#[test]
fn between_the_two_files_of_a_pair_nobody_is_alarmed() {
    let mut pair = Pair::new();
    pair.look();
    pair.write("one", "b");
    for _ in 0..3 {
        assert_eq!(pair.look(), Outcome::Nothing);
        pair.pass(SETTLE / 4);
    }
    pair.write("other", "b");
    assert_eq!(pair.look(), Outcome::Taken);
    pair.pass(2 * SETTLE);
    assert_eq!(pair.look(), Outcome::Nothing);
}

#[test]
fn what_stays_bad_is_told_once_and_again_when_it_was_changed_for_the_worse() {
    let mut pair = Pair::new();
    pair.look();
    for (text, said) in [("b", "b and a"), ("c", "c and a")] {
        pair.write("one", text);
        assert_eq!(pair.look(), Outcome::Nothing);
        pair.pass(SETTLE);
        assert_eq!(pair.look(), Outcome::Refused(refusal(said)));
        for _ in 0..100 {
            pair.pass(Duration::from_secs(1));
            assert_eq!(pair.look(), Outcome::Nothing);
        }
        assert_eq!(pair.kept.current(), "a");
    }
    assert_eq!(
        pair.see(Cause::Asked).0,
        Outcome::Refused(refusal("c and a"))
    );

    // A change that mends nothing comes in between, and does not hide that it was mended.
    pair.write("one", "d");
    assert_eq!(pair.look(), Outcome::Nothing);
    pair.write("one", "a");
    assert_eq!(pair.look(), Outcome::Mended);
    assert_eq!(pair.see(Cause::Asked).0, Outcome::Unchanged);
}

#[test]
fn a_file_that_is_being_written_is_left_in_peace() {
    let mut pair = Pair::new();
    pair.pass(Duration::from_secs(10));
    pair.look();
    pair.write("one", "b");
    pair.write("other", "b");
    pair.now.1 = fs::metadata(&pair.kept.files[1])
        .unwrap()
        .modified()
        .unwrap()
        + Duration::from_millis(1);
    assert_eq!(pair.see(Cause::Look), (Outcome::Nothing, false));
    pair.pass(Duration::from_millis(50));
    assert_eq!(pair.look(), Outcome::Taken);
}

#[test]
fn who_asks_is_told_at_once() {
    let mut pair = Pair::new();
    pair.look();
    pair.write("one", "b");
    assert_eq!(
        pair.see(Cause::Asked).0,
        Outcome::Refused(refusal("b and a"))
    );
    pair.pass(2 * SETTLE);
    assert_eq!(pair.look(), Outcome::Nothing);
}

#[test]
fn trouble_that_passes_without_a_change_of_the_files_is_noticed() {
    let mut pair = Pair::new();
    pair.pass(Duration::from_secs(10));
    let mut look = |good: bool| {
        pair.pass(SETTLE);
        let load = || match good {
            true => Ok("a".to_owned()),
            false => Err(refusal("out of reach")),
        };
        pair.kept.look(Cause::Look, pair.now, load)
    };
    assert_eq!(look(false), Outcome::Nothing);
    assert_eq!(look(false), Outcome::Refused(refusal("out of reach")));
    assert_eq!(look(true), Outcome::Nothing, "not so soon");
    for _ in 0..5 {
        look(false);
    }
    let mended = (0..10)
        .map(|_| look(true))
        .find(|it| *it != Outcome::Nothing);
    assert_eq!(mended, Some(Outcome::Mended));
    assert_eq!(look(true), Outcome::Nothing);
}

#[test]
fn a_change_is_seen_in_whatever_way_it_is_made() {
    let mut pair = Pair::new();
    let path = |pair: &Pair, name: &str| pair.dir.path().join(name);
    let settle = |pair: &mut Pair, how: &str| {
        // As if it had been so for long: nothing is read without a change.
        pair.pass(Duration::from_secs(10));
        pair.look();
        assert!(!pair.see(Cause::Look).1, "before {how}");
    };
    settle(&mut pair, "rights");
    fs::set_permissions(path(&pair, "one"), Permissions::from_mode(0o600)).unwrap();
    assert!(pair.see(Cause::Look).1, "rights");

    settle(&mut pair, "a new file of the same name");
    fs::copy(path(&pair, "one"), path(&pair, "draft")).unwrap();
    fs::rename(path(&pair, "draft"), path(&pair, "one")).unwrap();
    assert!(pair.see(Cause::Look).1, "a new file of the same name");

    settle(&mut pair, "a link in its place");
    fs::copy(path(&pair, "one"), path(&pair, "first")).unwrap();
    fs::copy(path(&pair, "one"), path(&pair, "second")).unwrap();
    fs::remove_file(path(&pair, "one")).unwrap();
    symlink("first", path(&pair, "one")).unwrap();
    assert!(pair.see(Cause::Look).1, "a link in its place");

    settle(&mut pair, "a link to another file");
    symlink("second", path(&pair, "draft")).unwrap();
    fs::rename(path(&pair, "draft"), path(&pair, "one")).unwrap();
    assert!(pair.see(Cause::Look).1, "a link to another file");

    settle(&mut pair, "the linked file");
    pair.write("second", "c");
    assert!(pair.see(Cause::Look).1, "the linked file");

    pair.write("second", "a");
    settle(&mut pair, "its end");
    fs::remove_file(path(&pair, "other")).unwrap();
    assert!(pair.see(Cause::Look).1, "its end");
}
