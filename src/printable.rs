//! What somebody else wrote, fit to be shown in a line of ours.

/// The text on one line and without commands for a terminal: control characters are escaped.
pub(crate) fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}
