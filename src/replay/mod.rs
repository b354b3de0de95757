//! The command `replay`: past signals once more, at the pace at which they came.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use tokio::task::spawn_blocking;
use tokio::time::sleep_until;

use crate::clock;
use crate::hub::{Freshness, Segment, Stale, View, frame};
use crate::journal::{JournalError, OpenError, ReadError, ReadOnly, Reader};
use crate::output::Output;
use crate::signal::{Protocol, Seq};

mod pace;
mod span;
#[cfg(test)]
mod testing;

pub use pace::Speed;
pub use span::Point;

use pace::Pace;
use span::Span;

/// What is to be replayed.
#[derive(Debug)]
pub struct Options {
    /// The folder with the log.
    pub data_dir: PathBuf,
    /// The first signal.
    pub from: Point,
    /// The last one; `None`: the newest there is when it begins.
    pub to: Option<Point>,
    /// How fast.
    pub speed: Speed,
}

/// Signals can't be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Nothing is recorded here.
    #[error(
        "there is no log in {}; run it in the folder of the server, or name its data folder with --data-dir",
        .0.display()
    )]
    NoLog(PathBuf),
    /// Nothing was recorded yet.
    #[error("the log in {} is empty", .0.display())]
    Empty(PathBuf),
    /// Retention has passed it.
    #[error("{from} is not kept any more; the oldest signal is {oldest}")]
    Gone {
        /// What was asked for.
        from: Point,
        /// The oldest that is kept.
        oldest: Seq,
    },
    /// It has not happened yet.
    #[error("{from} is beyond the newest signal, which is {newest}")]
    Beyond {
        /// What was asked for.
        from: Point,
        /// The newest that there is.
        newest: Seq,
    },
    /// Retention has passed the place that we had come to.
    #[error("signals up to {oldest} were let go of before they were replayed")]
    Overtaken {
        /// The oldest that is kept.
        oldest: Seq,
    },
    /// The log can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log can't be read.
    #[error("the log can't be read")]
    Log(#[source] JournalError),
    /// Signals can't be printed.
    #[error("can't write to stdout")]
    Output(#[source] io::Error),
    /// The system gives no event loop.
    #[error("can't start")]
    Runtime(#[source] io::Error),
}

/// Prints past signals as frames of `signalcast.v2`, one a line, each when it is due. Ends after
/// the last, on Ctrl-C, and when nobody reads any more.
///
/// # Errors
/// They are not there, or can't be read or printed.
pub fn run(options: &Options) -> Result<(), ReplayError> {
    let folder = &options.data_dir;
    let Some(mut log) = ReadOnly::open(folder)? else {
        return Err(ReplayError::NoLog(folder.clone()));
    };
    let bounds = log.bounds().map_err(ReplayError::Log)?;
    let bounds = bounds.ok_or_else(|| ReplayError::Empty(folder.clone()))?;
    let Some(span) = Span::find(&mut log, bounds, options.from, options.to)? else {
        // Whoever has closed that does not want to know.
        let _ = writeln!(io::stderr(), "signalcast: there is no signal in between");
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ReplayError::Runtime)?;
    let outcome = runtime.block_on(async {
        let mut out = Output::standard().map_err(ReplayError::Output)?;
        let closed = out.closed();
        let interrupted = async {
            // Without a handler Ctrl-C still ends the process, just less politely.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            played = play(Box::new(log), span, options.speed, &mut out) => played,
            () = closed => Ok(()),
            () = interrupted => Ok(()),
        }
    });
    // Whoever still waits for a reader must not hold us up.
    runtime.shutdown_background();
    outcome
}

/// Prints the signals of a span, each when it is due. A slow reader delays them; what is overdue
/// then comes at once.
async fn play(
    mut log: Box<dyn Reader>,
    span: Span,
    speed: Speed,
    out: &mut Output<impl Write>,
) -> Result<(), ReplayError> {
    let mut next = span.first;
    let mut pace = None;
    while next <= span.last {
        let left = span.last.get() - next.get() + 1;
        let most = usize::try_from(left).unwrap_or(AT_ONCE).min(AT_ONCE);
        let reading = spawn_blocking(move || {
            let read = log.read(next, most);
            (log, read)
        });
        let (reader, read) = reading
            .await
            .map_err(|why| ReplayError::Log(JournalError::from(io::Error::other(why))))?;
        log = reader;
        let recorded = read.map_err(|error| match error {
            ReadError::Gone { oldest } => ReplayError::Overtaken { oldest },
            ReadError::Failed(why) => ReplayError::Log(why),
        })?;
        let Some(first) = recorded.first() else {
            return Ok(());
        };
        let pace = *pace.get_or_insert_with(|| Pace::begin(first.received_at(), speed));
        let stretch = Segment::of(&recorded, Instant::now());
        match print(&stretch, pace, out).await {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(ReplayError::Output(error)),
        }
        next = stretch.last().next();
    }
    Ok(())
}

/// Prints each signal of a stretch when it is due; those that are due together in one go.
async fn print(stretch: &Segment, pace: Pace, out: &mut Output<impl Write>) -> io::Result<()> {
    let view = View {
        protocol: Protocol::V2,
        stale: Stale::Marked,
        ..View::default()
    };
    let (mut lines, mut message) = (Vec::new(), Vec::new());
    for signal in stretch.from(stretch.first()) {
        if let Some(due) = pace.due(signal.detail.received_at)
            && due > tokio::time::Instant::now()
        {
            out.write(&lines).await?;
            lines.clear();
            sleep_until(due).await;
        }
        let freshness = match signal.stale_after {
            Some(stale_after) if stale_after <= clock::now() => Freshness::Stale,
            _ => Freshness::Fresh,
        };
        message.clear();
        signal.write(&mut message, &view, freshness);
        lines.extend_from_slice(frame::payload(&message));
        lines.push(b'\n');
    }
    out.write(&lines).await
}

/// Signals read at once. Between two reads nothing of the log is held, however long it takes.
const AT_ONCE: usize = 512;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::testing::Shelf;
    use super::*;

    /// What was written, and how long after the beginning.
    struct Timed {
        begun: tokio::time::Instant,
        lines: Vec<(Duration, String)>,
    }

    impl Write for Timed {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let after = self.begun.elapsed();
            let text = String::from_utf8(text.to_vec()).unwrap();
            self.lines
                .extend(text.lines().map(|line| (after, line.to_owned())));
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    async fn played(log: Shelf, speed: Speed) -> Vec<(Duration, String)> {
        let (first, last) = log.bounds();
        let lines = Vec::new();
        let begun = tokio::time::Instant::now();
        let mut out = Output::Taken(Timed { begun, lines });
        let span = Span { first, last };
        play(Box::new(log), span, speed, &mut out).await.unwrap();
        let Output::Taken(timed) = out else {
            panic!("it was given a writer");
        };
        timed.lines
    }

    fn seq(line: &str) -> u64 {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        json["seq"].as_u64().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn signals_come_at_their_own_pace() {
        // The last after eleven days.
        let seconds = [100, 100, 103, 1_000_000];
        for (speed, expected) in [
            (Speed::Times(1.0), [0.0, 0.0, 3.0, 999_900.0]),
            (Speed::Times(10.0), [0.0, 0.0, 0.3, 99_990.0]),
            (Speed::Times(0.5), [0.0, 0.0, 6.0, 1_999_800.0]),
            (Speed::Max, [0.0; 4]),
        ] {
            let lines = played(Shelf::of(5, &seconds), speed).await;
            assert_eq!(lines.len(), 4);
            for ((index, (after, line)), expected) in lines.iter().enumerate().zip(expected) {
                assert_eq!(seq(line), 5 + index as u64);
                // The timer counts milliseconds.
                let late = after.as_secs_f64() - expected;
                assert!(
                    (0.0..0.01).contains(&late),
                    "{speed:?}: {after:?} for {expected}"
                );
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_more_than_are_read_at_once_all_come_and_none_is_late() {
        let seconds: Vec<i64> = (0..3 * AT_ONCE as i64 + 7).collect();
        let lines = played(Shelf::of(1, &seconds), Speed::Times(7.0)).await;
        assert_eq!(lines.len(), seconds.len());
        for (index, (after, line)) in lines.iter().enumerate() {
            assert_eq!(seq(line), index as u64 + 1);
            let late = after.as_secs_f64() - index as f64 / 7.0;
            assert!((0.0..0.01).contains(&late), "{index}: {after:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_is_a_frame_of_v2_and_says_if_it_is_stale() {
        let lines = played(Shelf::of(9, &[1]), Speed::Max).await;
        let (before, id_and_rest) = lines[0].1.split_once(r#""id":""#).unwrap();
        assert_eq!(before, r#"{"type":"buy","seq":9,"#);
        let (_, rest) = id_and_rest.split_once(r#"","#).unwrap();
        assert_eq!(
            rest,
            r#""content":{"symbol":"A","price":1,"timestamp":0},"is_test":false,"source":"test","received_at":"1970-01-01T00:00:01.000000Z","stale":true}"#
        );
    }
}
