//! Whose certificates are believed when this program is the client.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Trusts the system's authorities and those of this file.
pub(crate) fn trusting(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(authorities(ca)?)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The system's authorities and those of this file.
pub(crate) fn authorities(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    // A system without any is fine as long as nobody needs them.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(ca) = ca {
        let found = CertificateDer::pem_file_iter(ca).map_err(|error| error.to_string())?;
        let mut count = 0;
        for certificate in found {
            let certificate = certificate.map_err(|error| error.to_string())?;
            roots.add(certificate).map_err(|error| error.to_string())?;
            count += 1;
        }
        if count == 0 {
            return Err("there is no certificate in it".to_owned());
        }
    }
    Ok(roots)
}

/// What to say when somebody can't show to be who was meant; none for other errors. `plain` is how
/// an address begins without TLS.
pub(crate) fn untrusted(error: &io::Error, plain: &str) -> Option<String> {
    let cause = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    match cause {
        rustls::Error::InvalidCertificate(_) => Some(format!(
            "{cause}; if the server is the right one, name its authority with --ca"
        )),
        // What plaintext looks like to TLS.
        rustls::Error::InvalidMessage(_) => Some(format!(
            "no TLS is spoken there; write {plain} if that is meant"
        )),
        _ => None,
    }
}
