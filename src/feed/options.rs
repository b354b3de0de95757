use std::path::PathBuf;
use std::sync::Arc;

use hyper::Uri;
use hyper::http::HeaderValue;
use rustls::ClientConfig;

use crate::backoff::Backoff;

/// What `feed` was asked for.
#[derive(Clone)]
pub struct Options {
    /// The server: `https` or `http`, a host, and maybe a path in front of `/signals`.
    pub(super) url: Uri,
    pub(super) token: Option<HeaderValue>,
    /// Whom to believe; `None`: without TLS.
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// Where to keep what is not acknowledged in the end.
    pub(super) folder: PathBuf,
    pub(super) backoff: Backoff,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("url", &self.url)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// Publishes at this server, shows this token, and believes these authorities.
    pub(crate) fn new(
        url: Uri,
        token: Option<HeaderValue>,
        tls: Option<Arc<ClientConfig>>,
        folder: PathBuf,
    ) -> Self {
        Self {
            url,
            token,
            tls,
            folder,
            backoff: Backoff::default(),
        }
    }

    /// Where signals are published.
    pub(super) fn target(&self) -> String {
        format!("{}/signals", self.url.path().trim_end_matches('/'))
    }
}
