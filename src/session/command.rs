use std::io::Write as _;

use serde::Serialize;
use uuid::Uuid;

use crate::auth::{Principal, Scope};
use crate::clock;
use crate::hub::{View, frame};
use crate::signal::{Id, Price, Protocol, Side, Signal, Symbol};

/// Answers the text messages of one client.
#[derive(Debug)]
pub(super) struct Commands {
    next_test: Side,
}

/// What the answer to `test` says.
#[derive(Clone, Debug)]
pub struct TestSignal {
    /// Its symbol.
    pub symbol: Symbol,
    /// Its price.
    pub price: Price,
}

/// `{"type":"error","code":"…","message":"…"}`
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "error")]
struct ErrorMessage<'a> {
    code: &'a str,
    message: &'a str,
}

impl Commands {
    /// The first test signal is a buy.
    pub(super) fn new() -> Self {
        Self {
            next_test: Side::Buy,
        }
    }

    /// Appends the answer to one text message, as a frame.
    pub(super) fn answer(
        &mut self,
        text: &str,
        principal: &Principal,
        view: &View,
        test: &TestSignal,
        out: &mut Vec<u8>,
    ) {
        if text != "test" {
            let message = "the one command is the text test";
            return write_error(out, "unknown_command", message);
        }
        if !principal.has(Scope::SignalsTest) {
            let message = "test needs a token with the scope signals:test";
            return write_error(out, "insufficient_scope", message);
        }
        let side = self.next_test;
        self.next_test = match side {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        };
        let signal = Signal::synthetic(side, test.symbol.clone(), test.price, clock::now());
        write_test(out, &signal, view);
    }
}

/// As any signal, but for the seq: it is in no log.
fn write_test(out: &mut Vec<u8>, signal: &Signal, view: &View) {
    let (mut id, mut origin) = (String::new(), String::new());
    if view.protocol == Protocol::V2 {
        let received_at = clock::received_now();
        id = format!(r#","id":"{}""#, Id::from(Uuid::now_v7()));
        origin = format!(r#","source":"test","received_at":"{received_at}""#);
    }
    frame::write_text(out, |out| {
        let written =
            write!(out, r#"{{"type":"{}"{id},"content":"#, signal.side()).and_then(|()| {
                signal.write_content(view.prices, out);
                write!(out, r#","is_test":true{origin}}}"#)
            });
        written.expect("writing to memory does not fail");
    });
}

fn write_error(out: &mut Vec<u8>, code: &str, message: &str) {
    frame::write_text(out, |out| {
        serde_json::to_writer(out, &ErrorMessage { code, message })
            .expect("two strings serialize into memory");
    });
}
