//! Server-Sent Events (WHATWG HTML, section 9.2): each a few lines with a name, the last signal of
//! the log that its reader has then, and one line of data. Like frames they are the same for
//! every client.

use crate::signal::Seq;

/// Stands in front of the first event: how long a browser that lost the connection waits before it
/// comes back, in milliseconds.
pub const RETRY: &[u8] = b"retry: 2000\n";

/// Appends the event of a signal, whose JSON `write` appends.
pub fn write_signal(out: &mut Vec<u8>, seq: Seq, write: impl FnOnce(&mut Vec<u8>)) {
    write_event(out, b"signal", Some(seq), write);
}

/// Appends the event of a message, named after its type: `{"type":"NAME",…}`. `last` is the last
/// signal before it, `None` while there is none.
///
/// # Panics
/// If the message does not begin with its type.
pub fn write_message(out: &mut Vec<u8>, last: Option<Seq>, message: &[u8]) {
    let name = message.strip_prefix(br#"{"type":""#);
    let name = name.and_then(|rest| rest.split(|&byte| byte == b'"').next());
    let name = name.expect("every message of ours begins with its type");
    write_event(out, name, last, |out| out.extend_from_slice(message));
}

/// JSON is one line of data: without white space there are no line ends between tokens, and those
/// in strings are escaped.
fn write_event(
    out: &mut Vec<u8>,
    name: &[u8],
    last: Option<Seq>,
    write: impl FnOnce(&mut Vec<u8>),
) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name);
    out.extend_from_slice(b"\nid: ");
    match last {
        Some(seq) => seq.write(out),
        None => out.push(b'0'),
    }
    out.extend_from_slice(b"\ndata: ");
    write(out);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_an_event_of_its_type() {
        let mut out = b"before ".to_vec();
        write_message(&mut out, None, br#"{"type":"heartbeat","last_seq":0}"#);
        write_message(&mut out, Seq::new(1024), br#"{"type":"halted"}"#);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "before event: heartbeat\nid: 0\ndata: {\"type\":\"heartbeat\",\"last_seq\":0}\n\n\
             event: halted\nid: 1024\ndata: {\"type\":\"halted\"}\n\n"
        );
    }
}
