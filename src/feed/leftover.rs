use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::line::Line;

/// Puts lines that are not acknowledged into a new file in this folder, which only its owner may
/// read.
pub(super) fn keep(folder: &Path, lines: &[Line]) -> io::Result<PathBuf> {
    let now = jiff::Timestamp::now().as_millisecond();
    let file = folder.join(format!("signalcast-unacknowledged-{now}.jsonl"));
    let mut out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&file)?;
    let text: Vec<u8> = lines.iter().flat_map(|line| &line.text).copied().collect();
    out.write_all(&text)?;
    out.sync_all()?;
    Ok(file)
}
