use tokio_tungstenite::Connector;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Uri};

use super::cursor::Start;
use super::query::Query;
use crate::backoff::Backoff;

/// What `listen` was asked for.
#[derive(Clone)]
pub struct Options {
    pub(super) url: Uri,
    /// That of the address, without where to start.
    pub(super) query: Query,
    pub(super) start: Start,
    pub(super) token: Option<HeaderValue>,
    pub(super) connector: Connector,
    pub(super) form: Form,
    pub(super) backoff: Backoff,
}

/// How signals are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As a line for people.
    Line,
    /// As the frame that came.
    Frame,
}

/// Where a first start makes the authority of its certificate, beside which `listen` is often
/// started. It is trusted without being named.
pub(crate) const USUAL_CA: &str = "certs/ca.pem";

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("url", &without_query(&self.url))
            .field("start", &self.start)
            .field("token", &self.token)
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// Connects to `url` in this way, with this query instead of its own, begins there in the log,
    /// shows this token, and prints in this form.
    pub(crate) fn new(
        url: Uri,
        query: Query,
        start: Start,
        token: Option<HeaderValue>,
        connector: Connector,
        form: Form,
    ) -> Self {
        Self {
            url,
            query,
            start,
            token,
            connector,
            form,
            backoff: Backoff::default(),
        }
    }
}

/// For messages: a query may hold secrets.
pub(crate) fn without_query(url: &Uri) -> String {
    let text = url.to_string();
    let shown = text.split('?').next().unwrap_or_default();
    shown.trim_end_matches('/').to_owned()
}
