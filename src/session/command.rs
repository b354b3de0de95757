use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::answer::{Problem, RequestId};
use crate::auth::Token;
use crate::hub::Tests;
use crate::signal::{Seq, SymbolFilter};

/// What a client of `signalcast.v2` asks of the server.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) command: Result<Command, Problem>,
    /// Comes back with the answer.
    pub(super) id: Option<RequestId>,
}

#[derive(Debug)]
pub(super) enum Command {
    Ping,
    Test,
    Subscribe(Wanted),
    Resume {
        /// The last signal that the client has; `None`: it has none.
        after: Option<Seq>,
    },
    Auth(Token),
}

/// Which signals a client wants.
#[derive(Debug)]
pub(super) struct Wanted {
    /// The symbols, as it wrote them.
    pub(super) patterns: Vec<String>,
    pub(super) symbols: SymbolFilter,
    pub(super) tests: Tests,
}

/// The text that asks for a test signal without being JSON, in `signalcast.v1` too.
pub(super) const BARE_TEST: &str = "test";

impl Request {
    /// What this text asks for.
    pub(super) fn parse(text: &str) -> Self {
        if text == BARE_TEST {
            let command = Ok(Command::Test);
            return Self { command, id: None };
        }
        let read = serde_json::from_str::<Members<'_>>(text)
            .map_err(|error| no_object(&error))
            .and_then(|members| Ok((members.id()?, members)));
        match read {
            Ok((id, members)) => Self {
                command: members.command(),
                id,
            },
            Err(problem) => Self {
                command: Err(problem),
                id: None,
            },
        }
    }
}

/// The members of a command, unread. Only those that a command may have are kept.
#[derive(Debug, Default)]
struct Members<'a> {
    known: [Option<&'a RawValue>; Member::ALL.len()],
    /// One that no command has.
    stranger: Option<String>,
    /// One that is there more than once.
    repeated: Option<Member>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Type,
    RequestId,
    Symbols,
    Tests,
    AfterSeq,
    Token,
}

impl Member {
    const ALL: [Self; 6] = [
        Self::Type,
        Self::RequestId,
        Self::Symbols,
        Self::Tests,
        Self::AfterSeq,
        Self::Token,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::RequestId => "request_id",
            Self::Symbols => "symbols",
            Self::Tests => "tests",
            Self::AfterSeq => "after_seq",
            Self::Token => "token",
        }
    }

    /// What its value must be.
    fn form(self) -> &'static str {
        match self {
            Self::Type => r#"a string such as "ping""#,
            Self::RequestId => "a string of up to 128 characters",
            Self::Symbols => r#"a list of patterns such as ["BTC*","ETHUSDT"]"#,
            Self::Tests => "true or false",
            Self::AfterSeq => {
                "a whole number: the seq of the last signal you have, or 0 for all from the first"
            }
            Self::Token => "a string",
        }
    }
}

impl<'a> Members<'a> {
    fn id(&self) -> Result<Option<RequestId>, Problem> {
        let id = self.read::<String>(Member::RequestId)?;
        id.map(|id| RequestId::new(id).ok_or_else(|| malformed(Member::RequestId)))
            .transpose()
    }

    fn command(&self) -> Result<Command, Problem> {
        let name = self.need::<String>("a command", Member::Type)?;
        let takes_only = |members: &[Member]| self.has_only(&name, members);
        match name.as_str() {
            "ping" => takes_only(&[]).map(|()| Command::Ping),
            "test" => takes_only(&[]).map(|()| Command::Test),
            "subscribe" => {
                takes_only(&[Member::Symbols, Member::Tests])?;
                self.wanted().map(Command::Subscribe)
            }
            "resume" => {
                takes_only(&[Member::AfterSeq])?;
                let after = Seq::new(self.need(&name, Member::AfterSeq)?);
                Ok(Command::Resume { after })
            }
            "auth" => {
                takes_only(&[Member::Token])?;
                let token = self.need::<String>(&name, Member::Token)?;
                Ok(Command::Auth(Token::new(token)))
            }
            _ => Err(unknown(&name)),
        }
    }

    fn wanted(&self) -> Result<Wanted, Problem> {
        let tests = match self.read(Member::Tests)? {
            None | Some(true) => Tests::Sent,
            Some(false) => Tests::LeftOut,
        };
        let Some(patterns) = self.read::<Vec<String>>(Member::Symbols)? else {
            return Ok(Wanted {
                patterns: vec!["*".to_owned()],
                symbols: SymbolFilter::All,
                tests,
            });
        };
        let no_symbols = |pattern: &String| pattern.is_empty() || pattern.contains(' ');
        if patterns.iter().any(no_symbols) {
            return Err(Problem::bad_command(
                "symbols has a pattern that is empty or has a blank in it, which no symbol matches; \
                 take it out",
            ));
        }
        let symbols = SymbolFilter::matching(patterns.iter().map(String::as_str))
            .map_err(|problem| Problem::bad_command(problem.to_string()))?;
        Ok(Wanted {
            patterns,
            symbols,
            tests,
        })
    }

