use std::fmt;
use std::path::Path;
use std::str::FromStr;

use glob::Pattern;

use super::parameters::{self, From, KNOWN, KNOWN_OF_COMMANDS, Parameters, Restart};
use super::{SourceName, file};
use crate::signal::TimeUnit;

/// What one `--source` says.
///
/// `Display` gives the source's name, as dead letters and the log show it, such as
/// `file:signals/live.jsonl`: the parameters are no part of it, so changing one does not make
/// another source of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Spec {
    /// `stdin`: the lines of standard input.
    Stdin(StdinSpec),
    /// `file:PATH`: the lines that are appended to a file, or to all files that match a glob.
    File(FileSpec),
    /// `exec:COMMAND`: the lines that a command prints.
    Exec(ExecSpec),
}

/// `stdin`, with its parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StdinSpec {
    /// `?unit=ms`: what a bare number in `timestamp` counts.
    pub unit: TimeUnit,
}

/// `file:PATH`, with its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileSpec {
    pattern: Pattern,
    from: From,
    unit: TimeUnit,
}

/// `exec:COMMAND`, with its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExecSpec {
    command: String,
    restart: Restart,
    unit: TimeUnit,
}

/// A `--source` that can't be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("source \"{spec}\": {why}")]
pub struct InvalidSpec {
    spec: String,
    why: String,
}

impl FileSpec {
    /// The path or glob, without `file:` and parameters.
    pub fn pattern(&self) -> &str {
        self.pattern.as_str()
    }

    /// Where reading begins in files that are there when the server starts.
    pub fn from(&self) -> From {
        self.from
    }

    /// What a bare number in `timestamp` counts.
    pub fn unit(&self) -> TimeUnit {
        self.unit
    }

    /// Whether it would follow the file at this path, going by its name. Relative ones are seen
    /// from the current folder.
    pub fn follows(&self, path: &Path) -> bool {
        file::follows(self, path)
    }

    pub(super) fn glob(&self) -> &Pattern {
        &self.pattern
    }
}

impl ExecSpec {
    /// What the shell is given, without `exec:` and parameters.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// What happens when it has ended.
    pub fn restart(&self) -> Restart {
        self.restart
    }

    /// What a bare number in `timestamp` counts.
    pub fn unit(&self) -> TimeUnit {
        self.unit
    }
}

impl Spec {
    /// Whether it comes to an end by itself.
    pub fn is_finite(&self) -> bool {
        match self {
            Self::Stdin(_) => true,
            Self::File(_) => false,
            Self::Exec(command) => command.restart == Restart::Never,
        }
    }

    /// The source's name.
    pub fn name(&self) -> SourceName {
        SourceName::from(self.to_string().as_str())
    }

    /// Whether both read the same input, however it is spelled. Two globs may have files in common
    /// without being the same. Relative paths are seen from the current folder.
    pub fn reads_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Stdin(_), Self::Stdin(_)) => true,
            (Self::File(one), Self::File(other)) => file::are_the_same(one, other),
            (Self::Exec(one), Self::Exec(other)) => one.command == other.command,
            (Self::Stdin(_) | Self::File(_) | Self::Exec(_), _) => false,
        }
    }
}

impl FromStr for Spec {
    type Err = InvalidSpec;

    fn from_str(spec: &str) -> Result<Self, InvalidSpec> {
        parse(spec).map_err(|why| InvalidSpec {
            spec: spec.to_owned(),
            why,
        })
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin(_) => f.write_str("stdin"),
            Self::File(file) => write!(f, "file:{}", file.pattern),
            Self::Exec(exec) => write!(f, "exec:{}", exec.command),
        }
    }
}

fn parse(spec: &str) -> Result<Spec, String> {
    if let Some(file) = spec.strip_prefix("file:") {
        return parse_file(file).map(Spec::File);
    }
    if let Some(command) = spec.strip_prefix("exec:") {
        return parse_exec(command).map(Spec::Exec);
    }
    let (name, parameters) = parameters::split(spec, KNOWN);
    if name == "stdin" {
        let parameters = Parameters::parse(parameters)?;
        let parameters = parameters.without_from()?.without_restart()?;
        return Ok(Spec::Stdin(StdinSpec {
            unit: parameters.unit.unwrap_or_default(),
        }));
    }
    for later in ["wss:", "ws:", "nats:"] {
        if spec.starts_with(later) {
            return Err(format!(
                "{later} sources are not available in this version; write stdin, file:PATH or \
                 exec:COMMAND"
            ));
        }
    }
    Err(
        "no such kind of source; write stdin, file:PATH as in file:signals/*.jsonl, or \
         exec:COMMAND as in exec:./strategy.py"
            .to_owned(),
    )
}

