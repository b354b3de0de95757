//! The server's TLS, with clients that say nothing after their handshake.

use std::io::Cursor;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use signalcast::certs::{Shown, load, make_development};
use tempfile::TempDir;

/// The server's side of as many connections as are asked for.
pub struct Handshakes {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

/// What TLS 1.3 adds to each record: a header, the true type, the tag of its AEADs
/// (RFC 8446 section 5.2).
pub const RECORD_OVERHEAD: usize = 5 + 1 + 16;

impl Handshakes {
    /// With a certificate of their own.
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name| folder.path().join(name);
        let now = SystemTime::now();
        make_development(folder.path(), now).unwrap();
        let identity = load(&path("server.pem"), &path("server.key"), now).unwrap();
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(path("ca.pem")).unwrap();
        roots.add(authority).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            server: Arc::new(Shown::new(&identity).server_config()),
            client: Arc::new(client),
        }
    }

    /// The server's side of one connection after its handshake, in memory.
    pub fn connection(&self) -> ServerConnection {
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = ClientConnection::new(Arc::clone(&self.client), name).unwrap();
        let mut server = ServerConnection::new(Arc::clone(&self.server)).unwrap();
        while client.wants_write() || server.wants_write() {
            let mut flight = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut flight).unwrap();
            }
            server.read_tls(&mut Cursor::new(&flight)).unwrap();
            server.process_new_packets().unwrap();
            flight.clear();
            while server.wants_write() {
                server.write_tls(&mut flight).unwrap();
            }
            client.read_tls(&mut Cursor::new(&flight)).unwrap();
            client.process_new_packets().unwrap();
        }
        assert!(!server.is_handshaking());
        server
    }
}
