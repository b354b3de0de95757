//! What single values can't tell: settings that don't go together. These concern `serve` alone.

use std::net::SocketAddr;
use std::path::Path;

use super::{Config, Refusal, Refusals, Transport};
use crate::source::Spec;

impl Config {
    /// Whether a server may start with this.
    ///
    /// # Errors
    /// Everything that keeps it from starting, all at once.
    pub fn check(&self) -> Result<(), Refusals> {
        let mut refusals = Refusals::new();
        let found = [
            self.plaintext_on_a_network(),
            self.one_address_twice(),
            self.metrics_where_clients_come(),
            self.proxies_without_proxy(),
            self.one_source_twice(),
            self.no_end_to_exit_on(),
            self.more_clients_than_let_in(),
            self.dead_letters_as_a_feed(),
        ];
        for refusal in found.into_iter().flatten() {
            refusals.push(refusal);
        }
        refusals.into_result()
    }

    /// The first address that others can reach, if there is one.
    fn open_address(&self) -> Option<SocketAddr> {
        let mut addresses = self.server.listen.iter().copied();
        addresses.find(|address| !address.ip().to_canonical().is_loopback())
    }

    /// The refusal of the development certificate on an address that others can reach. Whether
    /// `server.tls_cert` is that certificate, the caller knows.
    pub fn development_certificate_on_a_network(&self) -> Option<Refusal> {
        if self.server.transport == Transport::Plaintext || self.server.dev {
            return None;
        }
        let address = self.open_address()?;
        Some(self.refusal(
            "server.listen",
            format!(
                "{} is a development certificate, which no one elsewhere can check, and {address} can be reached from elsewhere",
                self.server.tls_cert.display()
            ),
            "make one for the names that clients use with signalcast cert --host NAME, name your own with --tls-cert and --tls-key, listen on 127.0.0.1, or allow it with --dev",
        ))
    }

    fn plaintext_on_a_network(&self) -> Option<Refusal> {
        let permitted = self.server.dev || self.server.behind_proxy;
        if self.server.transport == Transport::Tls || permitted {
            return None;
        }
        let address = self.open_address()?;
        Some(self.refusal(
            "server.plaintext",
            format!("would send tokens and signals unencrypted through {address}"),
            "leave it out, listen on 127.0.0.1, or say why it is safe: --behind-proxy or --dev",
        ))
    }

    fn one_address_twice(&self) -> Option<Refusal> {
        let listen = &self.server.listen;
        let twice = (1..listen.len())
            .find(|&place| listen[place].port() != 0 && listen[..place].contains(&listen[place]))?;
        Some(self.refusal(
            "server.listen",
            format!("{} is there twice", listen[twice]),
            "leave one",
        ))
    }

    fn metrics_where_clients_come(&self) -> Option<Refusal> {
        let address = self.server.metrics_listen?;
        let taken = address.port() != 0 && self.server.listen.contains(&address);
        taken.then(|| {
            self.refusal(
                "server.metrics_listen",
                format!("{address} is where clients connect"),
                "give /metrics another port",
            )
        })
    }

    fn proxies_without_proxy(&self) -> Option<Refusal> {
        if self.server.behind_proxy || self.server.trusted_proxies.is_empty() {
            return None;
        }
        Some(self.refusal(
            "server.trusted_proxies",
            "there is no proxy to trust",
            "add --behind-proxy or leave it out",
        ))
    }

    fn one_source_twice(&self) -> Option<Refusal> {
        let sources = &self.sources;
        let (spec, before) = (1..sources.len()).find_map(|at| {
            let mut before = sources[..at].iter();
            let same = before.find(|before| before.reads_the_same(&sources[at]))?;
            Some((&sources[at], same))
        })?;
        let why = if is_stdin(spec) {
            format!("{spec} is there twice, and it can be read only once")
        } else if spec.name() == before.name() {
            format!("{spec} is there twice")
        } else {
            format!("{before} and {spec} are one path, and each line would come twice")
        };
        Some(self.refusal("sources", why, "leave one"))
    }

    /// What to say when a proxy is in front whose word is not taken. It may well be what is wanted:
    /// good tokens get in all the same.
    pub(super) fn all_clients_at_one_address(&self) -> Option<String> {
        let one = self.server.behind_proxy && self.server.trusted_proxies.is_empty();
        one.then(|| {
            "server.behind_proxy: all clients count as one address, the proxy's, which limits their failed tries together; name it in server.trusted_proxies".to_owned()
        })
    }

    /// What to say when clients that only listen are disconnected although they answer each ping.
    pub(super) fn no_time_for_a_pong(&self) -> Option<String> {
        (self.limits.silence <= self.limits.ping).then(|| {
            "limits.silence: clients that have nothing to say are disconnected before a ping asks them whether they are there; make it longer than limits.ping".to_owned()
        })
    }

    fn no_end_to_exit_on(&self) -> Option<Refusal> {
        if !self.server.exit_on_eof || self.sources.iter().any(Spec::is_finite) {
            return None;
        }
        Some(self.refusal(
            "server.exit_on_eof",
            "none of the sources ever ends",
            "add --source stdin, add ?restart=never to an exec: source, or leave it out",
        ))
    }

    /// The sources would never be opened.
    fn more_clients_than_let_in(&self) -> Option<Refusal> {
        let (wanted, most) = (self.server.wait_clients, self.limits.connections);
        (wanted > most).then(|| {
            self.refusal(
                "server.wait_clients",
                format!("would wait for {wanted} clients, and only {most} are let in"),
                "wait for fewer, or raise limits.connections",
            )
        })
    }

    /// Each line of them would make another one, without end.
    fn dead_letters_as_a_feed(&self) -> Option<Refusal> {
        let path = &self.dead_letters.path;
        let mut older = path.clone().into_os_string();
        older.push(".1");
        let feeds_on_them = |source: &&Spec| match source {
            Spec::File(file) => file.follows(path) || file.follows(Path::new(&older)),
            Spec::Stdin(_) | Spec::Exec(_) => false,
        };
        let source = self.sources.iter().find(feeds_on_them)?;
        Some(self.refusal(
            "sources",
            format!(
                "{source} would read the dead letters in {}, and each of them again as another one",
                path.display()
            ),
            "name other files, or keep them elsewhere with dead_letters.path",
        ))
    }
}

fn is_stdin(source: &Spec) -> bool {
    matches!(source, Spec::Stdin(_))
}
