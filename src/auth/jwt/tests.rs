use jsonwebtoken::Algorithm::{self, *};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::auth::testing::{
    ED25519, NOW, P256, P384, Pair, RSA, SECRET, at, base64url, claims, keys, rules,
    sign_with_secret, token, token_by, with_key,
};
use crate::auth::{Authenticator, Principal, TokenBook};

fn said(outcome: Result<Principal, InvalidToken>) -> String {
    match outcome {
        Ok(principal) => format!("welcome {}", principal.subject()),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains(['"', '\\']) && text.is_ascii(), "{text}");
            text
        }
    }
}

/// A token with this header, otherwise fine and signed by the server's own secret.
fn with_header(header: &str) -> String {
    sign_with_secret(header, &claims().to_string(), SECRET)
}

#[test]
fn each_kind_of_key_verifies_its_own_algorithms_and_no_other() {
    let pairs: [(&Pair, &[Algorithm]); 4] = [
        (&RSA, &[RS256, RS384, RS512, PS256, PS384, PS512]),
        (&P256, &[ES256]),
        (&P384, &[ES384]),
        (&ED25519, &[EdDSA]),
    ];
    for (signer, (pair, algorithms)) in pairs.iter().enumerate() {
        for &alg in *algorithms {
            let token = token_by(pair, alg);
            for (server, (key, _)) in pairs.iter().enumerate() {
                for file in [&key.public, &key.private] {
                    let expected = if signer == server {
                        "welcome bot-1".to_owned()
                    } else {
                        format!("the header names alg {alg:?}, which no key of this server takes")
                    };
                    assert_eq!(said(with_key(file.as_bytes(), &token)), expected);
                }
            }
            assert!(with_key(SECRET, &token).is_err());
        }
        // Another key of the same kind.
        let stranger = match signer {
            1 => rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            2 => rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            3 => rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519),
            _ => continue,
        }
        .unwrap();
        assert_eq!(
            with_key(
                stranger.public_key_pem().as_bytes(),
                &token_by(pair, algorithms[0])
            ),
            Err(InvalidToken::Signature)
        );
    }
}

#[test]
fn one_secret_takes_all_three_lengths_of_hmac() {
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET);
    for alg in [HS256, HS384, HS512] {
        let header = json!({"alg": alg}).to_string();
        let token = crate::auth::testing::sign(&header, &claims().to_string(), alg, &key);
        assert_eq!(said(with_key(SECRET, &token)), "welcome bot-1");
        // The same signature under another name.
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (_, payload) = signed.split_once('.').unwrap();
        let other = if alg == HS256 { "HS384" } else { "HS256" };
        let header = base64url(json!({"alg": other}).to_string());
        let renamed = format!("{header}.{payload}.{signature}");
        assert_eq!(with_key(SECRET, &renamed), Err(InvalidToken::Signature));
    }
}

