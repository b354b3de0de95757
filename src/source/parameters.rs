//! What stands behind a source's last question mark: `?from=start&unit=ms`.

use crate::signal::TimeUnit;

/// What happens when a command has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Restart {
    /// It is started again, however it ended.
    #[default]
    Always,
    /// So has the source.
    Never,
}

/// Where reading begins in files that are there when the server starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum From {
    /// Only what is appended from now on.
    #[default]
    End,
    /// All of it.
    Start,
}

/// What somebody has said of a source.
#[derive(Default)]
pub(super) struct Parameters {
    pub(super) from: Option<From>,
    pub(super) unit: Option<TimeUnit>,
    pub(super) restart: Option<Restart>,
}

/// All there are.
pub(super) const KNOWN: &[&str] = &["from", "unit", "restart"];

/// Those that a command may have. Of the others it may hold any, in an address that it fetches.
pub(super) const KNOWN_OF_COMMANDS: &[&str] = &["unit", "restart"];

/// What stands before the parameters, and these. They start at the last `?` that is followed by a
/// known name and `=`, because `?` is also a wildcard and may stand in a file's name.
pub(super) fn split<'a>(spec: &'a str, known: &[&str]) -> (&'a str, &'a str) {
    spec.rmatch_indices('?')
        .map(|(at, _)| (&spec[..at], &spec[at + 1..]))
        .find(|(_, after)| {
            after
                .split_once('=')
                .is_some_and(|(name, _)| known.contains(&name))
        })
        .unwrap_or((spec, ""))
}

impl Parameters {
    /// What such a text says; nothing if it is empty.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parameters = Self::default();
        for parameter in text.split('&').filter(|_| !text.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let again = match name {
                "from" => parameters
                    .from
                    .replace(match value {
                        "start" => From::Start,
                        "end" => From::End,
                        _ => return Err(format!("from is \"{value}\"; write start or end")),
                    })
                    .is_some(),
                "unit" => parameters
                    .unit
                    .replace(match value {
                        "ms" => TimeUnit::Milliseconds,
                        "s" => TimeUnit::Seconds,
                        _ => return Err(format!("unit is \"{value}\"; write ms or s")),
                    })
                    .is_some(),
                "restart" => parameters
                    .restart
                    .replace(match value {
                        "always" => Restart::Always,
                        "never" => Restart::Never,
                        _ => return Err(format!("restart is \"{value}\"; write always or never")),
                    })
                    .is_some(),
                _ => {
                    return Err(format!(
                        "no parameter \"{name}\"; known are from=start, unit=ms and restart=never"
                    ));
                }
            };
            if again {
                return Err(format!("\"{name}\" is there twice; leave one out"));
            }
        }
        Ok(parameters)
    }

    /// Refuses what only files have.
    pub(super) fn without_from(self) -> Result<Self, String> {
        match self.from {
            None => Ok(self),
            Some(_) => Err("only file: sources take \"from\"; leave it out".to_owned()),
        }
    }

    /// Refuses what only commands have.
    pub(super) fn without_restart(self) -> Result<Self, String> {
        match self.restart {
            None => Ok(self),
            Some(_) => Err("only exec: sources take \"restart\"; leave it out".to_owned()),
        }
    }
}