    /// Refuses what this command does not take: a mistyped `symbols` that was passed over would
    /// bring signals that nobody asked for.
    fn has_only(&self, command: &str, takes: &[Member]) -> Result<(), Problem> {
        if let Some(member) = self.repeated {
            let name = member.name();
            let problem = format!("{name} is there more than once; write it once");
            return Err(Problem::bad_command(problem));
        }
        let always = [Member::Type, Member::RequestId];
        let is_foreign = |member: &Member| {
            self.raw(*member).is_some() && !always.contains(member) && !takes.contains(member)
        };
        let foreign = Member::ALL.into_iter().find(is_foreign).map(Member::name);
        let Some(foreign) = foreign.or(self.stranger.as_deref()) else {
            return Ok(());
        };
        let takes: Vec<_> = takes.iter().map(|member| member.name()).collect();
        let takes = match takes.as_slice() {
            [] => "nothing but request_id".to_owned(),
            takes => format!("{} and request_id", takes.join(", ")),
        };
        let foreign = shown(foreign).unwrap_or_else(|| "one of the keys that it has".to_owned());
        Err(Problem::bad_command(format!(
            "{command} does not take {foreign}; it takes {takes}"
        )))
    }

    fn need<T: Deserialize<'a>>(&self, command: &str, member: Member) -> Result<T, Problem> {
        let value = self.read(member)?;
        value.ok_or_else(|| {
            let (name, form) = (member.name(), member.form());
            Problem::bad_command(format!("{command} needs {name}, {form}"))
        })
    }

    fn read<T: Deserialize<'a>>(&self, member: Member) -> Result<Option<T>, Problem> {
        let value = self.raw(member).map(|raw| serde_json::from_str(raw.get()));
        // What serde says may repeat the value, and that may be a token.
        value.transpose().map_err(|_| malformed(member))
    }

    fn raw(&self, member: Member) -> Option<&'a RawValue> {
        self.known[member as usize]
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reading)
    }
}

/// Takes an object apart.
struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Members::default();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let value = map.next_value()?;
            match Member::ALL.into_iter().find(|member| member.name() == name) {
                Some(member) => {
                    if members.known[member as usize].replace(value).is_some() {
                        members.repeated = Some(member);
                    }
                }
                None => members.stranger = Some(name.into_owned()),
            }
        }
        Ok(members)
    }
}

fn no_object(error: &serde_json::Error) -> Problem {
    if error.is_data() {
        return Problem::bad_command(
            r#"a command is a JSON object such as {"type":"ping"}, or the text test"#,
        );
    }
    // Of what was sent it says nothing but the place.
    Problem::bad_command(format!(
        r#"this is not JSON: {error}; a command is an object such as {{"type":"ping"}}"#
    ))
}

fn malformed(member: Member) -> Problem {
    let (name, form) = (member.name(), member.form());
    Problem::bad_command(format!("{name} must be {form}"))
}

fn unknown(name: &str) -> Problem {
    let name = shown(name).unwrap_or_else(|| "of this name".to_owned());
    Problem::unknown_command(format!(
        "there is no command {name}; there are ping, test, subscribe, resume and auth"
    ))
}

/// What a client wrote, as far as an answer repeats it: what is longer may be a token.
fn shown(text: &str) -> Option<String> {
    const MOST_SHOWN: usize = 40;
    let is_short = text.chars().nth(MOST_SHOWN).is_none();
    is_short.then(|| format!("{text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_command_is_told_what_to_write() {
        let long = format!(r#"{{"type":"{}"}}"#, "x".repeat(41));
        let stranger = format!(r#"{{"type":"auth","token":"x","{}":1}}"#, "x".repeat(41));
        let id = format!(r#"{{"type":"ping","request_id":"{}"}}"#, "x".repeat(129));
        let patterns = serde_json::json!({ "type": "subscribe", "symbols": vec!["X"; 257] });
        let said: Vec<String> = [
            "",
            "TEST",
            "{",
            "[]",
            "\"eyJhbGciOiJIUzI1NiJ9\"",
            r#"{"type":"ping"} {}"#,
            "{}",
            r#"{"type":1}"#,
            r#"{"type":"stop"}"#,
            long.as_str(),
            id.as_str(),
            r#"{"type":"ping","type":"ping"}"#,
            r#"{"type":"ping","token":"x"}"#,
            r#"{"type":"subscribe","symbol":[]}"#,
            r#"{"type":"subscribe","symbols":"X"}"#,
            r#"{"type":"subscribe","symbols":["X",""]}"#,
            &patterns.to_string(),
            r#"{"type":"subscribe","tests":1}"#,
            r#"{"type":"resume"}"#,
            r#"{"type":"resume","after_seq":1.5}"#,
            r#"{"type":"auth"}"#,
            r#"{"type":"auth","token":null}"#,
            stranger.as_str(),
        ]
        .into_iter()
        .map(|text| {
            let problem = Request::parse(text).command.expect_err(text);
            let said = serde_json::to_string(&problem).unwrap();
            let text: String = text.chars().take(60).collect();
            format!("{text}\n    {said}")
        })
        .collect();
        insta::assert_snapshot!(said.join("\n"));
    }
}
