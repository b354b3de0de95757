use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection};

use super::cpu;
use super::tls::Configs;

/// A whole handshake, tickets included, without a socket: the server's end of it, and the CPU time
/// that end has used.
pub(crate) fn shake(configs: &Configs) -> (ServerConnection, Duration) {
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(Arc::clone(&configs.client), name).unwrap();
    let start = cpu::used();
    let mut server = ServerConnection::new(Arc::clone(&configs.server)).unwrap();
    let mut used = cpu::used() - start;
    while client.wants_write() || server.wants_write() || server.is_handshaking() {
        let mut to_server = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut to_server).unwrap();
        }
        let start = cpu::used();
        let mut to_client = Vec::new();
        let mut rest = &to_server[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets().unwrap();
        }
        while server.wants_write() {
            server.write_tls(&mut to_client).unwrap();
        }
        used += cpu::used() - start;
        let mut rest = &to_client[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets().unwrap();
        }
    }
    (server, used)
}

/// Handshakes for each second of the server's CPU.
pub(crate) fn per_cpu_second(configs: &Configs) -> f64 {
    for _ in 0..WARM_UP {
        shake(configs);
    }
    let used: Duration = (0..COUNT).map(|_| shake(configs).1).sum();
    f64::from(COUNT) / used.as_secs_f64()
}

const WARM_UP: u32 = 50;
const COUNT: u32 = 1000;
