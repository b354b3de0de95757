//! What single values can't tell: settings that don't go together, and the folder to write to.
//! These concern `serve` alone.

use std::fs;
use std::io;
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
            self.stdin_twice(),
            self.no_end_to_exit_on(),
            self.unwritable_data_dir(),
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
            "name your own with --tls-cert and --tls-key, listen on 127.0.0.1, or allow it with --dev",
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

    fn stdin_twice(&self) -> Option<Refusal> {
        let stdins = self.sources.iter().filter(|source| is_stdin(source));
        (stdins.count() > 1).then(|| {
            self.refusal(
                "sources",
                "stdin is there twice, and it can be read only once",
                "leave one",
            )
        })
    }

    fn no_end_to_exit_on(&self) -> Option<Refusal> {
        if !self.server.exit_on_eof || self.sources.iter().any(is_stdin) {
            return None;
        }
        Some(self.refusal(
            "server.exit_on_eof",
            "none of the sources ever ends",
            "add --source stdin or leave it out",
        ))
    }

    fn unwritable_data_dir(&self) -> Option<Refusal> {
        let error = probe(&self.data_dir).err()?;
        Some(self.refusal(
            "data_dir",
            format!("can't write to {}: {error}", self.data_dir.display()),
            "name a folder this user may write to with --data-dir, or change its owner",
        ))
    }
}

fn is_stdin(source: &Spec) -> bool {
    matches!(source, Spec::Stdin(_))
}

/// Permissions, read-only mounts, quotas: only writing tells. A folder that is not there yet can
/// be made if the one it will be in can be written to; a mere check leaves nothing behind.
fn probe(folder: &Path) -> io::Result<()> {
    let existing = folder.ancestors().find(|folder| folder.exists());
    let folder = existing.unwrap_or(Path::new(""));
    let probe = folder.join(format!(".probe-{}", std::process::id()));
    fs::write(&probe, b"probe")?;
    fs::remove_file(&probe)
}
