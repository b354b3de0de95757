use std::io::Write;

/// The Unix time that signal 0 carries; each signal's timestamp says which one it is.
pub const FIRST_TIMESTAMP: u64 = 1_720_000_000;

/// How ids are given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// The source gives none.
    Made,
    /// The source gives random ones.
    Random,
}

/// Appends one signal as a line of 110 bytes; 45 more with an id, and `padding` more if it is not 0.
pub fn write(out: &mut Vec<u8>, number: u64, ids: Ids, padding: usize) {
    put(out, r#"{"type":"buy","content":"#);
    write_content(out, number, padding);
    put(out, r#","is_test":false"#);
    if ids == Ids::Random {
        put(out, r#","id":""#);
        out.extend_from_slice(&random_id(number));
        put(out, "\"");
    }
    put(out, "}\n");
}

/// What stands in `content`, which is also how the log keeps it.
pub fn write_content(out: &mut Vec<u8>, number: u64, padding: usize) {
    let timestamp = FIRST_TIMESTAMP + number;
    write!(
        out,
        r#"{{"symbol":"BTCUSDT","price":{PRICE},"timestamp":{timestamp}"#
    )
    .unwrap();
    if padding > 0 {
        put(out, r#","note":""#);
        out.resize(out.len() + padding, b'x');
        put(out, "\"");
    }
    put(out, "}");
}

pub const PRICE: &str = "75000.123456789";

/// All the lines of these numbers.
pub fn all(numbers: std::ops::Range<u64>, ids: Ids) -> Vec<u8> {
    let mut out = Vec::new();
    for number in numbers {
        write(&mut out, number, ids, 0);
    }
    out
}

/// 36 bytes as of a UUIDv4, the same for the same number (splitmix64).
pub fn random_id(number: u64) -> [u8; 36] {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut id = *b"00000000-0000-4000-8000-000000000000";
    let first = number.wrapping_mul(2).wrapping_add(1).wrapping_mul(STEP);
    let halves = [mix(first), mix(first.wrapping_add(STEP))];
    for (half, digits) in halves.into_iter().zip([0..18, 18..36]) {
        let mut bits = half;
        for byte in &mut id[digits] {
            if *byte == b'0' {
                *byte = b"0123456789abcdef"[(bits & 15) as usize];
                bits >>= 4;
            }
        }
    }
    id
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}
