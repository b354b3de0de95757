/// Follows the frames in what a client sends, without keeping any of it, so that it is known
/// where they end (RFC 6455 section 5.2).
#[derive(Debug, Default)]
pub(super) struct Boundary {
    header: [u8; LONGEST_HEADER],
    /// How much of the header has come; 0 between two frames.
    filled: usize,
    payload_left: u64,
    /// Whether the last fragment of a message is still to come.
    in_message: bool,
    longest: u64,
    ended: bool,
}

/// Opcode, length, 8 bytes of longer length, mask.
const LONGEST_HEADER: usize = 14;

const FIN: u8 = 0x80;
const CONTROL: u8 = 0x08;
const MASKED: u8 = 0x80;

impl Boundary {
    /// The next bytes of the stream.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while let Some((&next, rest)) = bytes.split_first() {
            if self.payload_left > 0 {
                let here = usize::try_from(self.payload_left).unwrap_or(usize::MAX);
                let here = here.min(bytes.len());
                self.payload_left -= here as u64;
                bytes = &bytes[here..];
            } else {
                self.header[self.filled] = next;
                self.filled += 1;
                bytes = rest;
                if !self.header_is_whole() {
                    continue;
                }
                self.payload_left = self.payload_length();
                self.longest = self.longest.max(self.payload_left);
            }
            if self.payload_left == 0 {
                self.end_frame();
            }
        }
    }

    /// Whether what was followed ends with a whole message.
    pub(super) fn is_between_messages(&self) -> bool {
        self.filled == 0 && !self.in_message
    }

    /// Whether a frame has ended since this was last asked.
    pub(super) fn take_ended(&mut self) -> bool {
        std::mem::take(&mut self.ended)
    }

    /// The payload of the longest frame, in bytes.
    pub(super) fn longest(&self) -> u64 {
        self.longest
    }

    /// Begins to look for the longest anew.
    pub(super) fn forget_longest(&mut self) {
        self.longest = 0;
    }

    fn end_frame(&mut self) {
        let first = self.header[0];
        if first & CONTROL == 0 {
            self.in_message = first & FIN == 0;
        }
        self.filled = 0;
        self.ended = true;
    }

    fn header_is_whole(&self) -> bool {
        if self.filled < 2 {
            return false;
        }
        let (_, longer) = self.lengths();
        let mask = if self.header[1] & MASKED == 0 { 0 } else { 4 };
        self.filled == 2 + longer + mask
    }

    fn payload_length(&self) -> u64 {
        match self.lengths() {
            (short, 0) => short,
            (_, longer) => self.header[2..2 + longer]
                .iter()
                .fold(0, |length, &byte| length << 8 | u64::from(byte)),
        }
    }

    /// The short length, and how many bytes of a longer one follow it.
    fn lengths(&self) -> (u64, usize) {
        match self.header[1] & !MASKED {
            126 => (126, 2),
            127 => (127, 8),
            short => (short.into(), 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of these first bytes and payload lengths, with `mask` or without.
    fn frames(frames: &[(u8, usize)], mask: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for &(first, length) in frames {
            let masked = if mask.is_empty() { 0 } else { MASKED };
            bytes.push(first);
            match length {
                0..=125 => bytes.push(masked | u8::try_from(length).unwrap()),
                126..=0xffff => {
                    bytes.push(masked | 126);
                    bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
                }
                _ => {
                    bytes.push(masked | 127);
                    bytes.extend((length as u64).to_be_bytes());
                }
            }
            bytes.extend(mask);
            // Bytes that would be read as headers if the place were lost.
            bytes.resize(bytes.len() + length, 0x81);
        }
        bytes
    }

    #[test]
    fn a_boundary_is_where_a_message_ends_however_it_is_cut() {
        const TEXT: u8 = FIN | 1;
        const PING: u8 = FIN | 9;
        let lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000];
        for mask in [&[][..], &[0x81, 2, 3, 4]] {
            for length in lengths {
                for step in [1, 2, 3, 7, 1000, usize::MAX] {
                    let message = [(1, length), (PING, 5), (0, 0), (PING, 0), (FIN, length)];
                    let bytes = frames(&message, mask);
                    let mut boundary = Boundary::default();
                    let mut seen = 0;
                    for part in bytes.chunks(step) {
                        assert!(seen == 0 || !boundary.is_between_messages(), "at {seen}");
                        boundary.follow(part);
                        seen += part.len();
                    }
                    assert!(boundary.is_between_messages() && boundary.take_ended());
                    assert_eq!(boundary.longest(), length.max(5) as u64);
                    boundary.follow(&frames(&[(TEXT, length)], mask));
                    assert!(boundary.is_between_messages() && boundary.take_ended());
                }
            }
        }
    }

    #[test]
    fn half_a_frame_has_not_ended() {
        let bytes = frames(&[(FIN | 1, 300)], &[1, 2, 3, 4]);
        let mut boundary = Boundary::default();
        for byte in &bytes[..bytes.len() - 1] {
            boundary.follow(&[*byte]);
            assert!(!boundary.is_between_messages() && !boundary.take_ended());
        }
        boundary.follow(&bytes[bytes.len() - 1..]);
        assert!(boundary.is_between_messages() && boundary.take_ended());
        assert!(!boundary.take_ended(), "told once");
    }
}
