//! The command `cert`: a certificate for a server that others reach.

use std::time::SystemTime;

use crate::certs::{Host, Overwrite, Place, rfc3339};
use crate::config::{Config, Refusals};
use crate::credentials::certificate_refused;

/// What the certificate shall be.
#[derive(Clone, Debug)]
pub struct Request {
    /// What clients call the server; at least one.
    pub hosts: Vec<Host>,
    /// What may be lost.
    pub overwrite: Overwrite,
}

/// Makes certificate, key and authority where the settings say, and tells what was made.
///
/// # Errors
/// Something is there that must not be lost, or the files can't be written.
pub fn make(config: &Config, request: &Request, now: SystemTime) -> Result<String, Refusals> {
    let (cert, key) = (&config.server.tls_cert, &config.server.tls_key);
    let place = Place::new(cert, key);
    let made = place
        .issue(&request.hosts, request.overwrite, now)
        .map_err(|error| certificate_refused(config, &[error]))?;
    let hosts: Vec<&str> = request.hosts.iter().map(Host::as_str).collect();
    Ok(format!(
        "certificate  {} for {}, good until {}\n\
         key          {}\n\
         authority    {}: give it to clients, for they trust the certificate by it; its own key is thrown away\n\
         A server that runs with these files takes them by itself.\n",
        cert.display(),
        hosts.join(", "),
        rfc3339(made.expires_at()),
        key.display(),
        place.ca().display(),
    ))
}
