//! What the benchmarks of the log share: the real binary on a real disk, clients that count frames
//! on raw sockets, and tables of medians.
#![allow(dead_code, reason = "each benchmark uses what it needs")]
#![allow(unreachable_pub, reason = "pub is what the benchmarks see")]

pub mod bare;
pub mod client;
pub mod crowd;
pub mod feed;
pub mod figures;
pub mod frames;
pub mod lines;
pub mod options;
pub mod process;
pub mod server;
