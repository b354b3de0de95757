//! The few bytes in front of what a server says (RFC 6455 section 5.2). A server's frames are
//! unmasked, so they are the same for every client.

const FIN: u8 = 0x80;
const TEXT: u8 = 0x1;
const PING: u8 = 0x9;

/// A ping without payload.
pub const EMPTY_PING: [u8; 2] = [FIN | PING, 0];

/// What a whole, unmasked message says.
///
/// # Panics
/// If it is none.
pub fn payload(message: &[u8]) -> &[u8] {
    let header = match message[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    &message[header..]
}

/// Appends one whole text message: the header, then what `write` appends.
///
/// The payload is written once, in place: room for the header of up to 125 bytes is left in front
/// of it, and the bytes move only when another length of header is needed.
pub fn write_text(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    write_behind(SHORT, out, write);
}

/// The same for a message that is most likely longer than 125 bytes.
pub fn write_long_text(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    write_behind(MIDDLE, out, write);
}

/// Lengths of headers.
const SHORT: usize = 2;
const MIDDLE: usize = 4;

fn write_behind(room: usize, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.resize(start + room, 0);
    write(out);
    let length = out.len() - start - room;
    let mut header = [FIN | TEXT, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let header = if let Ok(short @ 0..=125) = u8::try_from(length) {
        header[1] = short;
        &header[..SHORT]
    } else if let Ok(middle) = u16::try_from(length) {
        header[1] = 126;
        header[SHORT..MIDDLE].copy_from_slice(&middle.to_be_bytes());
        &header[..MIDDLE]
    } else {
        header[1] = 127;
        header[SHORT..].copy_from_slice(&(length as u64).to_be_bytes());
        &header[..]
    };
    let place = start..start + room;
    if header.len() == room {
        out[place].copy_from_slice(header);
    } else {
        out.splice(place, header.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_of_payload_gets_its_header() {
        for (length, header) in [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_535, vec![0x81, 126, 0xff, 0xff]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let payload = |out: &mut Vec<u8>| out.resize(out.len() + length, b'x');
            let (mut guessed_short, mut guessed_long) = (b"before".to_vec(), b"before".to_vec());
            write_text(&mut guessed_short, payload);
            write_long_text(&mut guessed_long, payload);
            assert_eq!(guessed_short, guessed_long, "{length}");
            let frame = &guessed_short[b"before".len()..];
            assert_eq!(&frame[..header.len()], header, "{length}");
            assert_eq!(frame.len(), header.len() + length);
            assert!(frame[header.len()..].iter().all(|&byte| byte == b'x'));
        }
    }
}