fn parse_exec(spec: &str) -> Result<ExecSpec, String> {
    let (command, parameters) = parameters::split(spec, KNOWN_OF_COMMANDS);
    if command.trim().is_empty() {
        return Err("no command; write exec:COMMAND as in exec:./strategy.py".to_owned());
    }
    if command.contains(char::is_control) {
        return Err(
            "a command is one line without control characters; put it into a script, and write \
             exec: and the script's path"
                .to_owned(),
        );
    }
    if command.len() > MOST_COMMAND_BYTES {
        return Err(format!(
            "the command is {} bytes long, and clients see it as the source's name, at most \
             {MOST_COMMAND_BYTES} are allowed; put it into a script",
            command.len()
        ));
    }
    let parameters = Parameters::parse(parameters)
        .and_then(Parameters::without_from)
        .map_err(|why| {
            format!(
                "{why}; if ?{parameters} belongs to the command, write ?restart=always after it"
            )
        })?;
    Ok(ExecSpec {
        command: command.to_owned(),
        restart: parameters.restart.unwrap_or_default(),
        unit: parameters.unit.unwrap_or_default(),
    })
}

fn parse_file(spec: &str) -> Result<FileSpec, String> {
    let (path, parameters) = parameters::split(spec, KNOWN);
    if path.is_empty() {
        return Err("no path; write file:PATH as in file:signals/*.jsonl".to_owned());
    }
    if path.ends_with('/') || Path::new(path).file_name().is_none() {
        return Err(format!(
            "names a folder; write file:{}/*.jsonl for the files in it",
            path.trim_end_matches('/')
        ));
    }
    let pattern = Pattern::new(path).map_err(|why| {
        format!(
            "bad glob at character {}: {}; write [*], [?] or [[] for one that stands for itself",
            why.pos + 1,
            why.msg
        )
    })?;
    let parameters = Parameters::parse(parameters)?.without_restart()?;
    Ok(FileSpec {
        pattern,
        from: parameters.from.unwrap_or_default(),
        unit: parameters.unit.unwrap_or_default(),
    })
}

