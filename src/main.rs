//! The `signalcast` command.

fn main() {}
