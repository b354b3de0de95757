//! Numbers as digits, without what `fmt` does besides: it is done for each signal, more than once.

use std::ops::{Add, Mul};

/// Any number of so many digits fits into a `u64`.
pub(super) const MOST_OF_U64: usize = 19;

/// Most digits of a number, and most of its decimal places.
const MOST: usize = 28;

/// The number that ASCII digits stand for. The caller has counted them: it must fit.
pub(super) fn read<T>(digits: impl Iterator<Item = u8>) -> T
where
    T: From<u8> + Add<Output = T> + Mul<Output = T>,
{
    digits.fold(0.into(), |number: T, digit| {
        number * 10.into() + (digit - b'0').into()
    })
}

/// Appends a number, `places` of its digits behind the point (28 at most), with as many zeros in
/// front as that takes.
pub(super) fn write(out: &mut Vec<u8>, number: u64, places: usize) {
    let mut digits = [b'0'; MOST + 1];
    let (mut start, mut rest) = (digits.len(), number);
    // Two at a time, for it is the divisions that take long.
    while rest >= 10 {
        start -= 2;
        digits[start..start + 2].copy_from_slice(&PAIRS[(rest % 100) as usize]);
        rest /= 100;
    }
    if rest > 0 {
        start -= 1;
        digits[start] += (rest % 10) as u8;
    }
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let start = start.min(whole.len() - 1);
    out.extend_from_slice(&whole[start..]);
    if places > 0 {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
}

/// The digits of the numbers below 100.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number as usize] = [b'0' + number / 10, b'0' + number % 10];
        number += 1_u8;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_stand_where_they_are_needed() {
        for (number, places, text) in [
            (0, 0, "0"),
            (0, 2, "0.00"),
            (7, 0, "7"),
            (7, 1, "0.7"),
            (7, 3, "0.007"),
            (1050, 2, "10.50"),
            (u64::MAX, 0, "18446744073709551615"),
            (u64::MAX, 28, "0.0000000018446744073709551615"),
        ] {
            let mut out = b"=".to_vec();
            write(&mut out, number, places);
            assert_eq!(out, format!("={text}").into_bytes());
        }
    }
}
