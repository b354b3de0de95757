use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use rustls::pki_types::DnsName;

/// What clients call a server, as a certificate names it: a DNS name, `*.` and a DNS name for all
/// that is one label longer, or an IP address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(String);

/// Why a text is no host, and what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHost {
    /// Nothing there.
    #[error("is empty; write a name such as bot.example.org")]
    Empty,
    /// `wss://bot.example.org`, `bot.example.org/ws`
    #[error("is a URL; write the host alone, such as bot.example.org")]
    Url,
    /// `a,b`
    #[error("are several; give --host once for each")]
    Several,
    /// `bot.example.org:8443`
    #[error("has a port; write the host alone, a certificate is good for all ports")]
    Port,
    /// `[::1]`
    #[error("is in brackets; write the address alone, such as ::1")]
    Brackets,
    /// `0.0.0.0`, `::`
    #[error("stands for all addresses of a machine; write those that clients connect to")]
    Unspecified,
    /// `10.0.0.256`, `10.0.0`, `10.0.0.0/8`
    #[error("is no IP address, and no name ends in a number; write an address such as 10.0.0.5")]
    Address,
    /// `bücher.example`
    #[error("is not ASCII; write the name's xn-- form")]
    NotAscii,
    /// `a.*.example.org`, `*.org`
    #[error("has a wildcard that clients don't take; write it as in *.example.org")]
    Wildcard,
    /// `bot.example.org.`
    #[error("ends with a dot; leave that out")]
    Dot,
    /// Any other characters, labels too long.
    #[error("is no host name; write letters, digits and hyphens, up to 63 between two dots")]
    Name,
}

impl Host {
    /// As a certificate names it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Host {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        match text.parse::<IpAddr>() {
            Ok(address) if address.is_unspecified() => return Err(InvalidHost::Unspecified),
            Ok(address) => return Ok(Self(address.to_string())),
            Err(_) => {}
        }
        look(text)?;
        let name = text.strip_prefix("*.").unwrap_or(text);
        let wide = name.len() < text.len() && !name.contains('.');
        if wide || name.contains('*') {
            return Err(InvalidHost::Wildcard);
        }
        let last = name.rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidHost::Address);
        }
        // Takes underscores too, which containers have in their names.
        DnsName::try_from(name).map_err(|_| InvalidHost::Name)?;
        Ok(Self(text.to_ascii_lowercase()))
    }
}

/// What is easily mistaken for a name.
fn look(text: &str) -> Result<(), InvalidHost> {
    let port = text.rsplit_once(':').map(|(_, port)| port);
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let network = text.split_once('/').is_some_and(|(address, bits)| {
        address.parse::<IpAddr>().is_ok() && !bits.is_empty() && is_number(bits)
    });
    Err(if text.is_empty() {
        InvalidHost::Empty
    } else if !text.is_ascii() {
        InvalidHost::NotAscii
    } else if text.contains([',', ' ', ';']) {
        InvalidHost::Several
    } else if network {
        InvalidHost::Address
    } else if text.contains('/') {
        InvalidHost::Url
    } else if text.starts_with('[') && text.ends_with(']') {
        InvalidHost::Brackets
    } else if text.matches(':').count() == 1 && port.is_some_and(is_number) || text.contains("]:") {
        InvalidHost::Port
    } else if text.ends_with('.') {
        InvalidHost::Dot
    } else {
        return Ok(());
    })
}

#[cfg(test)]
mod tests {
    use super::InvalidHost::*;
    use super::*;

    #[test]
    fn names_wildcards_and_addresses_are_hosts() {
        for (text, host) in [
            ("bot.example.org", "bot.example.org"),
            ("BOT.Example.org", "bot.example.org"),
            ("localhost", "localhost"),
            ("my_server", "my_server"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("3.example.org", "3.example.org"),
            ("*.example.org", "*.example.org"),
            ("10.0.0.5", "10.0.0.5"),
            ("::1", "::1"),
            ("2001:DB8:0::5", "2001:db8::5"),
        ] {
            assert_eq!(text.parse::<Host>().map(|host| host.0), Ok(host.to_owned()));
        }
    }

    #[test]
    fn what_is_no_host_is_refused_for_what_it_looks_like() {
        let long = "a".repeat(64);
        let longer = ["abcdefg"; 40].join(".");
        for (text, why) in [
            ("", Empty),
            ("wss://bot.example.org", Url),
            ("bot.example.org/ws", Url),
            ("a.example.org,b.example.org", Several),
            ("a.example.org b.example.org", Several),
            ("bot.example.org:8443", Port),
            ("10.0.0.5:8443", Port),
            ("[::1]:8443", Port),
            ("[::1]", Brackets),
            ("0.0.0.0", Unspecified),
            ("::", Unspecified),
            ("10.0.0.256", Address),
            ("10.0.0", Address),
            ("10.0.0.0/8", Address),
            ("8080", Address),
            ("bücher.example", NotAscii),
            ("*", Wildcard),
            ("*.org", Wildcard),
            ("a.*.example.org", Wildcard),
            ("*.*.example.org", Wildcard),
            ("bot*.example.org", Wildcard),
            ("bot.example.org.", Dot),
            ("bot..example.org", Name),
            (".example.org", Name),
            ("-bot.example.org", Name),
            ("bot\n.example.org", Name),
            ("fe80::1%eth0", Name),
            (&long, Name),
            (&longer, Name),
        ] {
            assert_eq!(text.parse::<Host>(), Err(why), "{text:?}");
            assert!(why.to_string().contains("; "), "no remedy: {why}");
        }
    }
}
