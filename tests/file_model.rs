//! Anything that can happen to feed files, in any order: each line comes once, and the lines of a
//! file in their order.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod source;

use std::collections::{HashMap, VecDeque};
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::time::{Duration, Instant};

use signalcast::source::Arrival;
use source::{Folder, Log, Run, text};

/// A feed that is written to, rotated and spoilt, and what has come of it.
struct Model {
    folder: Folder,
    /// None while the server is down.
    run: Option<Run>,
    log: Log,
    random: u64,
    restarts: bool,
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
    /// The file that is there now was known when the server went down.
    known: bool,
    /// The same, or it came by one or more rotations since then.
    rotated: bool,
    /// Files put aside so far.
    aside: usize,
    /// Still open after the file was renamed.
    writer: Option<File>,
}

impl Model {
    fn new(seed: u64, restarts: bool) -> Self {
        let folder = Folder::new();
        folder.append("live.jsonl", "");
        let run = folder.run("*.jsonl");
        Self {
            folder,
            run: Some(run),
            log: Log::default(),
            random: seed,
            restarts,
            history: Vec::new(),
            written: 0,
            come: 0,
            counts: Vec::new(),
            files: Vec::new(),
            last: HashMap::new(),
            file: 0,
            in_file: 0,
            known: false,
            rotated: false,
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
        self.known = false;
    }

    /// Waits until all lines that were written have come.
    async fn catch_up(&mut self) {
        let Some(mut run) = self.run.take() else {
            return;
        };
        while self.come < self.written {
            let Ok(text) = tokio::time::timeout(Duration::from_secs(8), run.line()).await else {
                let missing = self.counts.iter().position(|count| *count == 0);
                panic!("line {missing:?} never came: {}", self.tale());
            };
            self.comes(&text);
        }
        self.run = Some(run);
    }

    fn comes(&mut self, text: &str) {
        let line = text.rsplit_once(' ').unwrap().1;
        let line: usize = line.parse().unwrap();
        self.counts[line] += 1;
        assert_eq!(self.counts[line], 1, "{text} came again: {}", self.tale());
        let last = self.last.insert(self.files[line], line);
        assert!(last < Some(line), "{last:?} before {line}: {}", self.tale());
        self.come += 1;
    }

    fn all_come(&mut self, arrivals: Vec<Arrival>, lines: VecDeque<String>) {
        for line in lines {
            self.comes(&line);
        }
        for arrival in arrivals {
            let Arrival::Lines(lines) = arrival else {
                panic!("not a line: {arrival:?}: {}", self.tale());
            };
            for (at, line) in lines.iter() {
                self.comes(&format!("{at} {}", text(line)));
            }
        }
    }

    fn tale(&self) -> String {
        let recent = self.history.len().saturating_sub(20);
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
        self.aside += 1;
        let aside = format!("live-{}{suffix}", self.aside);
        self.put_aside(&aside);
    }

    /// Out of the glob, as logrotate does: `.1` becomes `.2`, and so on.
    fn rotate(&mut self) {
        let name = |number: usize| format!("live.jsonl.{number}");
        let free = (1..).find(|number| !self.folder.path(&name(*number)).exists());
        for number in (1..free.unwrap()).rev() {
            self.folder.rename(&name(number), &name(number + 1));
        }
        self.put_aside(&name(1));
    }

    fn put_aside(&mut self, aside: &str) {
        let mut writer = self.open();
        self.folder.rename("live.jsonl", aside);
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

    /// The server is stopped or killed; things happen; it starts again.
    async fn restart(&mut self) {
        if self.below(2) == 0 {
            self.catch_up().await;
            self.known = true;
        } else {
            self.known = false;
            self.some_come().await;
        }
        self.go_down().await;
        self.rotated = self.known;
        for _ in 0..self.below(5) {
            self.happens_unseen().await;
        }
        self.run = Some(self.folder.run_again("*.jsonl", self.log.clone()));
        self.known = false;
        self.history.push("start".to_owned());
    }

    /// Takes a part of what is there to be taken, so that there is something to lose.
    async fn some_come(&mut self) {
        let most = self.written - self.come;
        let count = self.below(most + 1);
        let mut run = self.run.take().unwrap();
        for _ in 0..count {
            let line = tokio::time::timeout(Duration::from_secs(8), run.line()).await;
            let line = line.unwrap_or_else(|_| panic!("a line never came: {}", self.tale()));
            self.comes(&line);
        }
        self.run = Some(run);
    }

    async fn go_down(&mut self) {
        let mut run = self.run.take().unwrap();
        if self.below(3) == 0 {
            self.history.push("stop".to_owned());
            let lines = run.lines_taken();
            let (arrivals, log) = run.shut_down().await;
            self.all_come(arrivals, lines);
            self.log = log;
        } else {
            self.history.push("crash".to_owned());
            let (arrivals, lines, log) = run.crash().await;
            self.all_come(arrivals, lines);
            self.log = log;
        }
    }

    async fn happens_unseen(&mut self) {
        let step = self.below(16);
        let all_read = self.known && self.come == self.written;
        let (name, done) = match step {
            0..4 => ("append", true),
            4 => ("rename within the glob", true),
            5 => ("rename out of the glob", self.known),
            6 => ("late lines", true),
            7..9 => ("copy and truncate", true),
            9 => ("write anew", all_read),
            10 => ("replace", all_read),
            11 => ("delete", all_read),
            _ => ("rotate out of the glob", self.rotated),
        };
        if !done {
            return;
        }
        self.history.push(format!("(down) {name}"));
        match step {
            0..4 => self.append(),
            4 => self.rename(".jsonl"),
            5 => self.rename(""),
            6 => self.late(),
            7..9 => self.copy_and_truncate().await,
            9 => self.write_anew().await,
            10 => self.replace().await,
            11 => self.delete().await,
            _ => self.rotate(),
        }
        self.rotated &= matches!(step, 0..4 | 6 | 12..);
    }

    async fn step(&mut self) {
        let step = self.below(if self.restarts { 30 } else { 24 });
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
                23 => "tidy",
                _ => "restart",
            }
            .to_owned(),
        );
        match step {
            0..8 => self.append(),
            8..10 => self.catch_up().await,
            10 => self.rename(".jsonl"),
            11 => {
                self.catch_up().await;
                match self.below(2) {
                    0 => self.rename(""),
                    _ => self.rotate(),
                }
            }
            12 => self.late(),
            13..16 => self.copy_and_truncate().await,
            16..19 => self.write_anew().await,
            19..21 => self.replace().await,
            21..23 => self.delete().await,
            23 => self.tidy().await,
            _ => self.restart().await,
        }
    }
}

/// `SIGNALCAST_SOAK`: for a minute; `SIGNALCAST_SEED`: one that failed.
async fn whatever_happens(restarts: bool) {
    let soak = env::var_os("SIGNALCAST_SOAK").is_some();
    let (steps, time) = if soak { (3000, 60) } else { (150, 0) };
    let first = env::var("SIGNALCAST_SEED").map_or(1, |seed| seed.parse().unwrap());
    let start = Instant::now();
    for seed in first.. {
        eprintln!("seed {seed}");
        let mut model = Model::new(seed, restarts);
        for _ in 0..steps {
            model.step().await;
        }
        model.catch_up().await;
        let rest = model.run.take().unwrap().stop().await;
        assert_eq!(rest, [], "seed {seed}");
        if start.elapsed() >= Duration::from_secs(time) {
            break;
        }
    }
}

#[tokio::test]
async fn whatever_happens_to_a_file_each_line_comes_once() {
    whatever_happens(false).await;
}

#[tokio::test]
async fn whatever_happens_while_the_server_is_down_each_line_comes_once() {
    whatever_happens(true).await;
}
