use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::{FromDer as _, GeneralName};

use super::development::DEVELOPMENT_CA;
use super::issue::CA;
use crate::key_file::{KeyFile, UnusableFile};

/// A certificate chain and the key that belongs to it, good at the time it was loaded.
#[derive(Clone, Debug)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    facts: Facts,
    warnings: Vec<String>,
}

/// What the leaf says about itself.
#[derive(Clone, Debug)]
struct Facts {
    development: bool,
    not_before: SystemTime,
    not_after: SystemTime,
    /// The authority was made by this program, and only its owner knows it.
    private: bool,
    /// DNS names, some with a wildcard, and addresses.
    hosts: Vec<String>,
}

/// Reads a certificate chain, the server's own first, and its key, both PEM.
///
/// # Errors
/// All that is wrong at once: files that cannot be read, a key that others may read, a certificate
/// that is expired or not valid yet, two that don't belong together.
pub fn load(cert: &Path, key: &Path, now: SystemTime) -> Result<Identity, Vec<UnusableFile>> {
    let mut wrong = Vec::new();
    let mut warnings = Vec::new();
    let mut keep = |error: UnusableFile| wrong.push(error);

    let chain = read_chain(cert).map_err(&mut keep).ok();
    let key_file = KeyFile::read(key, IF_MISSING).map_err(&mut keep).ok();
    if let Some((_, facts)) = &chain {
        facts.check_time(cert, now).unwrap_or_else(&mut keep);
        warnings.extend(facts.doubt(cert));
    }
    let private = key_file.and_then(|file| {
        warnings.extend(file.check_secrecy().map_err(&mut keep).ok().flatten());
        read_private(key, &file.bytes).map_err(&mut keep).ok()
    });
    let pair = chain.zip(private).and_then(|((chain, facts), private)| {
        let pair = CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider());
        let pair = pair.map_err(|error| keep(mismatch(cert, key, &error)));
        Some((pair.ok()?, facts))
    });

    match pair {
        Some((certified, facts)) if wrong.is_empty() => Ok(Identity {
            certified: Arc::new(certified),
            facts,
            warnings,
        }),
        _ => Err(wrong),
    }
}

/// Whether these are a development certificate, good or expired, and its key, if that is there.
pub(super) fn is_development_pair(cert: &Path, key: &Path) -> bool {
    let Ok((chain, facts)) = read_chain(cert) else {
        return false;
    };
    let belongs = || {
        let private = KeyFile::read(key, "").ok()?;
        let private = read_private(key, &private.bytes).ok()?;
        CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()).ok()
    };
    facts.development && (key.symlink_metadata().is_err() || belongs().is_some())
}

/// Whether this is the authority of a development certificate: it vouches for itself, too.
pub(super) fn is_development_authority(ca: &Path) -> bool {
    read_chain(ca).is_ok_and(|(_, facts)| facts.development)
}

impl Identity {
    /// Whether it was made by [`make_development`](super::make_development): for one's own
    /// machine only, as nobody elsewhere trusts it.
    pub fn is_development(&self) -> bool {
        self.facts.development
    }

    /// Whether clients have to be told of its authority, since this program made it.
    pub fn needs_ca(&self) -> bool {
        self.facts.private
    }

    /// What clients may call the server: DNS names, some with a wildcard, and addresses.
    pub fn hosts(&self) -> &[String] {
        &self.facts.hosts
    }

    /// The first moment at which clients take it.
    pub fn starts_at(&self) -> SystemTime {
        self.facts.not_before
    }

    /// The last moment at which clients take it.
    pub fn expires_at(&self) -> SystemTime {
        self.facts.not_after
    }

    /// What an operator should know, a line each: a key that a group may read, no host named.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub(super) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }
}

/// The same certificates; then the key is the same too, for it belongs to the first of them.
impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }
}

type Chain = Vec<CertificateDer<'static>>;

fn read_chain(path: &Path) -> Result<(Chain, Facts), UnusableFile> {
    let file = KeyFile::read(path, IF_MISSING)?;
    let chain: Result<Chain, _> = CertificateDer::pem_slice_iter(&file.bytes).collect();
    let chain = chain.map_err(|_| UnusableFile::new(path, "is damaged PEM", EXPORT_AGAIN))?;
    let leaf = chain.first().ok_or_else(|| {
        UnusableFile::new(
            path,
            "holds no PEM certificate",
            "convert it with openssl x509 -inform DER, or name another",
        )
    })?;
    let facts = Facts::of(path, leaf)?;
    Ok((chain, facts))
}