/// It stands in every signal that a client of `signalcast.v2` is sent.
const MOST_COMMAND_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(spec: &str) -> FileSpec {
        match spec.parse() {
            Ok(Spec::File(file)) => file,
            other => panic!("{spec}: {other:?}"),
        }
    }

    #[test]
    fn parameters_follow_the_last_question_mark_with_a_known_name() {
        for (spec, pattern, from, unit) in [
            ("file:a.jsonl", "a.jsonl", From::End, TimeUnit::Seconds),
            ("file:a?.jsonl", "a?.jsonl", From::End, TimeUnit::Seconds),
            ("file:a?from=start", "a", From::Start, TimeUnit::Seconds),
            (
                "file:a?unit=ms&from=start",
                "a",
                From::Start,
                TimeUnit::Milliseconds,
            ),
            ("file:a?x=1?from=end", "a?x=1", From::End, TimeUnit::Seconds),
            (
                "file:a?from=start?unit=ms",
                "a?from=start",
                From::End,
                TimeUnit::Milliseconds,
            ),
            (
                "file:a?form=start",
                "a?form=start",
                From::End,
                TimeUnit::Seconds,
            ),
        ] {
            let file = file(spec);
            assert_eq!(
                (file.pattern(), file.from(), file.unit()),
                (pattern, from, unit),
                "{spec}"
            );
        }
        let ms = StdinSpec {
            unit: TimeUnit::Milliseconds,
        };
        assert_eq!("stdin?unit=ms".parse(), Ok(Spec::Stdin(ms)));
        assert_eq!("stdin".parse(), Ok(Spec::Stdin(StdinSpec::default())));
    }

    #[test]
    fn a_command_may_hold_question_marks_of_its_own() {
        for (spec, command, restart, unit) in [
            ("exec:./a.py", "./a.py", Restart::Always, TimeUnit::Seconds),
            (
                "exec:./a.py -x 'b c'",
                "./a.py -x 'b c'",
                Restart::Always,
                TimeUnit::Seconds,
            ),
            (
                "exec:a?restart=never",
                "a",
                Restart::Never,
                TimeUnit::Seconds,
            ),
            (
                "exec:a?unit=ms&restart=always",
                "a",
                Restart::Always,
                TimeUnit::Milliseconds,
            ),
            (
                "exec:curl x/?from=start&y=1",
                "curl x/?from=start&y=1",
                Restart::Always,
                TimeUnit::Seconds,
            ),
            (
                "exec:curl x/?unit=s?restart=always",
                "curl x/?unit=s",
                Restart::Always,
                TimeUnit::Seconds,
            ),
        ] {
            let Ok(Spec::Exec(exec)) = spec.parse() else {
                panic!("{spec}");
            };
            assert_eq!(
                (exec.command(), exec.restart(), exec.unit()),
                (command, restart, unit),
                "{spec}"
            );
        }
    }

    #[test]
    fn what_ends_by_itself_is_standard_input_and_a_command_that_is_not_started_again() {
        for (spec, finite) in [
            ("stdin", true),
            ("file:a", false),
            ("exec:a", false),
            ("exec:a?restart=never", true),
        ] {
            assert_eq!(spec.parse::<Spec>().unwrap().is_finite(), finite, "{spec}");
        }
    }

    #[test]
    fn a_command_is_the_same_whatever_its_parameters() {
        let spec = |text: &str| text.parse::<Spec>().unwrap();
        let command = spec("exec:a?restart=never");
        assert!(command.reads_the_same(&spec("exec:a?unit=ms")));
        for other in ["exec:b", "file:a", "stdin"] {
            assert!(!command.reads_the_same(&spec(other)), "{other}");
            assert!(!spec(other).reads_the_same(&command), "{other}");
        }
    }

    #[test]
    fn a_source_is_named_without_its_parameters() {
        let name = |spec: &str| spec.parse::<Spec>().unwrap().to_string();
        assert_eq!(
            name("file:signals/*.jsonl?from=start"),
            "file:signals/*.jsonl"
        );
        assert_eq!(name("stdin?unit=ms"), "stdin");
        assert_eq!(name("exec:./a.py b?restart=never"), "exec:./a.py b");
    }

    #[test]
    fn what_is_wrong_comes_with_what_to_write() {
        let refused: Vec<_> = [
            "",
            "signals/live.jsonl",
            "stdin?from=start",
            "file:",
            "file:signals/",
            "file:a**b",
            "file:a?from=begin",
            "file:a?unit=us",
            "file:a?from=start&uint=ms",
            "file:a?from=start&from=end",
            "file:a?restart=never",
            "stdin?restart=never",
            "exec:",
            "exec: ?unit=ms",
            "exec:a\nb",
            "exec:a?restart=no",
            "exec:curl 'x/?unit=us'",
            "exec:a?restart=never&from=start",
            "wss://example.org",
            "nats:signals",
        ]
        .map(|spec| spec.parse::<Spec>().unwrap_err().to_string())
        .into();
        insta::assert_snapshot!(refused.join("\n"), @r#"
        source "": no such kind of source; write stdin, file:PATH as in file:signals/*.jsonl, or exec:COMMAND as in exec:./strategy.py
        source "signals/live.jsonl": no such kind of source; write stdin, file:PATH as in file:signals/*.jsonl, or exec:COMMAND as in exec:./strategy.py
        source "stdin?from=start": only file: sources take "from"; leave it out
        source "file:": no path; write file:PATH as in file:signals/*.jsonl
        source "file:signals/": names a folder; write file:signals/*.jsonl for the files in it
        source "file:a**b": bad glob at character 1: recursive wildcards must form a single path component; write [*], [?] or [[] for one that stands for itself
        source "file:a?from=begin": from is "begin"; write start or end
        source "file:a?unit=us": unit is "us"; write ms or s
        source "file:a?from=start&uint=ms": no parameter "uint"; known are from=start, unit=ms and restart=never
        source "file:a?from=start&from=end": "from" is there twice; leave one out
        source "file:a?restart=never": only exec: sources take "restart"; leave it out
        source "stdin?restart=never": only exec: sources take "restart"; leave it out
        source "exec:": no command; write exec:COMMAND as in exec:./strategy.py
        source "exec: ?unit=ms": no command; write exec:COMMAND as in exec:./strategy.py
        source "exec:a
        b": a command is one line without control characters; put it into a script, and write exec: and the script's path
        source "exec:a?restart=no": restart is "no"; write always or never; if ?restart=no belongs to the command, write ?restart=always after it
        source "exec:curl 'x/?unit=us'": unit is "us'"; write ms or s; if ?unit=us' belongs to the command, write ?restart=always after it
        source "exec:a?restart=never&from=start": only file: sources take "from"; leave it out; if ?restart=never&from=start belongs to the command, write ?restart=always after it
        source "wss://example.org": wss: sources are not available in this version; write stdin, file:PATH or exec:COMMAND
        source "nats:signals": nats: sources are not available in this version; write stdin, file:PATH or exec:COMMAND
        "#);
    }
}
