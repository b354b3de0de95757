//! What the benchmarks of single parts share: signals, TLS without a network, and clients that are
//! nothing but a socket.
#![allow(dead_code, reason = "each benchmark uses what it needs")]
#![allow(unreachable_pub, reason = "pub is what the benchmarks see")]

pub mod clients;
pub mod crowd;
pub mod signals;
pub mod tls;

use tikv_jemallocator::Jemalloc;

/// As in the server.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;
