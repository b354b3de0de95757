//! What a `file:` source does with more files than may be open.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod source;

use source::Folder;

#[tokio::test]
async fn ten_thousand_files_are_followed() {
    let folder = Folder::new();
    for n in 0..10_000 {
        folder.append(&format!("{n:04}.jsonl"), "old\n");
    }
    let mut run = folder.run("*.jsonl");
    for n in [0, 9_999, 5_000] {
        folder.append(&format!("{n:04}.jsonl"), "new\n");
        let line = folder.line(&mut run).await;
        assert_eq!(line, format!("{n:04}.jsonl:2@4 new"));
    }
    run.stop().await;
}
