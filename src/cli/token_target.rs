//! What was typed for `token inspect` and `token revoke`.

use std::io::{self, Read as _};

use super::typed::Typed;
use crate::auth::Token;
use crate::token::Target;

/// What is to be revoked; none if that can't be told.
pub(super) fn read(typed: &mut Typed<'_>) -> Option<Target> {
    let (token, jti, sub) = (typed.once("token"), typed.once("jti"), typed.once("sub"));
    for (flag, value) in [("--jti", &jti), ("--sub", &sub)] {
        if value.as_deref() == Some("") {
            typed.refuse(flag, "is empty", "write a name");
            return None;
        }
    }
    match (token, jti, sub) {
        (Some(text), None, None) => token_of(typed, text).map(Target::Token),
        (None, Some(jti), None) => Some(Target::Jti(jti)),
        (None, None, Some(sub)) => Some(Target::Subject(sub)),
        (None, None, None) => {
            typed.refuse(
                "TOKEN",
                "is missing",
                "write a token, the id of one, --jti NAME or --sub NAME",
            );
            None
        }
        _ => {
            typed.refuse(
                "TOKEN",
                "is there in more than one way",
                "write a token, or --jti, or --sub",
            );
            None
        }
    }
}

/// The token to look at; none if there is none.
pub(super) fn one(typed: &mut Typed<'_>) -> Option<Token> {
    if let Some(text) = typed.once("token") {
        return token_of(typed, text);
    }
    typed.refuse("TOKEN", "is missing", "write one, or - for standard input");
    None
}

fn token_of(typed: &mut Typed<'_>, text: String) -> Option<Token> {
    let text = if text == "-" {
        match from_stdin() {
            Ok(text) => text,
            Err(error) => {
                let reason = format!("can't read standard input: {error}");
                typed.refuse("TOKEN", &reason, "write it there, in one line");
                return None;
            }
        }
    } else {
        text
    };
    if text.trim().is_empty() {
        typed.refuse("TOKEN", "is empty", "write one, or - for standard input");
        return None;
    }
    Some(Token::new(text.trim()))
}

fn from_stdin() -> io::Result<String> {
    let mut text = String::new();
    io::stdin().take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// More than any token has; what is cut off there is no token either way.
const MOST_BYTES: u64 = 64 * 1024;
