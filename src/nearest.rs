/// The nearest of `known` to what somebody wrote.
pub(crate) fn nearest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (likeness(written, name), name))
        // The first of equals, so that the answer is always the same.
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, name)| name)
}

/// 1 for the same, 0 for nothing in common, in any letter case.
pub(crate) fn likeness(left: &str, right: &str) -> f64 {
    strsim::normalized_damerau_levenshtein(&left.to_ascii_lowercase(), &right.to_ascii_lowercase())
}
