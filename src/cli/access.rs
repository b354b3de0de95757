//! What was typed for a command that goes to a server: what to show there, and whom to believe.

use std::fs;
use std::path::Path;

use hyper::Uri;
use hyper::http::HeaderValue;

use super::typed::Typed;
use crate::config::{Surroundings, TOKEN_VARIABLE};
use crate::listen::{USUAL_CA, authorization};

/// The token from wherever it was given; the command line beats the variable.
pub(super) fn token(
    typed: &mut Typed<'_>,
    around: &Surroundings,
) -> Result<Option<HeaderValue>, ()> {
    let given = typed.once("token");
    let file = typed.once("token-file");
    let (thing, token) = match (given, file) {
        (Some(_), Some(_)) => {
            typed.refuse("--token-file", "is there beside --token", "leave one");
            return Err(());
        }
        (Some(token), None) => ("--token", token),
        (None, Some(path)) => match fs::read_to_string(around.folder.join(&path)) {
            Ok(text) => ("--token-file", text.trim().to_owned()),
            Err(error) => {
                typed.refuse(
                    "--token-file",
                    &format!("can't read {path}: {error}"),
                    "name a file that exists and may be read",
                );
                return Err(());
            }
        },
        (None, None) => match around.variable(TOKEN_VARIABLE) {
            Some(token) => (TOKEN_VARIABLE, token.to_owned()),
            None => return Ok(None),
        },
    };
    let header = authorization(&token).filter(|_| !token.is_empty());
    if header.is_none() {
        typed.refuse(
            thing,
            "holds no token",
            "make one with signalcast token issue --sub NAME",
        );
        return Err(());
    }
    Ok(header)
}

/// What `trusting` makes of the authorities that are to be trusted: none inside without TLS, none
/// at all if they can't be read.
pub(super) fn trust<T>(
    typed: &mut Typed<'_>,
    around: &Surroundings,
    url: &Uri,
    trusting: impl Fn(Option<&Path>) -> Result<T, String>,
) -> Option<Option<T>> {
    let named = typed.once("ca");
    if matches!(url.scheme_str(), Some("ws" | "http")) {
        return Some(None);
    }
    let usual = || {
        let usual = around.folder.join(USUAL_CA);
        usual.exists().then_some(usual)
    };
    let ca = named.as_ref().map(|path| around.folder.join(path));
    match trusting(ca.or_else(usual).as_deref()) {
        Ok(config) => Some(Some(config)),
        Err(error) => {
            let path = named.as_deref().unwrap_or(USUAL_CA);
            let thing = if named.is_some() { "--ca" } else { USUAL_CA };
            typed.refuse(
                thing,
                &format!("can't read {}: {error}", Path::new(path).display()),
                "name a PEM file of certificates with --ca",
            );
            None
        }
    }
}
