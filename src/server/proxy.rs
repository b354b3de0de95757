//! Whose address a connection through a proxy is.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use warp::http::header::{FORWARDED, HeaderMap, HeaderName};

/// The proxies whose word for a client's address is taken.
#[derive(Clone, Debug)]
pub(super) struct Proxies(Arc<[IpNet]>);

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What a header says: the address, or that it can't be understood.
type Said = Result<IpAddr, Unclear>;

#[derive(Debug, PartialEq, Eq)]
struct Unclear;

impl Proxies {
    pub(super) fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    /// The address of the client that `peer` speaks for: the last one in `Forwarded` (RFC 7239) or
    /// `X-Forwarded-For` that is no proxy of ours. What stands before it came with the request, and
    /// anybody can write that.
    ///
    /// It is `peer` itself if that is no trusted proxy, or if what it says is unclear: a header
    /// that can't be read, or two that differ. A proxy that writes one of them hands on the other
    /// as the client sent it.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trust(peer) {
            return peer;
        }
        match (self.forwarded(headers), self.forwarded_for(headers)) {
            (Some(Ok(one)), Some(Ok(other))) if one == other => one,
            (Some(Ok(address)), None) | (None, Some(Ok(address))) => address,
            _ => peer,
        }
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    fn forwarded(&self, headers: &HeaderMap) -> Option<Said> {
        let list = list(headers, &FORWARDED)?;
        Some(split(&list, ',').and_then(|hops| self.last(hops.map(node))))
    }

    /// Knows no quotes, so nothing that a client puts before the last address can hide that.
    fn forwarded_for(&self, headers: &HeaderMap) -> Option<Said> {
        let list = list(headers, &X_FORWARDED_FOR)?;
        let hops = list.split(',').map(str::trim);
        Some(self.last(hops.filter(|hop| !hop.is_empty()).map(address)))
    }

    /// The last hop that is no proxy of ours; of a chain that is all ours, the first.
    fn last(&self, hops: impl DoubleEndedIterator<Item = Said>) -> Said {
        let mut first = Err(Unclear);
        for hop in hops.rev() {
            first = Ok(hop?);
            if first.as_ref().is_ok_and(|hop| !self.trust(*hop)) {
                break;
            }
        }
        first
    }
}

/// A header's list, which may be spread over several lines; `None` when it is not there.
fn list(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines = headers.get_all(name).iter();
    let lines: Vec<_> = lines
        .map(|line| String::from_utf8_lossy(line.as_bytes()))
        .collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

/// The parts between separators that stand outside quotes, without blanks around them; no empty
/// ones.
fn split(text: &str, separator: char) -> Result<impl DoubleEndedIterator<Item = &str>, Unclear> {
    let (mut quoted, mut escaped) = (false, false);
    let (mut parts, mut start) = (Vec::new(), 0);
    for (place, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if character == separator && !quoted => {
                parts.push(text[start..place].trim());
                start = place + separator.len_utf8();
            }
            _ => {}
        }
    }
    if quoted {
        return Err(Unclear);
    }
    parts.push(text[start..].trim());
    Ok(parts.into_iter().filter(|part| !part.is_empty()))
}

/// The `for` of one element of `Forwarded`: `for="[2001:db8::1]:4711";proto=https`.
fn node(element: &str) -> Said {
    let mut nodes = split(element, ';')?.filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.eq_ignore_ascii_case("for").then_some(value)
    });
    let (Some(node), None) = (nodes.next(), nodes.next()) else {
        return Err(Unclear);
    };
    let unquoted = node
        .strip_prefix('"')
        .and_then(|node| node.strip_suffix('"'));
    address(unquoted.unwrap_or(node))
}

