use serde::Serialize;

use crate::auth::{Principal, Scope};
use crate::hub::frame;
use crate::signal::{Price, Side, Signal, Symbol, Timestamp};

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
        test: &TestSignal,
        now: Timestamp,
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
        let signal = Signal::synthetic(side, test.symbol.clone(), test.price, now);
        frame::write_text(out, |out| signal.write_v1(out));
    }
}

fn write_error(out: &mut Vec<u8>, code: &str, message: &str) {
    frame::write_text(out, |out| {
        serde_json::to_writer(out, &ErrorMessage { code, message })
            .expect("two strings serialize into memory");
    });
}
