use std::io::Write as _;

use uuid::Uuid;

use super::answer::{RequestId, write_object};
use crate::clock;
use crate::hub::View;
use crate::signal::{Id, Price, Protocol, Side, Signal, Symbol};

/// What the answer to `test` says.
#[derive(Clone, Debug)]
pub struct TestSignal {
    /// Its symbol.
    pub symbol: Symbol,
    /// Its price.
    pub price: Price,
}

/// The test signals of one client: buy and sell in turn.
#[derive(Debug)]
pub(super) struct TestSignals {
    next: Side,
}

impl TestSignals {
    /// The first is a buy.
    pub(super) fn new() -> Self {
        Self { next: Side::Buy }
    }

    /// Appends the next one as a frame, in the form of this view.
    pub(super) fn write_next(
        &mut self,
        test: &TestSignal,
        view: &View,
        id: Option<&RequestId>,
        out: &mut Vec<u8>,
    ) {
        let side = self.next;
        self.next = match side {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        };
        let signal = Signal::synthetic(side, test.symbol.clone(), test.price, clock::now());
        write(&signal, view, id, out);
    }
}

/// As any signal, but for the seq: it is in no log.
fn write(signal: &Signal, view: &View, request: Option<&RequestId>, out: &mut Vec<u8>) {
    let (mut id, mut origin) = (String::new(), String::new());
    if view.protocol == Protocol::V2 {
        let received_at = clock::received_now();
        id = format!(r#","id":"{}""#, Id::from(Uuid::now_v7()));
        origin = format!(r#","source":"test","received_at":"{received_at}""#);
    }
    write_object(request, out, |out| {
        let written =
            write!(out, r#"{{"type":"{}"{id},"content":"#, signal.side()).and_then(|()| {
                signal.write_content(view.prices, out);
                write!(out, r#","is_test":true{origin}}}"#)
            });
        written.expect("writing to memory does not fail");
    });
}
