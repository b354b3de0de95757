use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::Host;
use super::set::{Authority, Set};
use crate::key_file::{self, Made, UnusableFile};

/// Makes what a server on one's own machine needs, unless it is there: `server.pem` and
/// `server.key` for `localhost`, `127.0.0.1` and `::1`, and `ca.pem` for clients to trust. The
/// CA's own key is thrown away, so trusting it trusts nothing but this one certificate.
///
/// Nothing that is there is ever overwritten. An interrupted start leaves either nothing or a
/// part that the next one names.
///
/// # Errors
/// Only some of the files are there, or they cannot be written.
pub fn make_development(dir: &Path, now: SystemTime) -> Result<Made, UnusableFile> {
    let cannot = |error: io::Error| key_file::cannot_make(dir, &error);
    fs::create_dir_all(dir).map_err(cannot)?;
    let folder = File::open(dir).map_err(cannot)?;
    // Two first starts at once: the second waits until the set is whole. Where the file system
    // knows no locks it may find a part and say so, which does no harm.
    let _ = folder.lock();
    if is_there(dir)? {
        return Ok(Made::Existing);
    }

    let hosts: Result<Vec<Host>, _> = HOSTS.iter().map(|host| host.parse()).collect();
    let hosts = hosts.expect("they are hosts");
    let set =
        Set::generate(AUTHORITY, &hosts, now).map_err(|error| cannot(io::Error::other(error)))?;
    for (name, pem, mode) in [
        (CA, set.ca, 0o644),
        (SERVER, set.server, 0o644),
        (KEY, set.key, 0o600),
    ] {
        key_file::put_new(&dir.join(name), pem.as_bytes(), mode)?;
    }
    Ok(Made::New)
}

/// What the CA of such a set calls itself, by which its certificates are recognised.
pub(super) const DEVELOPMENT_CA: &str = "signalcast development CA";

const AUTHORITY: Authority = Authority {
    organization: "signalcast development",
    name: DEVELOPMENT_CA,
};

/// This machine, as it calls itself.
const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

const CA: &str = "ca.pem";
const SERVER: &str = "server.pem";
const KEY: &str = "server.key";

/// Whether there is a certificate and its key. The CA matters only to clients, and a certificate
/// from elsewhere comes without.
fn is_there(dir: &Path) -> Result<bool, UnusableFile> {
    // Also a dangling link is something that must not be replaced.
    let there = |name: &&&str| dir.join(name).symlink_metadata().is_ok();
    let (found, lacking): (Vec<&str>, Vec<&str>) = [SERVER, KEY, CA].iter().partition(there);
    match (found.as_slice(), lacking.as_slice()) {
        ([], _) => Ok(false),
        ([SERVER, KEY, ..], _) => Ok(true),
        (found, lacking) => Err(UnusableFile::new(
            &dir.join(lacking[0]),
            format!("is missing beside {}", found.join(" and ")),
            format!(
                "restore it, or remove {} to have a new development certificate made",
                found.join(" and ")
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_set_is_made_once_with_a_key_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("deep/certs");
        assert_eq!(make_development(&dir, SystemTime::now()), Ok(Made::New));
        let read = || [CA, SERVER, KEY].map(|name| fs::read_to_string(dir.join(name)).unwrap());
        let modes = [CA, SERVER, KEY]
            .map(|name| fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777);
        assert_eq!(modes, [0o644, 0o644, 0o600]);
        let first = read();
        assert!(first[2].starts_with("-----BEGIN PRIVATE KEY-----"));
        assert_eq!(
            make_development(&dir, SystemTime::now()),
            Ok(Made::Existing)
        );
        assert_eq!(read(), first);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 3);
    }

    #[test]
    fn a_part_of_a_set_is_named_and_left_alone() {
        let advice = "to have a new development certificate made";
        for (found, expected) in [
            (
                &[CA][..],
                "server.pem: is missing beside ca.pem; restore it, or remove ca.pem ",
            ),
            (
                &[SERVER],
                "server.key: is missing beside server.pem; restore it, or remove server.pem ",
            ),
            (
                &[KEY],
                "server.pem: is missing beside server.key; restore it, or remove server.key ",
            ),
            (
                &[CA, SERVER],
                "server.key: is missing beside server.pem and ca.pem; restore it, or remove server.pem and ca.pem ",
            ),
            (
                &[CA, KEY],
                "server.pem: is missing beside server.key and ca.pem; restore it, or remove server.key and ca.pem ",
            ),
        ] {
            let dir = tempfile::tempdir().unwrap();
            for name in found {
                fs::write(dir.path().join(name), "mine").unwrap();
            }
            let refused = make_development(dir.path(), SystemTime::now()).unwrap_err();
            let said = refused.to_string();
            assert!(said.ends_with(&format!("{expected}{advice}")), "{said}");
            for name in found {
                assert_eq!(fs::read_to_string(dir.path().join(name)).unwrap(), "mine");
            }
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), found.len());
        }
        let dir = tempfile::tempdir().unwrap();
        for name in [SERVER, KEY] {
            fs::write(dir.path().join(name), "from elsewhere").unwrap();
        }
        assert_eq!(
            make_development(dir.path(), SystemTime::now()),
            Ok(Made::Existing)
        );
    }

    #[test]
    fn first_starts_at_once_make_one_set() {
        let dir = tempfile::tempdir().unwrap();
        let made: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| make_development(dir.path(), SystemTime::now())))
                .collect();
            starts
                .into_iter()
                .map(|start| start.join().unwrap().unwrap())
                .collect()
        });
        assert_eq!(made.iter().filter(|made| **made == Made::New).count(), 1);
        let (cert, key) = (dir.path().join(SERVER), dir.path().join(KEY));
        assert!(crate::certs::load(&cert, &key, SystemTime::now()).is_ok());
    }
}
