//! Brings raw lines with their place from everything that `--source` names. Does not know what a
//! signal is.

mod spec;

pub use spec::{FileSpec, From, InvalidSpec, Spec, StdinSpec};
