use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::excerpt::Excerpt;

/// The name of one signal, given by its source or made: a second signal with the same id is
/// dropped.
///
/// 1 to 36 of `A–Z a–z 0–9 _ -`: exchanges take that as a client order id, so a bot can pass it
/// on, and an order that is repeated is refused by the exchange itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Padded with zeros, which no id contains.
    bytes: [u8; Self::MOST],
}

/// A text that is no id.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not an id; write 1 to {most} of A-Z a-z 0-9 _ -", most = Id::MOST)]
pub struct InvalidId(Excerpt);

impl Id {
    /// Most characters in an id: as many as a UUID has.
    pub const MOST: usize = 36;

    /// The id as it was given.
    pub fn as_str(&self) -> &str {
        let end = match self.bytes[Self::MOST - 1] {
            0 => self.bytes.iter().position(|&byte| byte == 0),
            // UUIDs, as most are, fill all of it.
            _ => None,
        };
        let id = &self.bytes[..end.unwrap_or(Self::MOST)];
        std::str::from_utf8(id).expect("an id is ASCII")
    }
}

impl FromStr for Id {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if !(1..=Self::MOST).contains(&text.len()) || !text.bytes().all(is_allowed) {
            return Err(InvalidId(Excerpt::of(text)));
        }
        let mut bytes = [0; Self::MOST];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { bytes })
    }
}

/// The UUID in its usual form, which fills an id exactly.
impl From<Uuid> for Id {
    fn from(uuid: Uuid) -> Self {
        let mut bytes = [0; Self::MOST];
        uuid.as_hyphenated().encode_lower(&mut bytes);
        Self { bytes }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Id").field(&self.as_str()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_fits_where_exchanges_ask_for_one() {
        for text in [
            "1",
            "order_17-B",
            "018f4e4a-0000-7000-8000-000000000000",
            "_",
        ] {
            assert_eq!(text.parse::<Id>().unwrap().as_str(), text);
        }
        for text in ["", "a b", "a.b", "a:b", "é", "a\0", &"x".repeat(37)] {
            assert!(text.parse::<Id>().is_err(), "{text:?}");
        }
    }
}
