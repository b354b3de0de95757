use std::io;

use crate::printable::printable;

use super::frames::Malformed;

/// Why a connection came to nothing, or to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("refused: {}", printable(.0))]
    Refused(String),
    #[error("no WebSocket: {0}")]
    NoWebSocket(String),
    #[error("closed with {0}")]
    Closed(u16),
    #[error("closed without a code")]
    ClosedWithoutCode,
    #[error("the connection was cut")]
    Cut,
    #[error("no answer in time")]
    Late,
    #[error("given up, for no client could connect")]
    Hopeless,
    #[error("given up when the run was interrupted")]
    Interrupted,
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("TLS: {0}{advice}", advice = advice(.0))]
    Tls(#[from] rustls::Error),
    #[error("{0}")]
    System(#[from] io::Error),
}

fn advice(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
            "; name the authority that it is to be trusted by with --ca"
        }
        _ => "",
    }
}