/// An address, with a port or without: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`,
/// `[2001:db8::1]`, `[2001:db8::1]:4711`. Not `unknown`, and no name.
fn address(text: &str) -> Said {
    let bracketed = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = match bracketed {
        Some(address) => address.parse().map(IpAddr::V6).ok(),
        None => text.parse().ok(),
    };
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    address
        .or_else(with_port)
        .map(|address| address.to_canonical())
        .ok_or(Unclear)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use warp::http::HeaderValue;

    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn proxies() -> Proxies {
        Proxies::new(&["10.0.0.0/24".parse().unwrap(), ip("fd00::1").into()])
    }

    fn client(peer: &str, headers: &[(HeaderName, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        proxies().client(ip(peer), &map).to_string()
    }

    #[test]
    fn whoever_is_no_trusted_proxy_speaks_for_itself() {
        for name in [FORWARDED, X_FORWARDED_FOR] {
            let value = [(name, "for=192.0.2.1"), (X_FORWARDED_FOR, "192.0.2.1")];
            assert_eq!(client("10.0.1.1", &value), "10.0.1.1");
            assert_eq!(client("2001:db8::1", &value), "2001:db8::1");
        }
        assert_eq!(client(PROXY, &[]), PROXY);
    }

    #[test]
    fn the_last_address_that_is_no_proxy_of_ours_is_the_clients() {
        for (value, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            (" 192.0.2.1 ", "192.0.2.1"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            // What the client itself put there comes first.
            ("198.51.100.9, 192.0.2.1", "192.0.2.1"),
            ("nonsense, \", \u{e9}, 192.0.2.1", "192.0.2.1"),
            ("198.51.100.9,,192.0.2.1,10.0.0.2, fd00::1,", "192.0.2.1"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ] {
            let header = [(X_FORWARDED_FOR, value)];
            assert_eq!(client(PROXY, &header), expected, "{value}");
        }
        let lines = [
            (X_FORWARDED_FOR, "198.51.100.9"),
            (X_FORWARDED_FOR, "192.0.2.1"),
        ];
        assert_eq!(client(PROXY, &lines), "192.0.2.1");
        assert_eq!(client("::ffff:10.0.0.1", &lines), "192.0.2.1");
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        for (value, expected) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("For=192.0.2.1;proto=https;by=10.0.0.1", "192.0.2.1"),
            ("by=10.0.0.1; FOR=\"192.0.2.1:4711\"", "192.0.2.1"),
            ("for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("for=198.51.100.9, for=192.0.2.1, for=10.0.0.2", "192.0.2.1"),
            (
                "for=_hidden;host=\"a,b;for=1.1.1.1\", for=192.0.2.1",
                "192.0.2.1",
            ),
        ] {
            assert_eq!(client(PROXY, &[(FORWARDED, value)]), expected, "{value}");
        }
        let both = |other| [(FORWARDED, "for=192.0.2.1"), (X_FORWARDED_FOR, other)];
        assert_eq!(client(PROXY, &both("192.0.2.1")), "192.0.2.1");
        assert_eq!(client(PROXY, &both("192.0.2.2")), PROXY);
        assert_eq!(client(PROXY, &both("unknown")), PROXY);
    }

    #[test]
    fn what_is_unclear_is_the_proxys_own() {
        for value in [
            "",
            ",",
            "unknown",
            "_hidden",
            "192.0.2.256",
            "example.org",
            "192.0.2.1, x",
        ] {
            assert_eq!(client(PROXY, &[(X_FORWARDED_FOR, value)]), PROXY, "{value}");
            let forwarded = value.split(',').map(|hop| format!("for={}", hop.trim()));
            let forwarded = forwarded.collect::<Vec<_>>().join(",");
            assert_eq!(
                client(PROXY, &[(FORWARDED, &forwarded)]),
                PROXY,
                "{forwarded}"
            );
        }
        for value in [
            "192.0.2.1",
            "for=\"192.0.2.1",
            "for=192.0.2.1;for=192.0.2.2",
            "proto=https",
            "for=\"\\1.1.1.1\"",
        ] {
            assert_eq!(client(PROXY, &[(FORWARDED, value)]), PROXY, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(
            forwarded in "[ -~\u{e9}]{0,40}",
            ours in "(for=|\"|\\\\|[,;.:0-9\\[\\]f ]){0,20}",
            last in any::<[u8; 4]>(),
        ) {
            client(PROXY, &[(FORWARDED, &forwarded), (X_FORWARDED_FOR, &ours)]);
            client(PROXY, &[(FORWARDED, &ours)]);
            // Whatever the client sent, what our proxy adds to it counts.
            let last = IpAddr::from(last);
            prop_assume!(!proxies().trust(last));
            let seen = client(PROXY, &[(X_FORWARDED_FOR, &format!("{ours}, {last}"))]);
            prop_assert_eq!(seen, last.to_string());
        }
    }
}
