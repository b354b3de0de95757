use proptest::prelude::*;

use super::*;
use crate::signal::TimeUnit;

fn origin() -> Origin {
    Origin {
        source: "stdin".into(),
        file: None,
        unit: TimeUnit::Seconds,
    }
}

/// A line as somebody downstream sees it: number, offset, and its bytes or its length and hash.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Line(u64, u64, Vec<u8>),
    TooLong(u64, u64, Vec<u8>, u64, Vec<u8>),
}

fn seen(arrivals: &[Arrival]) -> Vec<Seen> {
    let mut seen = Vec::new();
    for arrival in arrivals {
        match arrival {
            Arrival::Lines(lines) => seen.extend(
                lines
                    .iter()
                    .map(|(at, line)| Seen::Line(at.line, at.offset, line.to_vec())),
            ),
            Arrival::TooLong(TooLong {
                position,
                head,
                length,
                sha256,
                ..
            }) => seen.push(Seen::TooLong(
                position.line,
                position.offset,
                head.clone(),
                *length,
                sha256.to_vec(),
            )),
            other => panic!("{other:?}"),
        }
    }
    seen
}

/// The same, line by line and with everything in memory.
fn expected(stream: &[u8]) -> Vec<Seen> {
    let mut expected = Vec::new();
    let mut offset = 0;
    for (number, line) in (1..).zip(stream.split_inclusive(|byte| *byte == b'\n')) {
        let bytes = line.strip_suffix(b"\n").unwrap_or(line);
        let bytes = match offset {
            0 => bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes),
            _ => bytes,
        };
        let counted = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        expected.push(if counted.len() <= MAX_LINE_BYTES {
            Seen::Line(number, offset, bytes.to_vec())
        } else {
            Seen::TooLong(
                number,
                offset,
                counted[..MAX_LINE_BYTES].to_vec(),
                counted.len() as u64,
                digest::digest(&digest::SHA256, counted).as_ref().to_vec(),
            )
        });
        offset += line.len() as u64;
    }
    expected
}

fn split(stream: &[u8], pieces: impl IntoIterator<Item = usize>) -> Vec<Seen> {
    let mut splitter = Splitter::new(origin(), 1, 0);
    let mut arrivals = Vec::new();
    let mut rest = stream;
    for piece in pieces {
        let (piece, after) = rest.split_at(piece.min(rest.len()));
        splitter.push(piece, &mut arrivals);
        assert_eq!(splitter.end(), (stream.len() - after.len()) as u64);
        assert!(splitter.pending.len() <= MAX_LINE_BYTES + 4);
        rest = after;
    }
    splitter.push(rest, &mut arrivals);
    splitter.finish(&mut arrivals);
    seen(&arrivals)
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let near = MAX_LINE_BYTES - 3..MAX_LINE_BYTES + 6;
    let far = 2 * MAX_LINE_BYTES..3 * MAX_LINE_BYTES;
    prop_oneof![
        8 => prop::collection::vec(prop_oneof![Just(b'\r'), Just(b' '), Just(b'x')], 0..6),
        2 => near.prop_map(|length| vec![b'y'; length]),
        2 => (MAX_LINE_BYTES - 3..MAX_LINE_BYTES + 6)
            .prop_map(|length| [vec![b'z'; length], vec![b'\r']].concat()),
        1 => far.prop_map(|length| vec![b'\r'; length]),
    ]
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let lines = prop::collection::vec(line(), 0..12);
    (any::<bool>(), lines, any::<bool>()).prop_map(|(mark, lines, ended)| {
        let mut stream = if mark { vec![0xef, 0xbb, 0xbf] } else { vec![] };
        stream.extend(lines.join(&b'\n'));
        stream.extend(ended.then_some(b'\n'));
        stream
    })
}

fn piece() -> impl Strategy<Value = usize> {
    let near = MAX_LINE_BYTES - 2..MAX_LINE_BYTES + 3;
    prop_oneof![3 => 0..5usize, 1 => 0..2000usize, 2 => near, 1 => 0..200_000usize]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_pieces_give_the_same_lines_and_places(
        stream in stream(),
        pieces in prop::collection::vec(piece(), 0..60),
    ) {
        let expected = expected(&stream);
        prop_assert!(split(&stream, pieces) == expected);
        prop_assert!(split(&stream, []) == expected);
    }

    #[test]
    fn byte_by_byte_is_as_good_as_at_once(
        stream in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200),
    ) {
        prop_assert_eq!(split(&stream, vec![1; stream.len()]), expected(&stream));
    }
}

#[test]
fn a_line_may_have_65536_bytes_besides_mark_and_line_end() {
    let full = vec![b'x'; MAX_LINE_BYTES];
    for (stream, accepted) in [
        ([&full[..], b"\n"].concat(), true),
        ([&full[..], b"\r\n"].concat(), true),
        ([b"\xef\xbb\xbf", &full[..], b"\r\n"].concat(), true),
        (full.clone(), true),
        ([&full[..], b"\r\r\n"].concat(), false),
        ([&full[..], b" \n"].concat(), false),
        ([&full[..], b"x"].concat(), false),
    ] {
        let seen = split(&stream, []);
        assert_eq!(matches!(seen[..], [Seen::Line(..)]), accepted);
    }
}

#[test]
fn a_line_that_is_cut_off_is_told_and_not_taken() {
    let mut splitter = Splitter::new(origin(), 1, 0);
    let mut arrivals = Vec::new();
    splitter.push(b"one\nbuy X 75", &mut arrivals);
    splitter.cut_off(CutOff::Truncated, &mut arrivals);
    splitter.begin();
    splitter.push(b"two\n", &mut arrivals);
    let [
        Arrival::Lines(_),
        Arrival::Unfinished(cut),
        Arrival::Lines(two),
    ] = &arrivals[..]
    else {
        panic!("{arrivals:?}");
    };
    assert_eq!(
        (&cut.line[..], cut.position.line, cut.position.offset),
        (&b"buy X 75"[..], 2, 4)
    );
    assert_eq!((two.first_line, two.first_offset), (1, 0));
}
