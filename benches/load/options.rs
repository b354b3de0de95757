use std::path::{Path, PathBuf};
use std::{env, fs};

use tempfile::TempDir;

/// What was typed after `cargo bench --bench NAME --`.
pub struct Options {
    words: Vec<String>,
    folder: PathBuf,
}

impl Options {
    /// Reads the command line; `usage` is printed, and the process ends, if it asks for help or says
    /// something that `usage` does not name.
    pub fn read(usage: &str) -> Self {
        // `cargo bench` adds a word of its own.
        let words: Vec<String> = env::args()
            .skip(1)
            .filter(|word| word != "--bench")
            .collect();
        let known = |word: &&String| {
            [usage, COMMON]
                .iter()
                .any(|text| text.contains(word.as_str()))
        };
        let unknown = words
            .iter()
            .find(|word| word.starts_with('-') && !known(word));
        if unknown.is_some() || words.iter().any(|word| word == "--help") {
            eprintln!("{usage}\n{COMMON}");
            std::process::exit(if unknown.is_some() { 2 } else { 0 });
        }
        let folder = value(&words, "--folder").unwrap_or(env!("CARGO_TARGET_TMPDIR"));
        let folder = PathBuf::from(folder);
        fs::create_dir_all(&folder).unwrap();
        Self { words, folder }
    }

    /// Rounds to run.
    pub fn rounds(&self) -> u64 {
        self.number("--rounds", 5)
    }

    /// A number that was typed behind this word.
    pub fn number(&self, name: &str, otherwise: u64) -> u64 {
        value(&self.words, name).map_or(otherwise, |value| {
            let digits = value.replace(['_', ','], "");
            digits
                .parse()
                .unwrap_or_else(|_| panic!("{name} {value}: not a number"))
        })
    }

    /// Whether only some cases are to be run, and this is none of them.
    pub fn leaves_out(&self, case: &str) -> bool {
        value(&self.words, "--only").is_some_and(|only| !case.contains(only))
    }

    /// Whether raw figures are wanted.
    pub fn json(&self) -> bool {
        self.words.iter().any(|word| word == "--json")
    }

    /// A new folder on the disk that is measured.
    pub fn temporary(&self) -> TempDir {
        tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(&self.folder)
            .unwrap()
    }

    /// Where the files are, and on what: a figure of a memory file system says nothing of a disk.
    pub fn place(&self) -> String {
        let folder = self.folder.canonicalize().unwrap();
        format!("{} ({})", folder.display(), file_system(&folder))
    }
}

const COMMON: &str = "\
--rounds N       rounds, each case once in each, in turn (5; 1 for a quick look)
--only TEXT      only the cases whose name contains this
--folder PATH    where the files go: a real disk (the target folder)
--json           the figures of each run, one JSON object a line, instead of tables";

fn value<'a>(words: &'a [String], name: &str) -> Option<&'a str> {
    let at = words.iter().position(|word| word == name)?;
    words.get(at + 1).map(String::as_str)
}

fn file_system(folder: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let parts = |line: &str| -> Option<(String, String)> {
        let mut parts = line.split(' ').skip(1);
        Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
    };
    let above = mounts
        .lines()
        .filter_map(parts)
        .filter(|(at, _)| folder.starts_with(at));
    above
        .max_by_key(|(at, _)| at.len())
        .map_or_else(|| "unknown".to_owned(), |(_, kind)| kind)
}
