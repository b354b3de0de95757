use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider};
use rustls::pki_types::ServerName;
use socket2::{Domain, Protocol, Socket, Type};
use tokio_tungstenite::tungstenite::http::Uri;

use super::BenchError;
use super::frames;
use super::options::{AuthorityFile, Filter, Options, PLACE_OF_SYMBOL};
use super::upgrade;
use super::verifier::Verifier;
use super::wanted::Wanted;
use crate::trust::authorities;

/// Where clients connect to, and what each of them says there.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// With TLS: whom to trust, and who the server has to be.
    pub(super) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// For all lines.
    request: Vec<u8>,
    /// For those of one symbol: who asks for it, and the request by symbol.
    filter: Option<(Filter, Vec<Vec<u8>>)>,
    /// What is sent next, as a frame.
    pub(super) hello: Option<Vec<u8>>,
}

impl Target {
    /// At this address of the server.
    pub(super) fn new(options: &Options, address: SocketAddr) -> Result<Self, BenchError> {
        let url = &options.url;
        let tls = match &options.tls {
            None => None,
            Some(authority) => {
                let name = ServerName::try_from(host(url).to_owned()).map_err(|why| {
                    BenchError::Address(host(url).to_owned(), io::Error::other(why))
                })?;
                Some((client_config(authority)?, name))
            }
        };
        let (subprotocol, headers) = (options.subprotocol.as_deref(), &options.headers);
        let filter = options.filter().cloned().map(|filter| {
            let request = |symbol| {
                let query = filter
                    .query
                    .replace(PLACE_OF_SYMBOL, &filter.symbols.of(symbol).to_string());
                upgrade::request(url, Some(&query), subprotocol, headers)
            };
            let requests = (0..filter.symbols.count()).map(request).collect();
            (filter, requests)
        });
        Ok(Self {
            address,
            tls,
            request: upgrade::request(url, None, subprotocol, headers),
            filter,
            hello: options.hello.as_deref().map(frames::message),
        })
    }

    /// What client `number` asks for.
    pub(super) fn wanted(&self, number: usize) -> Wanted {
        match &self.filter {
            None => Wanted::ALL,
            Some((filter, _)) => Wanted::by(number, filter.percent, filter.symbols.count()),
        }
    }

    /// Of the feed, as far as it matters who asks for which.
    pub(super) fn symbols(&self) -> u64 {
        self.filter
            .as_ref()
            .map_or(1, |(filter, _)| filter.symbols.count())
    }

    pub(super) fn request(&self, wanted: Wanted) -> &[u8] {
        let filtered = self.filter.as_ref().zip(wanted.only());
        filtered.map_or(&self.request, |((_, requests), symbol)| {
            &requests[usize::try_from(symbol).expect("there are as many")]
        })
    }

    /// Begins the connection of client `number`.
    pub(super) fn connect(&self, number: usize) -> io::Result<Socket> {
        let domain = Domain::for_address(self.address);
        let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        // Thousands of connections that are over would keep their ports for a minute.
        socket.set_linger(Some(Duration::ZERO))?;
        if let Some(source) = source(self.address.ip(), number) {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        match socket.connect(&self.address.into()) {
            Err(error)
                if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) =>
            {
                Ok(socket)
            }
            done => done.map(|()| socket),
        }
    }
}

/// The first address of the URL's host.
pub(super) fn resolve(options: &Options) -> Result<SocketAddr, BenchError> {
    let host = host(&options.url);
    let usual = if options.tls.is_some() { 443 } else { 80 };
    let port = options.url.port_u16().unwrap_or(usual);
    (host, port)
        .to_socket_addrs()
        .and_then(|mut found| found.next().ok_or(io::ErrorKind::NotFound.into()))
        .map_err(|why| BenchError::Address(host.to_owned(), why))
}

fn host(url: &Uri) -> &str {
    let host = url.host().unwrap_or_default();
    host.trim_start_matches('[').trim_end_matches(']')
}

/// The cipher comes first that costs least, which servers mostly heed: reading must not be what is
/// measured. And each client is a new one.
fn client_config(AuthorityFile(path): &AuthorityFile) -> Result<Arc<ClientConfig>, BenchError> {
    let mut provider = default_provider();
    let cheapest = cipher_suite::TLS13_AES_128_GCM_SHA256.suite();
    provider
        .cipher_suites
        .sort_by_key(|suite| suite.suite() != cheapest);
    let unreadable = |why| BenchError::Authority(path.display().to_string(), why);
    let roots = authorities(path.exists().then_some(path)).map_err(unreadable)?;
    let provider = Arc::new(provider);
    let verifier = Verifier::new(roots, Arc::clone(&provider)).map_err(unreadable)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unreadable(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// One address has about 28,000 ports for connections to one server; on the loopback network there
/// are more addresses: each takes 20,000 clients.
fn source(target: IpAddr, number: usize) -> Option<IpAddr> {
    match target {
        IpAddr::V4(target) if target.is_loopback() && number >= CLIENTS_OF_AN_ADDRESS => {
            let next = u32::try_from(number / CLIENTS_OF_AN_ADDRESS).ok()?;
            Some(Ipv4Addr::from_bits(FIRST_SOURCE.to_bits() + next).into())
        }
        _ => None,
    }
}

const CLIENTS_OF_AN_ADDRESS: usize = 20_000;
const FIRST_SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_connections_beyond_an_addresss_ports_come_from_others() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(source(loopback, 19_999), None);
        assert_eq!(source(loopback, 20_000), Some([127, 0, 1, 1].into()));
        assert_eq!(source(loopback, 45_000), Some([127, 0, 1, 2].into()));
        assert_eq!(source([192, 0, 2, 1].into(), 45_000), None);
    }
}
