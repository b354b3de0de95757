use super::lines::FIRST_TIMESTAMP;

/// Which frames a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    V1,
    V2,
}

/// Cuts what a server sends into frames and checks that each signal is the one after the last,
/// without parsing JSON: the client must not be what is measured.
pub struct Frames {
    buffer: Vec<u8>,
    filled: usize,
    protocol: Protocol,
    last: Option<u64>,
    signals: u64,
    pings: usize,
    closed: Option<u16>,
}

impl Frames {
    /// `room`: bytes for one read, more than the longest frame.
    pub fn new(protocol: Protocol, room: usize) -> Self {
        Self {
            buffer: vec![0; room],
            filled: 0,
            protocol,
            last: None,
            signals: 0,
            pings: 0,
            closed: None,
        }
    }

    /// Where the next read goes.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.buffer[self.filled..]
    }

    /// So many bytes were read. `each` gets the number of each signal: its seq, which is also what
    /// its timestamp says.
    pub fn read(&mut self, count: usize, mut each: impl FnMut(u64)) {
        self.filled += count;
        let mut at = 0;
        while let Some((first, start, end)) = frame(&self.buffer[at..self.filled]) {
            let payload = &self.buffer[at + start..at + end];
            at += end;
            match first {
                TEXT => {
                    let Some(number) = number(payload, self.protocol) else {
                        continue;
                    };
                    let expected = self.last.map_or(number, |last| last + 1);
                    assert_eq!(number, expected, "{}", String::from_utf8_lossy(payload));
                    self.last = Some(number);
                    self.signals += 1;
                    each(number);
                }
                PING => self.pings += 1,
                CLOSE => self.closed = Some(u16::from_be_bytes([payload[0], payload[1]])),
                other => panic!("a frame that begins with {other:#x}"),
            }
        }
        self.buffer.copy_within(at..self.filled, 0);
        self.filled -= at;
        assert!(
            self.filled < self.buffer.len(),
            "a frame longer than the room"
        );
    }

    /// The end of the answer to an upgrade request, which is taken out, if it is there.
    pub fn head(&mut self, count: usize) -> Option<String> {
        self.filled += count;
        let end = memchr::memmem::find(&self.buffer[..self.filled], b"\r\n\r\n")? + 4;
        let head = String::from_utf8(self.buffer[..end].to_vec()).unwrap();
        self.buffer.copy_within(end..self.filled, 0);
        self.filled -= end;
        Some(head)
    }

    /// The first signal has to be this one.
    pub fn expect_first(&mut self, number: u64) {
        self.last = Some(number - 1);
    }

    /// The number of the newest signal.
    pub fn last(&self) -> Option<u64> {
        self.last
    }

    /// Signals received.
    pub fn signals(&self) -> u64 {
        self.signals
    }

    /// Pings that were not answered yet: so many pongs are to be sent.
    pub fn take_pings(&mut self) -> usize {
        std::mem::take(&mut self.pings)
    }

    /// The close code, once the server has closed.
    pub fn closed(&self) -> Option<u16> {
        self.closed
    }
}

/// An empty pong, masked as a client has to.
pub const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];

const TEXT: u8 = 0x81;
const PING: u8 = 0x89;
const CLOSE: u8 = 0x88;

/// First byte, start and end of the payload of the first frame, if all of it is there (RFC 6455
/// section 5.2).
#[inline]
fn frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (&first, &short) = (bytes.first()?, bytes.get(1)?);
    let (start, length) = match short {
        0..=125 => (2, usize::from(short)),
        126 => (
            4,
            usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])),
        ),
        other => panic!("a length of {other} is masked or longer than any frame of ours"),
    };
    (bytes.len() >= start + length).then_some((first, start, start + length))
}

/// The number of a signal; `None` if this is something else that the server says.
#[inline]
fn number(payload: &[u8], protocol: Protocol) -> Option<u64> {
    const V2: &[u8] = br#"{"type":"buy","seq":"#;
    const V1_END: usize = r#"},"is_test":false}"#.len();
    match protocol {
        Protocol::V2 => {
            let digits = payload.strip_prefix(V2)?;
            let end = memchr::memchr(b',', digits)?;
            Some(decimal(&digits[..end]))
        }
        Protocol::V1 => {
            let end = payload.len() - V1_END;
            // A note stands behind the timestamp, but only in signals that are padded.
            let digits = match payload[end - 1] {
                b'"' => {
                    let at = memchr::memmem::find(payload, b"\"timestamp\":")? + 12;
                    &payload[at..at + 10]
                }
                _ => &payload[end - 10..end],
            };
            Some(decimal(digits) - FIRST_TIMESTAMP)
        }
    }
}

fn decimal(digits: &[u8]) -> u64 {
    digits
        .iter()
        .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}
