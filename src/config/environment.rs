//! What the process finds around it, as a value: tests bring their own.

use std::ffi::OsString;
use std::path::PathBuf;
use std::thread;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::layer::{Layer, Origin};
use super::named::{self, Place};
use super::refusal::{Refusal, Refusals};
use super::suggest::nearest_variable;
use super::table::{Arity, VARIABLE_PREFIX};

/// The part of the outside world that settings depend on.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Where the files are that are read for the arguments to be understood: settings, tokens, CAs.
    pub folder: PathBuf,
    /// The environment.
    pub variables: Vec<(OsString, OsString)>,
    /// Threads that can run at once.
    pub cores: usize,
    /// Files this process may have open; none: no limit.
    pub open_files: Option<u64>,
}

impl Surroundings {
    /// Those of this process. Raises its limit of open files as far as allowed.
    pub fn of_this_process() -> Self {
        Self {
            folder: PathBuf::new(),
            variables: std::env::vars_os().collect(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            open_files: raise_open_files(),
        }
    }

    /// What the variables say. All mistakes come back together with what could be read.
    pub(super) fn layer(&self) -> (Layer, Refusals) {
        let mut layer = Layer::default();
        let mut refusals = Refusals::new();
        for (name, value) in &self.variables {
            let name = name.to_string_lossy();
            if !name.starts_with(VARIABLE_PREFIX) || OTHER_VARIABLES.contains(&&*name) {
                continue;
            }
            let Some((setting, key)) = named::find(&name, Place::Variable) else {
                refusals.push(Refusal::new(
                    &name,
                    "there is no such variable",
                    format!("did you mean {}?", nearest_variable(&name, OTHER_VARIABLES)),
                ));
                continue;
            };
            let Some(value) = value.to_str() else {
                refusals.push(Refusal::new(&name, "is not UTF-8", "write it in UTF-8"));
                continue;
            };
            // Compose files and units hand on what nobody set as an empty text.
            if value.is_empty() {
                continue;
            }
            let texts = match setting.arity {
                Arity::One => vec![value.to_owned()],
                Arity::List => value
                    .lines()
                    .map(|line| line.trim().to_owned())
                    .filter(|line| !line.is_empty())
                    .collect(),
            };
            layer.set(key, texts, Origin::Variable(name.into_owned()));
        }
        (layer, refusals)
    }

    /// The value of a variable that is no setting, when it is there and not empty.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .iter()
            .find(|(known, _)| known == name)
            .and_then(|(_, value)| value.to_str())
            .filter(|value| !value.is_empty())
    }
}

/// The server that `listen` and the bots of `examples/` connect to: nothing a server is set up
/// with, so no setting.
pub(crate) const URL_VARIABLE: &str = "SIGNALCAST_URL";

/// The token they show.
pub(crate) const TOKEN_VARIABLE: &str = "SIGNALCAST_TOKEN";

/// Variables of ours that are no settings.
const OTHER_VARIABLES: &[&str] = &[
    URL_VARIABLE,
    TOKEN_VARIABLE,
    #[cfg(debug_assertions)]
    crate::crash::VARIABLE,
];

/// The soft limit becomes the hard one; returns what holds then.
fn raise_open_files() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings(variables: &[(&str, &str)]) -> Surroundings {
        Surroundings {
            folder: PathBuf::new(),
            variables: variables
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            cores: 1,
            open_files: None,
        }
    }

    #[test]
    fn a_list_is_one_a_line() {
        let (layer, refusals) =
            surroundings(&[("SIGNALCAST_SOURCES", "stdin\r\n file:a b.jsonl\n\n")]).layer();
        assert!(refusals.is_empty());
        assert_eq!(
            layer.given("sources").unwrap().texts,
            ["stdin", "file:a b.jsonl"]
        );
    }

    #[test]
    fn an_empty_variable_is_as_if_unset() {
        let (layer, refusals) = surroundings(&[("SIGNALCAST_SERVER_LISTEN", "")]).layer();
        assert!(refusals.is_empty());
        assert!(layer.given("server.listen").is_none());
    }

    #[test]
    fn unknown_variables_name_the_nearest_and_others_are_left_alone() {
        let (_, refusals) = surroundings(&[
            ("SIGNALCAST_LISTEN", "x"),
            ("SIGNALCAST_AUTH_LEWAY", "x"),
            ("SIGNALCAST_TOKEN", "x"),
            ("SIGNALCAST_TOKN", "x"),
            ("PATH", "x"),
        ])
        .layer();
        insta::assert_snapshot!(refusals, @"
        signalcast: SIGNALCAST_LISTEN: there is no such variable; did you mean SIGNALCAST_SERVER_LISTEN?
        signalcast: SIGNALCAST_AUTH_LEWAY: there is no such variable; did you mean SIGNALCAST_AUTH_LEEWAY?
        signalcast: SIGNALCAST_TOKN: there is no such variable; did you mean SIGNALCAST_TOKEN?
        ");
    }
}
