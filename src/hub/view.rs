use crate::signal::{PriceForm, Protocol, SymbolFilter};

/// What a client gets, and in which form. Clients with the same view are one group, for which
/// filtering and writing happen once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct View {
    /// What frames say.
    pub protocol: Protocol,
    /// What is around that.
    pub framing: Framing,
    /// How they write prices.
    pub prices: PriceForm,
    /// The symbols that its token allows.
    pub allowed: SymbolFilter,
    /// The symbols that it asked for.
    pub symbols: SymbolFilter,
    /// Whether it gets signals that nobody may trade on.
    pub tests: Tests,
    /// Whether it gets stale ones.
    pub stale: Stale,
}

/// How one message is told from the next on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Each is a WebSocket frame.
    #[default]
    WebSocket,
    /// Each is a Server-Sent Event, which says what `signalcast.v2` does. Its reader says nothing.
    Events,
}

/// What becomes of signals that nobody may trade on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tests {
    /// They are sent like the others.
    #[default]
    Sent,
    /// They are left out.
    LeftOut,
}

/// What becomes of stale signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stale {
    /// They are left out.
    #[default]
    LeftOut,
    /// They are sent, and say that they are stale.
    Marked,
}

impl View {
    /// What a client gets that asks for nothing particular.
    pub fn of(allowed: &SymbolFilter) -> Self {
        Self {
            allowed: allowed.clone(),
            ..Self::default()
        }
    }

    /// Whether signals of this symbol pass.
    pub fn passes(&self, symbol: &str) -> bool {
        self.allowed.matches(symbol) && self.symbols.matches(symbol)
    }

    /// Whether every signal passes, as long as it is not stale.
    pub fn is_everything(&self) -> bool {
        self.allowed == SymbolFilter::All
            && self.symbols == SymbolFilter::All
            && self.tests == Tests::Sent
    }
}
