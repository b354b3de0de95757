use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Token;
use super::token::OPAQUE_PREFIX;

/// The system gives no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandom;

/// A new token: 256 random bits, which nobody guesses, so that a plain SHA-256 keeps it safe.
pub(super) fn random() -> Result<Token, NoRandom> {
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret).map_err(|_| NoRandom)?;
    Ok(Token::new(format!(
        "{OPAQUE_PREFIX}{}",
        URL_SAFE_NO_PAD.encode(secret)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_is_another_one_and_fits_a_header() {
        let (one, two) = (random().unwrap(), random().unwrap());
        assert_ne!(one, two);
        for token in [one, two] {
            assert!(token.is_opaque());
            assert_eq!(token.reveal().len(), 47);
            let secret = URL_SAFE_NO_PAD.decode(&token.reveal()[OPAQUE_PREFIX.len()..]);
            assert_eq!(secret.unwrap().len(), 32);
        }
        assert!(!Token::new("eyJhbGciOiJIUzI1NiJ9.e30.x").is_opaque());
    }
}
