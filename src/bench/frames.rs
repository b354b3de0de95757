//! What a server sends, cut into frames (RFC 6455 section 5.2) without a copy.

/// One frame that is there as a whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) kind: Kind,
    /// Whether it ends its message.
    pub(super) is_last: bool,
    pub(super) payload: &'a [u8],
    /// Bytes from its start to its end.
    pub(super) length: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text or binary.
    Data,
    Continuation,
    Close,
    Ping,
    Pong,
}

/// A server that does not keep to the protocol.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("the server sent a masked frame")]
    Masked,
    #[error("the server sent a frame of an unknown kind ({0})")]
    Kind(u8),
    #[error("the server sent a compressed frame, which nobody asked for")]
    Reserved,
    #[error("the server sent a message of {0} bytes, more than this tool takes")]
    Long(u64),
    #[error("the server went on with a message that it had not begun")]
    NotBegun,
    #[error("the server began a message before the end of another")]
    NotEnded,
}

/// The longest message that is taken, in one frame or in several.
pub(super) const LONGEST: u64 = 64 << 20;

/// The first frame; none if it is not there as a whole.
#[inline]
pub(super) fn next(bytes: &[u8]) -> Result<Option<Frame<'_>>, Malformed> {
    let &[first, second, ref rest @ ..] = bytes else {
        return Ok(None);
    };
    if second & MASKED != 0 {
        return Err(Malformed::Masked);
    }
    if first & RESERVED != 0 {
        return Err(Malformed::Reserved);
    }
    let (start, length) = match second {
        126 => match rest.first_chunk() {
            Some(length) => (4, u64::from(u16::from_be_bytes(*length))),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(length) => (10, u64::from_be_bytes(*length)),
            None => return Ok(None),
        },
        short => (2, u64::from(short)),
    };
    if length > LONGEST {
        return Err(Malformed::Long(length));
    }
    let end = start + usize::try_from(length).expect("at most LONGEST");
    let Some(payload) = bytes.get(start..end) else {
        return Ok(None);
    };
    let kind = match first & 0x0f {
        0 => Kind::Continuation,
        1 | 2 => Kind::Data,
        8 => Kind::Close,
        9 => Kind::Ping,
        10 => Kind::Pong,
        other => return Err(Malformed::Kind(other)),
    };
    Ok(Some(Frame {
        kind,
        is_last: first & LAST != 0,
        payload,
        length: end,
    }))
}

/// What a ping asks for.
pub(super) fn pong(payload: &[u8]) -> Vec<u8> {
    masked(10, payload)
}

/// A goodbye.
pub(super) fn close(code: u16) -> Vec<u8> {
    masked(8, &code.to_be_bytes())
}

/// A message in one frame: text if it can be, else binary.
pub(super) fn message(payload: &[u8]) -> Vec<u8> {
    masked(
        if str::from_utf8(payload).is_ok() {
            1
        } else {
            2
        },
        payload,
    )
}

/// A frame of ours. Its mask is zero: the bytes are nobody's secret, and nothing between could take
/// them for something else.
fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![LAST | opcode];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..126), _) => frame.push(MASKED | length),
        (_, Ok(length)) => {
            frame.push(MASKED | 126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            frame.push(MASKED | 127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

const LAST: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_is_read_and_a_part_is_no_frame() {
        for (length, header) in [(5_usize, 2), (300, 4), (70_000, 10)] {
            let mut bytes = vec![0x81];
            match header {
                2 => bytes.push(5),
                4 => bytes.extend([126, 1, 44]),
                _ => bytes.extend([127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]),
            }
            bytes.resize(header + length, b'x');
            for part in [1, 3, header, header + length - 1] {
                assert_eq!(next(&bytes[..part]), Ok(None), "{length} cut to {part}");
            }
            bytes.extend([0x89, 0]);
            let frame = next(&bytes).unwrap().unwrap();
            assert_eq!((frame.kind, frame.is_last), (Kind::Data, true));
            assert_eq!(frame.payload.len(), length);
            let ping = next(&bytes[frame.length..]).unwrap().unwrap();
            assert_eq!((ping.kind, ping.length), (Kind::Ping, 2));
        }
    }

    #[test]
    fn what_no_server_may_send_is_told() {
        assert_eq!(next(&[0x81, 0x80]), Err(Malformed::Masked));
        assert_eq!(next(&[0xc1, 0]), Err(Malformed::Reserved));
        assert_eq!(next(&[0x83, 0]), Err(Malformed::Kind(3)));
        let long = [0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(next(&long), Err(Malformed::Long(0xff << 56)));
    }
}
