//! What a signal is: its parts, the shapes in which a line may bring it, and its text on the wire.
//! Nothing here does I/O or reads a clock.

mod excerpt;
mod id;
mod number;
mod pattern;
mod price;
mod rfc3339;
mod seq;
mod side;
mod symbol;
mod timestamp;

pub use id::{Id, InvalidId};
pub use pattern::{InvalidPattern, SymbolFilter};
pub use price::{InvalidPrice, Price};
pub use seq::Seq;
pub use side::{InvalidSide, Side};
pub use symbol::{InvalidSymbol, Symbol};
pub use timestamp::{InvalidTimestamp, TimeUnit, Timestamp};
