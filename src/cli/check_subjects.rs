//! What was typed for `check`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::settings_refused;
use super::typed::Typed;
use crate::check::{Check, Feed, Subject};
use crate::config::{Config, Layer, Problem, Surroundings};
use crate::first_start;
use crate::signal::TimeUnit;
use crate::source::{self, FileSpec, Spec, StdinSpec};

/// What to check; none if that can't be told. Files of settings are looked at here.
pub(super) fn read(typed: &mut Typed<'_>, around: &Surroundings) -> Option<Check> {
    let named = typed.many("what");
    if named.is_empty() {
        typed.refuse(
            "FEED|CONFIG",
            "is missing",
            "name a feed such as signals/live.jsonl, - for standard input, or a file of settings such as signalcast.toml",
        );
    }
    let mut subjects = Vec::new();
    for name in &named {
        if is_settings(name) {
            subjects.extend(settings(typed, around, name));
        } else {
            let feeds = feeds(typed, around, name).into_iter().flatten();
            subjects.extend(feeds.map(Subject::Feed));
        }
    }
    let stdin = |subject: &&Subject| matches!(subject, Subject::Feed(Feed { file: None, .. }));
    if subjects.iter().filter(stdin).count() > 1 {
        typed.refuse(
            "stdin",
            "is there twice, and it can be read only once",
            "leave one",
        );
    }
    // What holds for all signals; a mistake in one's settings is theirs who check those.
    let file = typed.once("config").map(PathBuf::from);
    let is_feed = |subject: &Subject| matches!(subject, Subject::Feed(_));
    let max_age = if subjects.iter().any(is_feed) {
        let (config, mistakes) = Config::read(&Layer::default(), file.as_deref(), around);
        typed.refusals.extend(mistakes);
        config.signals.max_age
    } else {
        None
    };
    Some(Check { subjects, max_age })
}

fn is_settings(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|ending| ending == "toml")
}

/// Everything for which `serve` would refuse to start with this file, but for a server that runs
/// with it already.
fn settings(typed: &mut Typed<'_>, around: &Surroundings, name: &str) -> Option<Subject> {
    is_readable(typed, &around.folder.join(name), name)?;
    let (config, mut refusals) = Config::read(&Layer::default(), Some(Path::new(name)), around);
    let now = SystemTime::now();
    refusals.extend(settings_refused(&config));
    refusals.extend(first_start::look(&config, now));
    let mut warnings = first_start::warnings(&config, now);
    if let Some(in_use) = config.data_dir_in_use() {
        warnings.push(in_use.line());
    }
    warnings.extend(config.warnings);
    Some(Subject::Settings { refusals, warnings })
}

/// `-`, what `--source` takes, or the path alone. A file of just this name is meant before a
/// pattern and parameters are.
fn feeds(typed: &mut Typed<'_>, around: &Surroundings, name: &str) -> Option<Vec<Feed>> {
    let path = around.folder.join(name);
    if name != "-" && path.exists() {
        is_readable(typed, &path, name)?;
        let (file, unit) = (Some(path), TimeUnit::default());
        return Some(vec![Feed { file, unit }]);
    }
    let spec = match name {
        "-" => "stdin".to_owned(),
        _ if is_spec(name) => name.to_owned(),
        _ => format!("file:{}", path.display()),
    };
    match spec.parse() {
        Ok(Spec::Stdin(StdinSpec { unit })) => Some(vec![Feed { file: None, unit }]),
        Ok(Spec::File(spec)) => Some(files(typed, &spec, name)),
        Ok(Spec::Exec(spec)) => {
            let remedy = format!("write: {} | signalcast check -", spec.command());
            typed.refuse(name, "is a command, which is not run here", &remedy);
            None
        }
        Err(why) => {
            typed.refusals.push(Problem::said(why).with(name));
            None
        }
    }
}

fn files(typed: &mut Typed<'_>, spec: &FileSpec, name: &str) -> Vec<Feed> {
    let found = source::matching(spec);
    if found.is_empty() {
        typed.refuse(name, "no file matches", "name one that is there");
    }
    let mut feeds = Vec::new();
    for path in found {
        if is_readable(typed, &path, &path.display().to_string()).is_some() {
            let (file, unit) = (Some(path), spec.unit());
            feeds.push(Feed { file, unit });
        }
    }
    feeds
}

fn is_spec(name: &str) -> bool {
    let has_kind = |kind| name.starts_with(kind);
    name == "stdin" || ["stdin?", "file:", "exec:"].into_iter().any(has_kind)
}

/// Looked at before anything is read, so that all that is mistyped is said at once. A pipe can be
/// opened only once, so that is left for later.
fn is_readable(typed: &mut Typed<'_>, path: &Path, name: &str) -> Option<()> {
    let opened = path.metadata().and_then(|metadata| {
        if metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        if metadata.is_file() {
            File::open(path)?;
        }
        Ok(())
    });
    let Err(error) = opened else { return Some(()) };
    let (reason, remedy) = match error.kind() {
        io::ErrorKind::NotFound => ("there is no such file".to_owned(), "name one that is there"),
        io::ErrorKind::IsADirectory => ("is a folder".to_owned(), "name the files in it"),
        _ => (
            format!("can't be read: {error}"),
            "name a file that this user may read",
        ),
    };
    typed.refuse(name, &reason, remedy);
    None
}