fn read_private(path: &Path, file: &[u8]) -> Result<PrivateKeyDer<'static>, UnusableFile> {
    PrivateKeyDer::from_pem_slice(file).map_err(|error| {
        let encrypted = memchr::memmem::find(file, b"ENCRYPTED").is_some();
        match error {
            pem::Error::NoItemsFound if encrypted => UnusableFile::new(
                path,
                "is locked with a passphrase",
                format!(
                    "unlock it with openssl pkey -in {} -out NEW",
                    path.display()
                ),
            ),
            pem::Error::NoItemsFound => UnusableFile::new(
                path,
                "holds no PEM private key",
                "convert it with openssl pkey -inform DER, or name another",
            ),
            _ => UnusableFile::new(path, "is damaged PEM", EXPORT_AGAIN),
        }
    })
}

fn mismatch(cert: &Path, key: &Path, error: &Error) -> UnusableFile {
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => UnusableFile::new(
            key,
            format!(
                "does not belong to the first certificate in {}",
                cert.display()
            ),
            "name the pair that was made together, the server's own certificate first",
        ),
        Error::InvalidCertificate(_) => {
            UnusableFile::new(cert, format!("cannot be served: {error}"), MAKE_ANOTHER)
        }
        _ => UnusableFile::new(
            key,
            "is no key that TLS can use",
            "take an ECDSA P-256 key, or RSA of at least 2048 bits",
        ),
    }
}

impl Facts {
    fn of(path: &Path, leaf: &CertificateDer<'_>) -> Result<Self, UnusableFile> {
        let (_, leaf) = X509Certificate::from_der(leaf)
            .map_err(|_| UnusableFile::new(path, "holds a damaged certificate", EXPORT_AGAIN))?;
        let is_by = |names: &[&str]| {
            let mut issuers = leaf.issuer().iter_common_name();
            issuers.any(|name| name.as_str().is_ok_and(|name| names.contains(&name)))
        };
        let validity = leaf.validity();
        Ok(Self {
            development: is_by(&[DEVELOPMENT_CA]),
            not_before: at(validity.not_before.timestamp()),
            not_after: at(validity.not_after.timestamp()),
            private: is_by(&[DEVELOPMENT_CA, CA]),
            hosts: hosts(&leaf),
        })
    }

    fn check_time(&self, path: &Path, now: SystemTime) -> Result<(), UnusableFile> {
        if now > self.not_after {
            let remedy = if self.development {
                "make one for the names that clients use with signalcast cert --host NAME, or remove it, its key and its ca.pem to have new ones made"
            } else {
                "renew it"
            };
            let reason = format!("expired at {}", rfc3339(self.not_after));
            return Err(UnusableFile::new(path, reason, remedy));
        }
        if now < self.not_before {
            let reason = format!("is not valid before {}", rfc3339(self.not_before));
            return Err(UnusableFile::new(path, reason, "set the clock, or wait"));
        }
        Ok(())
    }

    /// What clients may object to.
    fn doubt(&self, path: &Path) -> Option<String> {
        self.hosts.is_empty().then(|| {
            format!(
                "{}: names no host (subjectAltName), so clients will refuse it; {MAKE_ANOTHER}",
                path.display()
            )
        })
    }
}

fn hosts(leaf: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = leaf.subject_alternative_name() else {
        return Vec::new();
    };
    let host = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    };
    names.value.general_names.iter().filter_map(host).collect()
}

fn at(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        UNIX_EPOCH - distance
    } else {
        UNIX_EPOCH + distance
    }
}

/// A time in RFC 3339.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| "an unknown time".to_owned(), |time| time.to_string())
}

const IF_MISSING: &str = "name yours with --tls-cert and --tls-key, or neither, to have one made";
const EXPORT_AGAIN: &str = "export it again from where it came";
const MAKE_ANOTHER: &str =
    "get another from where it came, or make one with signalcast cert --force --host NAME";

#[cfg(test)]
mod tests;
