use super::Token;

/// There is nothing to check in the `Authorization` headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCredential {
    /// No header, another scheme, or `Bearer` with nothing behind it.
    #[error("there is no bearer token; send the header Authorization: Bearer TOKEN")]
    Missing,
    /// More than one header: which one counts would be a guess.
    #[error("there is more than one Authorization header; send one")]
    Twice,
}

/// The token in the values of all `Authorization` headers of a request (RFC 6750, section 2.1).
///
/// What stands behind `Bearer` is taken as it is, also what can be no token: refusing that is the
/// [`Authenticator`](super::Authenticator)'s, so that it is answered and counted as a bad token.
///
/// # Errors
/// No header holds a bearer token, or there are several headers.
pub fn bearer<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Result<Token, NoCredential> {
    let value = values.next().ok_or(NoCredential::Missing)?;
    if values.next().is_some() {
        return Err(NoCredential::Twice);
    }
    let value = value.trim_ascii();
    let scheme_ends = value.iter().position(|&byte| byte == b' ');
    let (scheme, token) = value.split_at(scheme_ends.unwrap_or(value.len()));
    let token = token.trim_ascii_start();
    if !scheme.eq_ignore_ascii_case(b"Bearer") || token.is_empty() {
        return Err(NoCredential::Missing);
    }
    // Bytes that are not UTF-8 become a character that no token has.
    Ok(Token::new(String::from_utf8_lossy(token)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_header_of_the_scheme_bearer_gives_the_token() {
        let missing = Err(NoCredential::Missing);
        for (values, expected) in [
            (&[&b"Bearer a.b.c"[..]][..], Ok("a.b.c")),
            (&[b"bearer a.b.c"], Ok("a.b.c")),
            (&[b"BEARER   a.b.c  "], Ok("a.b.c")),
            (&[b"Bearer a b"], Ok("a b")),
            (&[b"Bearer \"a\""], Ok("\"a\"")),
            (&[b"Bearer a,Basic b"], Ok("a,Basic b")),
            (&[b"Bearer \xff\xfe"], Ok("\u{fffd}\u{fffd}")),
            (&["Bearer käse".as_bytes()], Ok("käse")),
            (&[], missing),
            (&[b""], missing),
            (&[b"Bearer"], missing),
            (&[b"Bearer   "], missing),
            (&[b"Bearera.b.c"], missing),
            (&[b"Bearer\ta.b.c"], missing),
            (&[b"Basic dXNlcjpwYXNz"], missing),
            (&[b"a.b.c"], missing),
            (&[b"\xffBearer a"], missing),
            (&[b"Bearer a", b"Bearer a"], Err(NoCredential::Twice)),
            (&[b"Basic a", b"Bearer a"], Err(NoCredential::Twice)),
            (&[b"", b""], Err(NoCredential::Twice)),
        ] {
            let found = bearer(values.iter().copied());
            assert_eq!(found, expected.map(Token::new), "{values:?}");
        }
    }

    #[test]
    fn a_token_does_not_print() {
        let token = bearer([&b"Bearer secret"[..]].into_iter()).unwrap();
        assert_eq!(format!("{token:?}"), "Token(***)");
    }
}
