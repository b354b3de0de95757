//! What was typed for `cert`.

use super::typed::Typed;
use crate::cert::Request;
use crate::certs::{Host, Overwrite};
use crate::config::Problem;

/// What the certificate shall be for; none if that can't be told.
pub(super) fn read(typed: &mut Typed<'_>) -> Option<Request> {
    let given = typed.many("host");
    if given.is_empty() {
        typed.refuse(
            "--host",
            "is missing",
            "say what clients call the server, as in --host bot.example.org --host 10.0.0.5",
        );
    }
    let mut hosts: Vec<Host> = Vec::new();
    for text in &given {
        match text.parse() {
            Ok(host) if hosts.contains(&host) => {}
            Ok(host) => hosts.push(host),
            Err(why) => {
                let Problem { reason, remedy } = Problem::said(why);
                let problem = Problem::new(format!("{text:?} {reason}"), remedy);
                typed.refusals.push(problem.with("--host"));
            }
        }
    }
    let overwrite = match typed.is_there("force") {
        true => Overwrite::Anything,
        false => Overwrite::Development,
    };
    Some(Request { hosts, overwrite })
}
