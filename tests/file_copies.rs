//! What a `file:` source does with copies of the files that it follows.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod source;

use signalcast::source::{Bookmarks, Sources};
use source::{Folder, Run, lines, spec};

/// A folder with `live.jsonl` in it, of which this much was read.
async fn followed(read: &str) -> (Folder, Run) {
    let folder = Folder::new();
    let mut run = folder.run("*.jsonl");
    folder.append("live.jsonl", read);
    folder.texts(&mut run, read.lines().count()).await;
    (folder, run)
}

#[tokio::test]
async fn a_copy_is_not_read_and_what_is_added_to_it_is() {
    for count in [13, 50, 60, 1000, 20_000] {
        let (folder, mut run) = followed(&lines("live", 0..count)).await;
        folder.copy("live.jsonl", "live-1.jsonl");
        folder.append("live.jsonl", "next\n");
        assert_eq!(
            folder.line(&mut run).await,
            format!("live.jsonl:{}@{} next", count + 1, 20 * count)
        );
        folder.append("live-1.jsonl", "own\n");
        assert_eq!(
            folder.line(&mut run).await,
            format!("live-1.jsonl:{}@{} own", count + 1, 20 * count)
        );
        assert_eq!(run.stop().await, []);
    }
}

#[tokio::test]
async fn a_copy_whose_original_was_truncated_at_once_is_not_read() {
    for count in [13, 50, 60, 1000, 20_000] {
        let (folder, mut run) = followed(&lines("live", 0..count)).await;
        folder.copy("live.jsonl", "live-1.jsonl");
        folder.write("live.jsonl", "next\n");
        assert_eq!(folder.line(&mut run).await, "live.jsonl:1@0 next");
        assert_eq!(run.stop().await, []);
    }
}

/// What happens between two looks, so that all of it is seen at once.
fn unseen(old: &str, change: impl FnOnce(&Folder)) -> (Folder, Run) {
    let folder = Folder::new();
    folder.append("live.jsonl", old);
    let sources = Sources::prepare(&[spec(&folder.source("*.jsonl"))], Bookmarks::new()).unwrap();
    change(&folder);
    let run = Run::start(sources);
    (folder, run)
}

#[tokio::test]
async fn lines_that_only_the_copy_has_come_once_from_it() {
    for count in [13, 50, 60, 1000, 20_000] {
        let (folder, mut run) = followed(&lines("live", 0..count)).await;
        // The copy can be complete before the source has looked at the new lines.
        for round in 0..50 {
            let name = format!("live-{round}.jsonl");
            folder.append("live.jsonl", &lines("last", round..round + 1));
            folder.copy("live.jsonl", &name);
            folder.write("live.jsonl", &lines("next", 20 * round..20 * round + 20));
            let mut texts = folder.texts(&mut run, 21).await;
            texts.sort();
            let expected = [
                lines("last", round..round + 1),
                lines("next", 20 * round..20 * round + 20),
            ];
            assert_eq!(texts, expected.concat().lines().collect::<Vec<_>>());
        }
        assert_eq!(run.stop().await, []);
    }
}

