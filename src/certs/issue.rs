use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::identity::{is_development_authority, is_development_pair};
use super::set::{Authority, Set};
use super::{Host, Identity, load};
use crate::key_file::{self, Replacement, UnusableFile};

/// Where a certificate, its key and its authority are to be.
#[derive(Clone, Debug)]
pub struct Place {
    cert: PathBuf,
    key: PathBuf,
    ca: PathBuf,
}

/// What may be lost when a certificate is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// A development certificate.
    Development,
    /// Whatever is there.
    Anything,
}

impl Place {
    /// These two files, and `ca.pem` beside the certificate.
    pub fn new(cert: &Path, key: &Path) -> Self {
        Self {
            cert: cert.to_owned(),
            key: key.to_owned(),
            ca: cert.with_file_name("ca.pem"),
        }
    }

    /// The authority that clients are to trust.
    pub fn ca(&self) -> &Path {
        &self.ca
    }

    /// Makes a certificate for these hosts, with an authority of its own whose key is thrown away.
    /// All three files are written before the first takes its place, so that a server that runs
    /// sees a pair.
    ///
    /// # Errors
    /// Something is there that must not be overwritten, or the files can't be written.
    pub fn issue(
        &self,
        hosts: &[Host],
        overwrite: Overwrite,
        now: SystemTime,
    ) -> Result<Identity, UnusableFile> {
        self.check_names()?;
        let folder = key_file::folder_of(&self.cert);
        let cannot = |error: io::Error| key_file::cannot_make(&self.cert, &error);
        fs::create_dir_all(folder).map_err(cannot)?;
        let lock = File::open(folder).map_err(cannot)?;
        // A first start that is just making a certificate here; without locks, it finds this one.
        let _ = lock.lock();
        if overwrite == Overwrite::Development {
            self.check_loss()?;
        }
        let set = Set::generate(AUTHORITY, hosts, now)
            .map_err(|error| cannot(io::Error::other(error)))?;
        let files = [
            Replacement::write(&self.ca, set.ca.as_bytes(), 0o644)?,
            Replacement::write(&self.key, set.key.as_bytes(), 0o600)?,
            Replacement::write(&self.cert, set.server.as_bytes(), 0o644)?,
        ];
        for file in files {
            file.put()?;
        }
        load(&self.cert, &self.key, now).map_err(|mut errors| errors.swap_remove(0))
    }

    fn check_names(&self) -> Result<(), UnusableFile> {
        for (one, other) in [
            (&self.key, &self.cert),
            (&self.cert, &self.ca),
            (&self.key, &self.ca),
        ] {
            if one == other {
                let reason = "is a name for two of the certificate, its key and its ca.pem";
                return Err(UnusableFile::new(one, reason, ELSEWHERE));
            }
        }
        Ok(())
    }

    /// Whether nothing is there but what belongs to a development certificate.
    fn check_loss(&self) -> Result<(), UnusableFile> {
        let there = |path: &Path| path.symlink_metadata().is_ok();
        let refuse = |path: &Path, reason| Err(UnusableFile::new(path, reason, FORCE));
        if there(&self.cert) && !is_development_pair(&self.cert, &self.key) {
            return refuse(&self.cert, "is there, and no development certificate");
        }
        if there(&self.key) && !there(&self.cert) {
            return refuse(&self.key, "is there, and its certificate is not");
        }
        if there(&self.ca) && !is_development_authority(&self.ca) {
            return refuse(&self.ca, "is there, and of no development certificate");
        }
        Ok(())
    }
}

/// Named differently from the one for development, which is refused on networks.
const AUTHORITY: Authority = Authority {
    organization: "signalcast",
    name: CA,
};

pub(super) const CA: &str = "signalcast CA";

const ELSEWHERE: &str = "name others with --tls-cert and --tls-key";
const FORCE: &str = "replace it with --force, or name other files with --tls-cert and --tls-key";
