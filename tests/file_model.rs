//! Anything that can happen to feed files, in any order: each line comes once, and the lines of a
//! file in their order.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod source;

use std::collections::HashMap;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::time::{Duration, Instant};

use source::{Folder, Run};

/// A feed that is written to, rotated and spoilt, and what has come of it.
struct Model {
    folder: Folder,
    run: Run,
    random: u64,
    history: Vec<String>,
    /// How many lines were written, each numbered, and how many of them have come.
    written: usize,
    come: usize,
    /// By line: how often it came.
    counts: Vec<u32>,
    /// By line: the file that it was written to first. One that is begun anew is another file.
    files: Vec<usize>,
    /// The last line that came of each file.
    last: HashMap<usize, usize>,
    file: usize,
    /// Lines in the file that is there now.
    in_file: usize,
    /// Files put aside so far.
    aside: usize,
    /// Still open after the file was renamed.
    writer: Option<File>,
}

impl Model {
    fn new(seed: u64) -> Self {
        let folder = Folder::new();
        folder.append("live.jsonl", "");
        let run = folder.run("*.jsonl");
        Self {
            folder,
            run,
            random: seed,
            history: Vec::new(),
            written: 0,
            come: 0,
            counts: Vec::new(),
            files: Vec::new(),
            last: HashMap::new(),
            file: 0,
            in_file: 0,
            aside: 0,
            writer: None,
        }
    }

    /// SplitMix64: the same numbers for the same seed.
    fn below(&mut self, most: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % most as u64).unwrap()
    }

    /// New lines for the current file. Their numbers are all there is in them, so that those of
    /// one length look much alike.
    fn lines(&mut self, count: usize) -> String {
        let numbers = self.written..self.written + count;
        self.written += count;
        self.in_file += count;
        self.counts.resize(self.written, 0);
        self.files.resize(self.written, self.file);
        numbers.map(|n| format!("buy X {n:08}\n")).collect()
    }

    fn some_lines(&mut self) -> String {
        let most = [2, 30, 3000][self.below(3)];
        let count = 1 + self.below(most);
        self.lines(count)
    }

    /// The file's next lines are of another one.
    fn begin(&mut self) {
        self.file += 1;
        self.in_file = 0;
    }

    /// Waits until all lines that were written have come.
    async fn catch_up(&mut self) {
        while self.come < self.written {
            let Ok(text) = tokio::time::timeout(Duration::from_secs(8), self.run.line()).await
            else {
                let missing = self.counts.iter().position(|count| *count == 0);
                panic!("line {missing:?} never came: {}", self.tale());
            };
            let line = text.rsplit_once(' ').unwrap().1;
            let line: usize = line.parse().unwrap();
            self.counts[line] += 1;
            assert_eq!(self.counts[line], 1, "{text} came again: {}", self.tale());
            let last = self.last.insert(self.files[line], line);
            assert!(last < Some(line), "{last:?} before {line}: {}", self.tale());
            self.come += 1;
        }
    }

    fn tale(&self) -> String {
        let recent = self.history.len().saturating_sub(12);
        self.history[recent..].join(", ")
    }

    fn append(&mut self) {
        let text = self.some_lines();
        let halves = text.split_at(text.len() / 2);
        self.folder.append("live.jsonl", halves.0);
        self.folder.append("live.jsonl", halves.1);
    }

    fn open(&self) -> File {
        let mut options = OpenOptions::new();
        options
            .append(true)
            .open(self.folder.path("live.jsonl"))
            .unwrap()
    }

    /// The writer goes on writing to the file that was renamed, for a while.
    fn rename(&mut self, suffix: &str) {
        let mut writer = self.open();
        self.aside += 1;
        let aside = format!("live-{}{suffix}", self.aside);
        self.folder.rename("live.jsonl", &aside);
        let (file, late) = (self.file, self.some_lines());
        writer.write_all(late.as_bytes()).unwrap();
        self.writer = Some(writer);
        self.begin();
        assert_ne!(file, self.file);
        let text = self.some_lines();
        self.folder.append("live.jsonl", &text);
    }

    fn late(&mut self) {
        if let Some(mut writer) = self.writer.take() {
            let (file, in_file) = (self.file, self.in_file);
            self.begin();
            let text = self.some_lines();
            writer.write_all(text.as_bytes()).unwrap();
            self.begin();
            (self.file, self.in_file) = (self.file.max(file), in_file);
        }
    }

    async fn copy_and_truncate(&mut self) {
        if self.in_file < 30 {
            let text = self.lines(30);
            self.folder.append("live.jsonl", &text);
        }
        self.catch_up().await;
        // Lines that the source may or may not read before the truncation; no half ones, which
        // would be told of.
        let text = self.some_lines();
        self.folder.append("live.jsonl", &text);
        self.aside += 1;
        self.folder
            .copy("live.jsonl", &format!("live-{}.jsonl", self.aside));
        self.folder.truncate("live.jsonl", 0);
        self.begin();
        if self.below(2) == 0 {
            self.append();
        }
    }

    /// As an editor or a program that writes its output anew does.
    async fn write_anew(&mut self) {
        self.catch_up().await;
        self.begin();
        let text = self.some_lines();
        self.folder.write("live.jsonl", &text);
    }

    async fn replace(&mut self) {
        self.catch_up().await;
        self.begin();
        let text = self.some_lines();
        self.folder.append("new", &text);
        self.folder.rename("new", "live.jsonl");
    }

    async fn delete(&mut self) {
        self.catch_up().await;
        self.folder.remove("live.jsonl");
        self.begin();
        let text = self.some_lines();
        self.folder.append("live.jsonl", &text);
    }

    async fn tidy(&mut self) {
        self.catch_up().await;
        self.writer = None;
        for entry in fs::read_dir(self.folder.path("")).unwrap().flatten() {
            if entry.file_name() != "live.jsonl" {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }

    async fn step(&mut self) {
        let step = self.below(24);
        self.history.push(
            match step {
                0..8 => "append",
                8..10 => "catch up",
                10 => "rename within the glob",
                11 => "rename out of the glob",
                12 => "late lines",
                13..16 => "copy and truncate",
                16..19 => "write anew",
                19..21 => "replace",
                21..23 => "delete",
                _ => "tidy",
            }
            .to_owned(),
        );
        match step {
            0..8 => self.append(),
            8..10 => self.catch_up().await,
            10 => self.rename(".jsonl"),
            11 => {
                self.catch_up().await;
                self.rename("");
            }
            12 => self.late(),
            13..16 => self.copy_and_truncate().await,
            16..19 => self.write_anew().await,
            19..21 => self.replace().await,
            21..23 => self.delete().await,
            _ => self.tidy().await,
        }
    }
}

/// `SIGNALCAST_SOAK`: for a minute; `SIGNALCAST_SEED`: one that failed.
#[tokio::test]
async fn whatever_happens_to_a_file_each_line_comes_once() {
    let soak = env::var_os("SIGNALCAST_SOAK").is_some();
    let (steps, time) = if soak { (3000, 60) } else { (150, 0) };
    let first = env::var("SIGNALCAST_SEED").map_or(1, |seed| seed.parse().unwrap());
    let start = Instant::now();
    for seed in first.. {
        eprintln!("seed {seed}");
        let mut model = Model::new(seed);
        for _ in 0..steps {
            model.step().await;
        }
        model.catch_up().await;
        assert_eq!(model.run.stop().await, [], "seed {seed}");
        if start.elapsed() >= Duration::from_secs(time) {
            break;
        }
    }
}
