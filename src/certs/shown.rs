use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};

use super::Identity;

/// The certificate that new connections are shown. It can be replaced at any time; connections
/// that are open keep to the one that they began with.
#[derive(Debug)]
pub struct Shown(RwLock<Arc<CertifiedKey>>);

impl Shown {
    /// Shows this one.
    pub fn new(identity: &Identity) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Arc::clone(identity.certified()))))
    }

    /// Shows this one from the next handshake on.
    pub fn replace(&self, identity: &Identity) {
        let mut shown = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *shown = Arc::clone(identity.certified());
    }

    /// TLS 1.2 and 1.3 for HTTP/1.1, without client certificates.
    pub fn server_config(self: &Arc<Self>) -> ServerConfig {
        let mut config = ServerConfig::builder_with_provider(provider().into())
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .expect("this provider has cipher suites for both")
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Self>::clone(self));
        // Bots connect once and stay, and their libraries never resume: two tickets and a shared
        // cache entry for each handshake would be for nobody.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // A WebSocket is upgraded from HTTP/1.1.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&shown))
    }
}

/// The usual one, X25519 first: the cheapest handshake that every client can do.
pub(super) fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    let x25519 = aws_lc_rs::kx_group::X25519.name();
    provider
        .kx_groups
        .sort_by_key(|group| group.name() != x25519);
    provider
}
