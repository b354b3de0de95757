use std::str::FromStr;
use std::time::Duration;

/// What was typed.
pub(crate) struct Options {
    pub(crate) measures: Vec<Measure>,
    pub(crate) clients: usize,
    /// A frame, header included.
    pub(crate) bytes: usize,
    pub(crate) frames: usize,
    pub(crate) time: Duration,
    /// The CPUs of the writer and of the reader.
    pub(crate) pin: Option<(usize, usize)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// write(2) alone.
    Plain,
    /// A TLS 1.3 record, by rustls, with each write.
    Rustls,
    /// Full handshakes in memory.
    Handshake,
}

const USAGE: &str = "\
limit [plain] [rustls] [handshake] [OPTIONS]: one JSON object a line for each, all if none is named

--clients N     connections (1000)
--bytes N       length of a frame, header included (110)
--frames N      frames in one write (1)
--seconds N     how long to write (2)
--pin N,N       the CPUs of the writer and of the reader (any)";

impl Options {
    /// Reads the command line; whatever is wrong with it ends the process.
    pub(crate) fn read() -> Self {
        let mut options = Self {
            measures: Vec::new(),
            clients: 1000,
            bytes: 110,
            frames: 1,
            time: Duration::from_secs(2),
            pin: None,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| refuse(&word));
            match word.as_str() {
                "plain" => options.measures.push(Measure::Plain),
                "rustls" => options.measures.push(Measure::Rustls),
                "handshake" => options.measures.push(Measure::Handshake),
                "--clients" => options.clients = number(&value()),
                "--bytes" => options.bytes = number(&value()),
                "--frames" => options.frames = number(&value()),
                "--seconds" => options.time = Duration::from_secs_f64(number(&value())),
                "--pin" => {
                    let value = value();
                    let (writer, reader) = value.split_once(',').unwrap_or_else(|| refuse(&value));
                    options.pin = Some((number(writer), number(reader)));
                }
                _ => refuse(&word),
            }
        }
        if options.measures.is_empty() {
            options.measures = vec![Measure::Plain, Measure::Rustls, Measure::Handshake];
        }
        options
    }
}

fn number<T: FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| refuse(text))
}

fn refuse(word: &str) -> ! {
    eprintln!("limit: {word}?\n{USAGE}");
    std::process::exit(2)
}