/// RFC 8725, section 2.1: the attacker signs with what everybody knows.
#[test]
fn a_public_key_is_nobodys_hmac_secret() {
    for pair in [&*RSA, &*P256, &*P384, &*ED25519] {
        let pem = pair.public.as_bytes();
        let bodies = [
            pem.to_vec(),
            pem.trim_ascii_end().to_vec(),
            pem.replace_crlf(),
        ];
        for (body, file) in bodies.iter().zip([&pair.public, &pair.private]) {
            for alg in ["HS256", "HS384", "HS512"] {
                let header = format!(r#"{{"alg":"{alg}"}}"#);
                let forged = sign_with_secret(&header, &claims().to_string(), body);
                assert_eq!(
                    said(with_key(file.as_bytes(), &forged)),
                    format!("the header names alg {alg}, which no key of this server takes")
                );
            }
        }
    }
}

trait Crlf {
    fn replace_crlf(&self) -> Vec<u8>;
}

impl Crlf for [u8] {
    fn replace_crlf(&self) -> Vec<u8> {
        String::from_utf8_lossy(self)
            .replace('\n', "\r\n")
            .into_bytes()
    }
}

#[test]
fn the_header_asks_for_nothing_we_do_not_do() {
    let crit = "the header has crit, which this server does not understand";
    let encrypted = "the token is encrypted; this server takes signed ones";
    let not_json = "the header is not a JSON object, or a key occurs twice";
    for (header, expected) in [
        (r#"{"alg":"HS256"}"#, "welcome bot-1"),
        (r#"{"alg":"HS256","typ":"JWT"}"#, "welcome bot-1"),
        (
            r#"{"alg":"HS256","typ":"at+jwt","cty":"x"}"#,
            "welcome bot-1",
        ),
        (r#"{"alg":"HS256","typ":null}"#, "welcome bot-1"),
        (r#" { "alg" : "HS256" } "#, "welcome bot-1"),
        (r#"{"\u0061lg":"HS256"}"#, "welcome bot-1"),
        (r#"{"alg":"HS256","kid":"jwt"}"#, "welcome bot-1"),
        (
            r#"{"alg":"HS256","kid":"../../../dev/null"}"#,
            "welcome bot-1",
        ),
        (
            r#"{"alg":"HS256","kid":"x' UNION SELECT 'key"}"#,
            "welcome bot-1",
        ),
        (r#"{"alg":"HS256","kid":""}"#, "welcome bot-1"),
        (
            r#"{"alg":"HS256","jku":"https://evil.example","x5u":"https://evil.example"}"#,
            "welcome bot-1",
        ),
        (r#"{"alg":"HS256","kid":7}"#, "the kid is not a string"),
        (r#"{"alg":"HS256","kid":null}"#, "the kid is not a string"),
        (r#"{"alg":"none"}"#, "the header names alg none"),
        (r#"{"alg":"None"}"#, "the header names alg none"),
        (r#"{"alg":"NONE"}"#, "the header names alg none"),
        (r#"{"alg":"nOnE"}"#, "the header names alg none"),
        (r#"{"alg":"hs256"}"#, "the header names an unknown alg"),
        (r#"{"alg":"HS256 "}"#, "the header names an unknown alg"),
        (r#"{"alg":""}"#, "the header names an unknown alg"),
        (r#"{"alg":"ES512"}"#, "the header names an unknown alg"),
        (r#"{"alg":"dir","enc":"A256GCM"}"#, encrypted),
        (r#"{"alg":"HS256","enc":"A256GCM"}"#, encrypted),
        (r#"{"alg":["HS256"]}"#, "the alg is not a string"),
        (r#"{"alg":null}"#, "the alg is not a string"),
        (r#"{"typ":"JWT"}"#, "the header names no alg"),
        (r#"{}"#, "the header names no alg"),
        (r#"{"alg":"HS256","crit":["exp"],"exp":1}"#, crit),
        (r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, crit),
        (r#"{"alg":"HS256","crit":[]}"#, crit),
        (r#"{"alg":"HS256","crit":null}"#, crit),
        (r#"{"alg":"HS256","alg":"HS256"}"#, not_json),
        (r#"{"alg":"none","alg":"HS256"}"#, not_json),
        (r#"{"alg":"HS256","x":{"a":1,"a":2}}"#, not_json),
        (r#"["HS256"]"#, not_json),
        (r#""HS256""#, not_json),
        ("", not_json),
    ] {
        assert_eq!(
            said(with_key(SECRET, &with_header(header))),
            expected,
            "{header}"
        );
    }
}

#[test]
fn a_key_in_the_header_is_never_used() {
    let attacker = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let (x, y) = attacker.public_key_raw()[1..].split_at(32);
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y)});
    let secret = json!({"kty": "oct", "k": base64url(SECRET)});
    let key = jsonwebtoken::EncodingKey::from_ec_der(attacker.serialized_der());
    for header in [
        json!({"alg": "ES256", "jwk": jwk}),
        json!({"alg": "ES256", "jwk": jwk, "kid": "jwt"}),
        json!({"alg": "ES256", "x5c": ["AAAA"], "jku": "https://evil.example/jwks"}),
    ] {
        let forged =
            crate::auth::testing::sign(&header.to_string(), &claims().to_string(), ES256, &key);
        assert_eq!(
            with_key(P256.public.as_bytes(), &forged),
            Err(InvalidToken::Signature)
        );
    }
    let forged = sign_with_secret(
        &json!({"alg": "HS256", "jwk": secret}).to_string(),
        &claims().to_string(),
        SECRET,
    );
    let other = b"another secret, as long as needed";
    assert_eq!(with_key(other, &forged), Err(InvalidToken::Signature));
}

#[test]
fn a_token_is_three_parts_in_the_one_spelling_of_base64url() {
    let good = token(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!("three parts")
    };
    let not_three = "the token has not the three parts of a JWT";
    let not_base64 = "a part of the token is not base64url";
    // The last character of 32 bytes holds two bits that mean nothing.
    let last = signature.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let twin = alphabet
        .chars()
        .nth(alphabet.find(last).unwrap() + 1)
        .unwrap();
    let stray_bits = format!("{}{twin}", &good[..good.len() - 1]);
    let other_payload = base64url(claims().to_string().replace("bot-1", "bot-2"));
    for (token, expected) in [
        (good.clone(), "welcome bot-1"),
        (String::new(), not_three),
        (".".to_owned(), not_three),
        (
            "..".to_owned(),
            "the header is not a JSON object, or a key occurs twice",
        ),
        ("opaque".to_owned(), not_three),
        (format!("{header}.{payload}"), not_three),
        (format!("{header}.{payload}."), "the token has no signature"),
        (
            format!("{header}..{signature}"),
            "the signature does not match",
        ),
        (format!("{header}.{payload}.{signature}.x"), not_three),
        (format!("{good}."), not_three),
        (format!(".{good}"), not_three),
        (
            format!("{good}.x.y"),
            "the token is encrypted; this server takes signed ones",
        ),
        (format!("{good}="), not_base64),
        (format!("{header}=.{payload}.{signature}"), not_base64),
        (format!("{header}.{payload}==.{signature}"), not_base64),
        (format!("{good}\n"), not_base64),
        (format!(" {good}"), not_base64),
        (good.replace('.', "%2E"), not_three),
        (
            format!("{header}.{payload}.{}+/", &signature[..40]),
            not_base64,
        ),
        (format!("{header}.{payload}.\u{fffd}"), not_base64),
        (stray_bits, not_base64),
        (
            format!("{header}.{payload}.{}", &signature[..42]),
            not_base64,
        ),
        (
            format!("{header}.{payload}.{}", &signature[..40]),
            "the signature does not match",
        ),
        (
            format!("{header}.{payload}.AAAA{signature}"),
            "the signature does not match",
        ),
        (
            format!("{header}.{payload}.{}", "A".repeat(43)),
            "the signature does not match",
        ),
        (
            format!("{header}.{other_payload}.{signature}"),
            "the signature does not match",
        ),
        (
            format!("{payload}.{header}.{signature}"),
            "the header names no alg",
        ),
        (
            good.to_ascii_uppercase(),
            "the header is not a JSON object, or a key occurs twice",
        ),
        ("a".repeat(16 * 1024 + 1), "the token is longer than 16 KiB"),
    ] {
        assert_eq!(said(with_key(SECRET, &token)), expected, "{token}");
    }
}

#[test]
fn an_empty_or_zero_signature_is_nobodys() {
    for (pair, alg, size) in [
        (&*RSA, RS256, 256),
        (&*RSA, PS256, 256),
        (&*P256, ES256, 64),
        (&*P384, ES384, 96),
        (&*ED25519, EdDSA, 64),
    ] {
        let token = token_by(pair, alg);
        let (signed, _) = token.rsplit_once('.').unwrap();
        let server =
            |signature: String| with_key(pair.public.as_bytes(), &format!("{signed}.{signature}"));
        assert_eq!(said(server(String::new())), "the token has no signature");
        // All zeros is CVE-2022-21449.
        for length in [1, size - 1, size, size + 1] {
            assert_eq!(
                server(base64url(vec![0; length])),
                Err(InvalidToken::Signature)
            );
        }
    }
}

#[test]
fn a_token_of_8_kib_is_fine() {
    let mut claims = claims();
    claims["padding"] = "x".repeat(6000).into();
    let token = token(&claims);
    assert!(token.len() > 8 * 1000);
    assert_eq!(said(with_key(SECRET, &token)), "welcome bot-1");
}

#[test]
fn with_several_keys_any_of_them_will_do_whatever_the_kid() {
    let new = b"another secret, as long as needed";
    let keys = keys(&[
        ("new.key", new),
        ("old.key", SECRET),
        ("idp.pem", P256.public.as_bytes()),
    ]);
    let server = Authenticator::new(keys, TokenBook::default(), rules());
    let check = |token: &str| said(server.authenticate(&Token::new(token), at(NOW)));
    let claims = claims().to_string();
    for secret in [&new[..], SECRET] {
        for kid in ["new", "old", "idp", "other"] {
            let header = json!({"alg": "HS256", "kid": kid}).to_string();
            let token = sign_with_secret(&header, &claims, secret);
            assert_eq!(check(&token), "welcome bot-1", "{kid}");
        }
    }
    assert_eq!(check(&token_by(&P256, ES256)), "welcome bot-1");
    let forged = sign_with_secret(
        r#"{"alg":"HS256","kid":"idp"}"#,
        &claims,
        P256.public.as_bytes(),
    );
    assert_eq!(check(&forged), "the signature does not match");
}

#[test]
fn without_a_key_nobody_comes_in() {
    let server = Authenticator::new(Keys::default(), TokenBook::default(), rules());
    let token = Token::new(token(&claims()));
    assert_eq!(
        server.authenticate(&token, at(NOW)),
        Err(InvalidToken::ForeignAlgorithm(HS256))
    );
}

proptest! {
    #[test]
    fn no_text_is_a_token_or_a_panic(text in "\\PC*") {
        prop_assert!(with_key(SECRET, &text).is_err());
    }

    #[test]
    fn no_three_parts_are_a_token_or_a_panic(text in "[A-Za-z0-9_.=-]{0,200}") {
        prop_assert!(with_key(SECRET, &text).is_err());
    }

    #[test]
    fn any_signed_claims_give_an_answer(claims in ".*", header in r#"\{"alg":"HS256",?.*\}"#) {
        let _ = with_key(SECRET, &sign_with_secret(&header, &claims, SECRET));
    }

    #[test]
    fn no_changed_byte_passes(at in 0_usize..150, byte in "[A-Za-z0-9_-]") {
        let good = token(&claims());
        let at = at % good.len();
        let mut changed = good.clone();
        changed.replace_range(at..=at, &byte);
        prop_assert_eq!(with_key(SECRET, &changed).is_ok(), changed == good);
    }
}