#[tokio::test]
async fn lines_that_were_never_looked_at_before_the_truncation_come_from_the_copy() {
    let old = lines("old", 0..1000);
    let (folder, mut run) = unseen(&old, |folder| {
        folder.append("live.jsonl", &lines("last", 0..500));
        folder.copy("live.jsonl", "live-1.jsonl");
        folder.write("live.jsonl", &lines("next", 0..10));
    });
    let mut texts = folder.texts(&mut run, 510).await;
    texts.sort();
    let expected = lines("last", 0..500) + &lines("next", 0..10);
    assert_eq!(texts, expected.lines().collect::<Vec<_>>());
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn a_copy_without_the_last_lines_of_its_original_is_not_read() {
    let (folder, mut run) = followed(&lines("live", 0..1000)).await;
    folder.copy("live.jsonl", "aside");
    folder.append("live.jsonl", &lines("last", 0..50));
    folder.texts(&mut run, 50).await;
    folder.rename("aside", "live-1.jsonl");
    folder.write("live.jsonl", "next\n");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:1@0 next");
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn a_copy_that_is_being_written_is_not_read_either() {
    let text = lines("live", 0..10_000);
    let (folder, mut run) = followed(&text).await;
    for (piece, part) in text.as_bytes().chunks(70_000).enumerate() {
        folder.append("live-1.jsonl", std::str::from_utf8(part).unwrap());
        folder.append("other.jsonl", &format!("{piece}\n"));
        // Somebody else's line shows that the piece was looked at.
        assert!(folder.line(&mut run).await.ends_with(&format!(" {piece}")));
        if piece == 1 {
            folder.write("live.jsonl", "next\n");
            assert_eq!(folder.line(&mut run).await, "live.jsonl:1@0 next");
        }
    }
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn a_file_that_begins_like_another_one_is_read_whole() {
    let header = lines("# header", 0..20);
    for same in [0, 1, 30, 100] {
        let (folder, mut run) = followed(&(header.clone() + &lines("live", 0..200))).await;
        let text = header.clone() + &lines("live", 0..same) + "own\n";
        folder.append("other.jsonl", &text);
        let texts = folder.texts(&mut run, text.lines().count()).await;
        assert_eq!(texts, text.lines().collect::<Vec<_>>());
        assert_eq!(run.stop().await, []);
    }
}

#[tokio::test]
async fn a_file_that_begins_like_one_that_was_truncated_is_read_whole() {
    let header = lines("# header", 0..20);
    for same in [0, 1, 30] {
        let (folder, mut run) = followed(&(header.clone() + &lines("live", 0..200))).await;
        folder.write("live.jsonl", "next\n");
        assert_eq!(folder.line(&mut run).await, "live.jsonl:1@0 next");
        let text = header.clone() + &lines("live", 0..same) + "own\n";
        folder.append("other.jsonl", &text);
        let texts = folder.texts(&mut run, text.lines().count()).await;
        assert_eq!(texts, text.lines().collect::<Vec<_>>());
        assert_eq!(run.stop().await, []);
    }
}

#[tokio::test]
async fn a_copy_of_less_than_256_bytes_is_read() {
    let text = lines("live", 0..12);
    let (folder, mut run) = followed(&text).await;
    folder.copy("live.jsonl", "live-1.jsonl");
    assert_eq!(
        folder.texts(&mut run, 12).await,
        text.lines().collect::<Vec<_>>()
    );
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn a_file_followed_from_its_end_is_known_by_all_of_it() {
    let old = lines("old", 0..5000);
    let (folder, mut run) = unseen(&old, |folder| {
        folder.copy("live.jsonl", "live-1.jsonl");
        folder.append("live.jsonl", "one\n");
    });
    assert_eq!(folder.line(&mut run).await, "live.jsonl:5001@100000 one");
    folder.append("live-1.jsonl", "two\n");
    assert_eq!(folder.line(&mut run).await, "live-1.jsonl:5001@100000 two");
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn a_copy_of_a_copy_is_not_read() {
    let (folder, mut run) = followed(&lines("live", 0..100)).await;
    for (from, to) in [
        ("live", "live-1"),
        ("live-1", "live-2"),
        ("live-2", "live-3"),
    ] {
        folder.copy(&format!("{from}.jsonl"), &format!("{to}.jsonl"));
    }
    folder.append("live-2.jsonl", "one\n");
    assert_eq!(folder.line(&mut run).await, "live-2.jsonl:101@2000 one");
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn a_file_saved_under_its_own_name_by_renaming_goes_on_where_it_was() {
    let text = lines("live", 0..100);
    let (folder, mut run) = followed(&text).await;
    folder.append("new", &format!("{text}own\n"));
    folder.rename("new", "live.jsonl");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:101@2000 own");
    assert_eq!(run.stop().await, []);
}
