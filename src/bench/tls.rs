use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{ClientConfig, Error};

/// The TLS of one connection, over buffers of the caller's: it keeps none, and ten thousand of them
/// share one.
pub(super) struct Tls {
    connection: UnbufferedClientConnection,
}

/// How far a read got.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Bytes of the input that are done with.
    pub(super) used: usize,
    /// Whether the handshake is over.
    pub(super) is_ready: bool,
    /// Whether the server has said that it sends no more.
    pub(super) is_over: bool,
}

impl Tls {
    pub(super) fn new(
        config: &Arc<ClientConfig>,
        name: &ServerName<'static>,
    ) -> Result<Self, Error> {
        let connection = UnbufferedClientConnection::new(Arc::clone(config), name.clone())?;
        Ok(Self { connection })
    }

    /// Takes bytes from the server. What they say is appended to `plain`, what has to be answered
    /// to `out`.
    pub(super) fn read(
        &mut self,
        input: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Progress, Error> {
        let mut progress = Progress {
            used: 0,
            is_ready: false,
            is_over: false,
        };
        loop {
            let UnbufferedStatus { discard, state } = self
                .connection
                .process_tls_records(&mut input[progress.used..]);
            let mut done = false;
            let mut further = 0;
            match state? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        further += record.discard;
                        plain.extend_from_slice(record.payload);
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    append(out, 512, |space| match data.encode(space) {
                        Ok(count) => Ok(count),
                        Err(EncodeError::InsufficientSize(InsufficientSizeError {
                            required_size,
                        })) => Err(Some(required_size)),
                        Err(EncodeError::AlreadyEncoded) => Ok(0),
                    })?;
                }
                // `out` is sent by the caller, in this order.
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::WriteTraffic(_) => {
                    progress.is_ready = true;
                    done = true;
                }
                ConnectionState::PeerClosed | ConnectionState::Closed => {
                    progress.is_over = true;
                    done = true;
                }
                // Only servers read early data; what is yet unknown can't be gone on with.
                ConnectionState::BlockedHandshake | ConnectionState::ReadEarlyData(_) | _ => {
                    done = true;
                }
            }
            progress.used += discard + further;
            if done {
                return Ok(progress);
            }
        }
    }

    /// Appends these bytes to `out`, encrypted. Only when the handshake is over.
    pub(super) fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let UnbufferedStatus { state, .. } = self.connection.process_tls_records(&mut []);
        let ConnectionState::WriteTraffic(mut traffic) = state? else {
            return Err(Error::HandshakeNotComplete);
        };
        append(out, bytes.len() + RECORD, |space| {
            match traffic.encrypt(bytes, space) {
                Ok(count) => Ok(count),
                Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => {
                    Err(Some(required_size))
                }
                Err(_) => Err(None),
            }
        })
    }
}

/// What a record adds to its content, and some more.
const RECORD: usize = 64;

/// Gives `write` so much space behind `out`, and more if it asks for it.
fn append(
    out: &mut Vec<u8>,
    mut space: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> Result<(), Error> {
    let start = out.len();
    loop {
        out.resize(start + space, 0);
        match write(&mut out[start..]) {
            Ok(count) => {
                out.truncate(start + count);
                return Ok(());
            }
            Err(Some(required)) if required > space => space = required,
            Err(_) => {
                out.truncate(start);
                return Err(Error::EncryptError);
            }
        }
    }
}
