//! One look at the URL: over TLS from end to end, bounded in time, size and redirects.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::http::uri::{InvalidUri, PathAndQuery, Scheme};
use hyper::http::{HeaderMap, Request, Response, StatusCode, Uri, header};
use hyper::service::Service;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::auth::{BadKeySet, KeySet};
use crate::trust::trusting;

/// What the URL holds.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) text: Bytes,
    pub(super) set: KeySet,
    /// How long it may be kept, by its sender's word.
    pub(super) fresh_for: Option<Duration>,
}

/// Why there is no set.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("no answer within {} s", LONGEST.as_secs())]
    Late,
    #[error("the certificate authorities to trust can't be read: {0}")]
    Authorities(String),
    #[error("can't connect{through}")]
    Connect {
        /// ` through the proxy …`, or nothing.
        through: String,
        #[source]
        why: Box<dyn Error + Send + Sync>,
    },
    #[error("the proxy {0} is neither http:// nor socks5://")]
    Proxy(Uri),
    #[error("no TLS connection")]
    Tls(#[source] io::Error),
    #[error("the URL's host is no name that a certificate can have")]
    Host,
    #[error("no HTTP answer")]
    Http(#[from] hyper::Error),
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("it redirects to what is no https URL")]
    Redirect(#[source] Option<InvalidUri>),
    #[error("it redirects more than {MOST_REDIRECTS} times")]
    TooManyRedirects,
    #[error("the answer breaks off or is longer than {} KiB", KeySet::MOST_BYTES / 1024)]
    Body(#[source] Box<dyn Error + Send + Sync>),
    #[error("the answer {0}")]
    BadSet(#[from] BadKeySet),
}

/// Fetches the set. The authorities and the proxy are looked up each time, so that new ones need
/// no restart.
pub(super) async fn fetch(url: &Uri) -> Result<Fetched, FetchError> {
    timeout(LONGEST, follow(url.clone()))
        .await
        .map_err(|_| FetchError::Late)?
}

async fn follow(mut url: Uri) -> Result<Fetched, FetchError> {
    let tls = spawn_blocking(|| trusting(None))
        .await
        .map_err(|died| FetchError::Authorities(died.to_string()))?
        .map_err(FetchError::Authorities)?;
    for _ in 0..=MOST_REDIRECTS {
        let answer = get(&url, &tls).await?;
        if !REDIRECTIONS.contains(&answer.status) {
            return answer.into_fetched();
        }
        url = redirected(&url, &answer.headers)?;
    }
    Err(FetchError::TooManyRedirects)
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: Bytes,
}

impl Answer {
    async fn read(response: Response<Incoming>) -> Result<Self, FetchError> {
        let (head, body) = response.into_parts();
        let text = if head.status == StatusCode::OK {
            let body = Limited::new(body, KeySet::MOST_BYTES);
            body.collect().await.map_err(FetchError::Body)?.to_bytes()
        } else {
            Bytes::new()
        };
        Ok(Self {
            status: head.status,
            headers: head.headers,
            text,
        })
    }

    fn into_fetched(self) -> Result<Fetched, FetchError> {
        if self.status != StatusCode::OK {
            return Err(FetchError::Status(self.status));
        }
        Ok(Fetched {
            set: KeySet::parse(&self.text)?,
            text: self.text,
            fresh_for: fresh_for(&self.headers),
        })
    }
}

async fn get(url: &Uri, tls: &Arc<ClientConfig>) -> Result<Answer, FetchError> {
    let host = url.host().unwrap_or_default();
    let name = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let name = ServerName::try_from(name).map_err(|_| FetchError::Host)?;
    let socket = connect(url).await?;
    let stream = TlsConnector::from(Arc::clone(tls))
        .connect(name, socket)
        .await
        .map_err(FetchError::Tls)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async move {
        let response = sender.send_request(request(url)).await?;
        Answer::read(response).await
    };
    // The connection ends with its sender. What breaks it breaks the exchange too, which says so.
    let (answer, _) = tokio::join!(exchange, connection);
    answer
}

fn request(url: &Uri) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    let target = url.path_and_query().map_or("/", PathAndQuery::as_str);
    let host = url.authority().map_or("", |authority| authority.as_str());
    *request.uri_mut() = target.parse().unwrap_or_default();
    let headers = request.headers_mut();
    if let Ok(host) = host.parse() {
        headers.insert(header::HOST, host);
    }
    for (name, value) in [
        (header::ACCEPT, "application/jwk-set+json, application/json"),
        (header::USER_AGENT, USER_AGENT),
    ] {
        headers.insert(name, header::HeaderValue::from_static(value));
    }
    request
}

/// Straight to the host, or through the proxy that the environment names for it.
async fn connect(url: &Uri) -> Result<TcpStream, FetchError> {
    let mut direct = HttpConnector::new();
    direct.enforce_http(false);
    let Some(proxy) = Matcher::from_env().intercept(url) else {
        return reach(direct, url, String::new()).await;
    };
    let through = format!(" through the proxy {}", proxy.uri());
    match proxy.uri().scheme_str() {
        Some("http") => reach(tunnel(&proxy, direct), url, through).await,
        Some("socks5" | "socks5h") => reach(socks(&proxy, direct), url, through).await,
        _ => Err(FetchError::Proxy(proxy.uri().clone())),
    }
}

fn tunnel(proxy: &Intercept, direct: HttpConnector) -> Tunnel<HttpConnector> {
    let tunnel = Tunnel::new(proxy.uri().clone(), direct);
    match proxy.basic_auth() {
        Some(login) => tunnel.with_auth(login.clone()),
        None => tunnel,
    }
}

fn socks(proxy: &Intercept, direct: HttpConnector) -> SocksV5<HttpConnector> {
    let socks = SocksV5::new(proxy.uri().clone(), direct);
    match proxy.raw_auth() {
        Some((user, password)) => socks.with_auth(user.to_owned(), password.to_owned()),
        None => socks,
    }
}

async fn reach<C>(connector: C, url: &Uri, through: String) -> Result<TcpStream, FetchError>
where
    TowerToHyperService<C>: Service<Uri, Response = TokioIo<TcpStream>>,
    <TowerToHyperService<C> as Service<Uri>>::Error: Into<Box<dyn Error + Send + Sync>>,
{
    match TowerToHyperService::new(connector).call(url.clone()).await {
        Ok(stream) => Ok(stream.into_inner()),
        Err(why) => Err(FetchError::Connect {
            through,
            why: why.into(),
        }),
    }
}

/// Where an answer sends us: an `https` URL, or another path of the same host.
fn redirected(from: &Uri, headers: &HeaderMap) -> Result<Uri, FetchError> {
    let location = headers
        .get(header::LOCATION)
        .and_then(|location| location.to_str().ok())
        .ok_or(FetchError::Redirect(None))?;
    let refused = |why| FetchError::Redirect(Some(why));
    let authority = from.authority().map_or("", |authority| authority.as_str());
    let to: Uri = if location.starts_with("//") {
        format!("https:{location}").parse().map_err(refused)?
    } else if location.starts_with('/') {
        format!("https://{authority}{location}")
            .parse()
            .map_err(refused)?
    } else {
        location.parse().map_err(refused)?
    };
    let has_host = to.host().is_some_and(|host| !host.is_empty());
    if to.scheme() != Some(&Scheme::HTTPS) || !has_host {
        return Err(FetchError::Redirect(None));
    }
    Ok(to)
}

/// What `Cache-Control` says (RFC 9111, section 5.2.2), less the time that the answer has spent in
/// caches on its way.
fn fresh_for(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(header::CACHE_CONTROL).iter();
    let directives: Vec<String> = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(|directive| directive.trim().to_ascii_lowercase())
        .collect();
    if directives
        .iter()
        .any(|said| said == "no-store" || said == "no-cache")
    {
        return Some(Duration::ZERO);
    }
    let max_age = directives
        .iter()
        .find_map(|said| said.strip_prefix("max-age="))?;
    let max_age: u64 = max_age.trim_matches('"').parse().ok()?;
    let age = headers
        .get(header::AGE)
        .and_then(|age| age.to_str().ok()?.parse().ok())
        .unwrap_or(0);
    Some(Duration::from_secs(max_age.saturating_sub(age)))
}

/// For all of it, redirects included.
const LONGEST: Duration = Duration::from_secs(10);

/// As from `http` to `https`, to the new host, and to the file.
const MOST_REDIRECTS: usize = 3;

const REDIRECTIONS: [StatusCode; 5] = [
    StatusCode::MOVED_PERMANENTLY,
    StatusCode::FOUND,
    StatusCode::SEE_OTHER,
    StatusCode::TEMPORARY_REDIRECT,
    StatusCode::PERMANENT_REDIRECT,
];

const USER_AGENT: &str = concat!("signalcast/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, header::HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_sender_says_how_long_its_answer_is_fresh() {
        use header::{AGE, CACHE_CONTROL};
        for (lines, expected) in [
            (&[][..], None),
            (&[(CACHE_CONTROL, "public")], None),
            (&[(CACHE_CONTROL, "max-age=soon")], None),
            (
                &[(CACHE_CONTROL, "public, Max-Age=900, must-revalidate")],
                Some(900),
            ),
            (
                &[(CACHE_CONTROL, "public"), (CACHE_CONTROL, "max-age=\"60\"")],
                Some(60),
            ),
            (&[(CACHE_CONTROL, "max-age=900"), (AGE, "600")], Some(300)),
            (&[(CACHE_CONTROL, "max-age=900"), (AGE, "1000")], Some(0)),
            (&[(CACHE_CONTROL, "max-age=900, no-cache")], Some(0)),
            (&[(CACHE_CONTROL, "no-store")], Some(0)),
        ] {
            let found = fresh_for(&headers(lines));
            assert_eq!(found, expected.map(Duration::from_secs), "{lines:?}");
        }
    }

    #[test]
    fn redirects_lead_to_https_only() {
        let from: Uri = "https://id.example.org:8443/a/jwks.json".parse().unwrap();
        for (location, expected) in [
            (
                "https://other.example.org/keys?v=1",
                Some("https://other.example.org/keys?v=1"),
            ),
            (
                "HTTPS://other.example.org/keys",
                Some("https://other.example.org/keys"),
            ),
            (
                "//other.example.org/keys",
                Some("https://other.example.org/keys"),
            ),
            ("/keys", Some("https://id.example.org:8443/keys")),
            ("http://id.example.org/keys", None),
            ("file:///etc/passwd", None),
            ("keys", None),
            ("https://", None),
            ("", None),
        ] {
            let found = redirected(&from, &headers(&[(header::LOCATION, location)])).ok();
            assert_eq!(
                found.map(|to| to.to_string()).as_deref(),
                expected,
                "{location}"
            );
        }
        assert!(redirected(&from, &HeaderMap::new()).is_err());
    }
}
