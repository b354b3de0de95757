//! What a signal is. Nothing here does I/O or reads a clock.

mod pattern;
mod seq;

pub use pattern::{InvalidPattern, SymbolFilter};
pub use seq::Seq;
