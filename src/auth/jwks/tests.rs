use jsonwebtoken::Algorithm::*;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::jwk::Jwk;
use serde_json::json;

use super::*;
use crate::auth::testing::{
    ED25519, P256, P384, Pair, RSA, SECRET, at, base64url, claims, keys, rules, sign,
};
use crate::auth::{Authenticator, InvalidToken, Keys, Token, TokenBook};

const ALL: [Algorithm; 12] = [
    HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA,
];

fn signing(pair: &Pair, alg: Algorithm) -> EncodingKey {
    let pem = pair.private.as_bytes();
    match alg {
        ES256 | ES384 => EncodingKey::from_ec_pem(pem),
        EdDSA => EncodingKey::from_ed_pem(pem),
        _ => EncodingKey::from_rsa_pem(pem),
    }
    .unwrap()
}

/// The public half as an issuer would publish it, with these members added, changed or, by null,
/// removed.
#[expect(clippy::needless_pass_by_value, reason = "it is made for this")]
fn jwk(pair: &Pair, alg: Algorithm, members: Value) -> Value {
    let mut jwk = if alg == EdDSA {
        // Of the private keys that jsonwebtoken reads, rcgen writes another form.
        let x = rcgen::KeyPair::from_pem(&pair.private).unwrap();
        json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(x.public_key_raw())})
    } else {
        let jwk = Jwk::from_encoding_key(&signing(pair, alg), alg).unwrap();
        serde_json::to_value(jwk).unwrap()
    };
    jwk.as_object_mut().unwrap().remove("alg");
    for (name, value) in members.as_object().unwrap() {
        match value {
            Value::Null => jwk.as_object_mut().unwrap().remove(name),
            value => jwk
                .as_object_mut()
                .unwrap()
                .insert(name.clone(), value.clone()),
        };
    }
    jwk
}

fn p256(members: Value) -> Value {
    jwk(&P256, ES256, members)
}

fn parse(keys: &[Value]) -> Result<KeySet, BadKeySet> {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
}

/// What is said of a key that is left out.
fn why_left_out(key: Value) -> String {
    let kept = p256(json!({"kid": "kept"}));
    let set = parse(&[key, kept]).unwrap();
    assert_eq!(set.len(), 1);
    set.warnings().join("\n")
}

fn token(pair: &Pair, alg: Algorithm, kid: Option<&str>) -> Token {
    let mut header = json!({ "alg": alg });
    if let Some(kid) = kid {
        header["kid"] = kid.into();
    }
    Token::new(sign(
        &header.to_string(),
        &claims().to_string(),
        alg,
        &signing(pair, alg),
    ))
}

fn judge(keys: &Keys, token: &Token) -> Result<(), InvalidToken> {
    let guard = Authenticator::new(keys.clone(), TokenBook::default(), rules());
    guard
        .authenticate(token, at(crate::auth::testing::NOW))
        .map(drop)
}

/// What a server says that has these keys from a set and a secret from a file.
fn with_set(set: &[Value], token: &Token) -> Result<(), InvalidToken> {
    let set = if set.is_empty() {
        KeySet::default()
    } else {
        parse(set).unwrap()
    };
    judge(&keys(&[("k", SECRET)]).with_set(set), token)
}

#[test]
fn each_type_of_key_takes_its_algorithms() {
    let rsa = &[RS256, RS384, RS512, PS256, PS384, PS512][..];
    for (pair, alg, algorithms) in [
        (&*RSA, RS256, rsa),
        (&*P256, ES256, &[ES256]),
        (&*P384, ES384, &[ES384]),
        (&*ED25519, EdDSA, &[EdDSA]),
    ] {
        let set = parse(&[jwk(pair, alg, json!({"kid": "a"}))]).unwrap();
        assert_eq!((set.len(), set.warnings()), (1, &[][..]));
        let taken: Vec<_> = ALL
            .into_iter()
            .filter(|alg| set.candidates(Some("a"), *alg).count() == 1)
            .collect();
        assert_eq!(taken, algorithms);
        for alg in algorithms {
            assert_eq!(
                with_set(&[jwk(pair, *alg, json!({}))], &token(pair, *alg, None)),
                Ok(())
            );
        }
    }
}

#[test]
fn a_key_of_a_set_is_the_same_as_in_a_file() {
    for (pair, alg) in [
        (&*RSA, RS256),
        (&*P256, ES256),
        (&*P384, ES384),
        (&*ED25519, EdDSA),
    ] {
        let file = Key::parse(pair.public.as_bytes()).unwrap();
        let set = parse(&[jwk(pair, alg, json!({}))]).unwrap();
        assert!(set.contains(file.id()), "{alg:?}");
    }
}

#[test]
fn a_key_that_names_its_algorithm_takes_no_other() {
    let only = [jwk(&RSA, RS256, json!({"kid": "a", "alg": "RS256"}))];
    assert_eq!(with_set(&only, &token(&RSA, RS256, Some("a"))), Ok(()));
    for alg in [RS384, RS512, PS256, PS384, PS512] {
        assert_eq!(
            with_set(&only, &token(&RSA, alg, Some("a"))),
            Err(InvalidToken::ForeignAlgorithm(alg))
        );
    }
}

#[test]
fn no_public_key_is_taken_for_a_secret() {
    let key = jwk(&RSA, RS256, json!({"kid": "a"}));
    let set = json!({ "keys": [&key] }).to_string();
    let modulus = key["n"].as_str().unwrap();
    for secret in [
        modulus.as_bytes(),
        RSA.public.as_bytes(),
        set.as_bytes(),
        key.to_string().as_bytes(),
    ] {
        let forged = sign(
            r#"{"alg":"HS256","kid":"a"}"#,
            &claims().to_string(),
            HS256,
            &EncodingKey::from_secret(secret),
        );
        // Some key takes HS256: the secret of the file. The set's does not.
        assert_eq!(
            with_set(std::slice::from_ref(&key), &Token::new(&*forged)),
            Err(InvalidToken::Signature)
        );
        let set = parse(std::slice::from_ref(&key)).unwrap();
        assert_eq!(
            judge(&Keys::default().with_set(set), &Token::new(&*forged)),
            Err(InvalidToken::ForeignAlgorithm(HS256))
        );
    }
}

#[test]
fn the_name_in_the_token_picks_among_the_keys_of_the_set() {
    let first = jwk(&P256, ES256, json!({"kid": "1"}));
    let second = jwk(&P384, ES384, json!({"kid": "2"}));
    let nameless = jwk(&ED25519, EdDSA, json!({}));
    let set = [first, second, nameless];
    for (pair, alg, kid, expected) in [
        (&*P256, ES256, Some("1"), Ok(())),
        (&*P256, ES256, None, Ok(())),
        (
            &*P256,
            ES256,
            Some("2"),
            Err(InvalidToken::ForeignAlgorithm(ES256)),
        ),
        (&*P256, ES256, Some("3"), Err(InvalidToken::UnknownKey)),
        (&*RSA, RS256, Some("3"), Err(InvalidToken::UnknownKey)),
        (
            &*RSA,
            RS256,
            Some("1"),
            Err(InvalidToken::ForeignAlgorithm(RS256)),
        ),
        // There are names, so a newer set does not help a token without one.
        (
            &*RSA,
            RS256,
            None,
            Err(InvalidToken::ForeignAlgorithm(RS256)),
        ),
        // A key without a name may be anybody's.
        (&*ED25519, EdDSA, Some("3"), Ok(())),
        (&*ED25519, EdDSA, None, Ok(())),
    ] {
        assert_eq!(
            with_set(&set, &token(pair, alg, kid)),
            expected,
            "{alg:?} {kid:?}"
        );
    }
}

#[test]
fn a_token_may_be_good_later_only_if_the_set_could_tell() {
    let unknown = Err(InvalidToken::UnknownKey);
    // Before the first set, everything may be.
    assert_eq!(with_set(&[], &token(&P256, ES256, None)), unknown);
    assert_eq!(with_set(&[], &token(&P256, ES256, Some("1"))), unknown);
    // An issuer that names no keys may have changed its only one.
    let nameless = [jwk(&ED25519, EdDSA, json!({}))];
    assert_eq!(with_set(&nameless, &token(&P256, ES256, None)), unknown);
    // The name of a file, a secret's algorithm, no set at all.
    let foreign = Err(InvalidToken::ForeignAlgorithm(ES256));
    assert_eq!(
        with_set(&nameless, &token(&P256, ES256, Some("k"))),
        foreign
    );
    let forged = sign(
        r#"{"alg":"HS256","kid":"1"}"#,
        &claims().to_string(),
        HS256,
        &EncodingKey::from_secret(b"some other secret of enough bytes"),
    );
    assert_eq!(
        with_set(&nameless, &Token::new(forged)),
        Err(InvalidToken::Signature)
    );
    let file = keys(&[("k", SECRET)]);
    assert_eq!(judge(&file, &token(&P256, ES256, Some("1"))), foreign);
}

#[test]
fn keys_for_other_uses_are_passed_over_in_silence() {
    for members in [
        json!({"use": "enc"}),
        json!({"use": "other"}),
        json!({"key_ops": ["encrypt", "wrapKey"]}),
        json!({"key_ops": []}),
        json!({"use": "sig", "key_ops": ["sign"]}),
    ] {
        assert_eq!(why_left_out(p256(members.clone())), "", "{members}");
    }
    for members in [
        json!({"use": "sig"}),
        json!({"key_ops": ["verify"]}),
        json!({"use": "sig", "key_ops": ["sign", "verify"], "alg": "ES256"}),
        json!({"x5c": ["AAAA"], "x5t": "AAAA", "unknown": {"a": 1}}),
    ] {
        assert_eq!(
            parse(&[p256(members.clone())]).unwrap().len(),
            1,
            "{members}"
        );
    }
}

#[test]
fn a_key_that_cannot_be_used_is_named_and_the_others_are_taken() {
    let short = base64url([0xff_u8; 128]);
    let zero = base64url([0_u8; 256]);
    let even = base64url([0xfe_u8; 256]);
    let point = |byte: u8| base64url([byte; 32]);
    let other = jwk(&P384, ES384, json!({}));
    for (key, reason) in [
        (
            json!("key"),
            "key 1 (without kid) is left out: it is not a JSON object",
        ),
        (json!({}), "key 1 (without kid) is left out: it has no kty"),
        (
            json!({"kid": "a\n", "kty": "oct", "k": base64url(SECRET)}),
            "key \"a\\n\" is left out: it is a secret (oct), which has no place among public keys",
        ),
        (
            json!({"kid": "a", "kty": "AKP"}),
            "key \"a\" is left out: its kty is neither RSA, EC nor OKP",
        ),
        (p256(json!({"kty": 7})), "its kty is not a string"),
        (p256(json!({"kid": 7})), "its kid is not a string"),
        (p256(json!({"alg": 7})), "its alg is not a string"),
        (p256(json!({"use": ["sig"]})), "its use is not a string"),
        (
            p256(json!({"key_ops": "verify"})),
            "its key_ops is not a list of strings",
        ),
        (
            p256(json!({"key_ops": ["verify", 7]})),
            "its key_ops is not a list of strings",
        ),
        (p256(json!({"crv": null})), "it has no crv"),
        (
            p256(json!({"crv": "P-521"})),
            "its curve is neither P-256 nor P-384",
        ),
        (
            p256(json!({"crv": "secp256k1"})),
            "its curve is neither P-256 nor P-384",
        ),
        (
            p256(json!({"crv": "Ed25519"})),
            "its curve is neither P-256 nor P-384",
        ),
        (
            p256(json!({"crv": "P-384"})),
            "its numbers are no key of its type",
        ),
        (
            p256(json!({"alg": "ES384"})),
            "its alg is none that this server can use it with",
        ),
        (p256(json!({"alg": "RS256"})), "its alg is none"),
        (p256(json!({"alg": "HS256"})), "its alg is none"),
        (p256(json!({"alg": "ES256K"})), "its alg is none"),
        (p256(json!({"alg": "none"})), "its alg is none"),
        (p256(json!({"y": null})), "it has no y"),
        (
            p256(json!({"x": "A=="})),
            "its x is not base64url without padding",
        ),
        (
            p256(json!({"x": point(1), "y": point(1)})),
            "its numbers are no key",
        ),
        (
            p256(json!({"x": point(0), "y": point(0)})),
            "its numbers are no key",
        ),
        (p256(json!({"x": "AQ"})), "its numbers are no key"),
        (
            json!({"kty": "EC", "crv": "P-256", "x": other["x"], "y": other["y"]}),
            "its numbers are no key",
        ),
        (
            jwk(&ED25519, EdDSA, json!({"crv": "X25519"})),
            "its curve is not Ed25519",
        ),
        (
            jwk(&ED25519, EdDSA, json!({"crv": "Ed448"})),
            "its curve is not Ed25519",
        ),
        (
            jwk(&ED25519, EdDSA, json!({"x": "AQ"})),
            "its numbers are no key",
        ),
        (
            jwk(&RSA, RS256, json!({"n": short})),
            "the RSA key has 1024 bits; 2048 to 8192 are taken",
        ),
        (
            jwk(&RSA, RS256, json!({"n": zero})),
            "its numbers are no key",
        ),
        (jwk(&RSA, RS256, json!({"n": ""})), "its numbers are no key"),
        (
            jwk(&RSA, RS256, json!({"n": even})),
            "its numbers are no key",
        ),
        (
            jwk(&RSA, RS256, json!({"e": "AQ"})),
            "its numbers are no key",
        ),
        (
            jwk(&RSA, RS256, json!({"e": "Ag"})),
            "its numbers are no key",
        ),
        (
            jwk(&RSA, RS256, json!({"e": "AAAA"})),
            "its numbers are no key",
        ),
        (jwk(&RSA, RS256, json!({"e": null})), "it has no e"),
    ] {
        let said = why_left_out(key.clone());
        assert!(said.contains(reason), "{key}: {said:?} is not {reason:?}");
    }
}

#[test]
fn rsa_numbers_may_have_the_zero_of_signed_ones() {
    use base64::Engine as _;
    let n = jwk(&RSA, RS256, json!({}))["n"]
        .as_str()
        .unwrap()
        .to_owned();
    let n = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(n)
        .unwrap();
    let n = base64url([&[0], &n[..]].concat());
    let set = [jwk(&RSA, RS256, json!({"n": n, "e": "AAEAAQ"}))];
    assert_eq!(with_set(&set, &token(&RSA, RS256, None)), Ok(()));
}

#[test]
fn what_is_odd_but_usable_is_warned_of() {
    let shown = p256(json!({"kid": "a", "d": "AAAA"}));
    let warned = |keys: &[Value]| parse(keys).unwrap().warnings().join("\n");
    assert!(warned(&[shown]).starts_with("key \"a\" is there with its private half"));
    let twice = [
        p256(json!({"kid": "a"})),
        jwk(&RSA, RS256, json!({"kid": "a"})),
    ];
    assert_eq!(
        warned(&twice),
        "key \"a\" is there more than once; all are tried"
    );
    assert_eq!(with_set(&twice, &token(&RSA, PS256, Some("a"))), Ok(()));
    assert_eq!(with_set(&twice, &token(&P256, ES256, Some("a"))), Ok(()));
}

#[test]
fn what_is_no_set_is_refused() {
    let many = vec![json!({}); KeySet::MOST_KEYS + 1];
    let full = vec![p256(json!({})); KeySet::MOST_KEYS];
    assert_eq!(parse(&full).unwrap().len(), KeySet::MOST_KEYS);
    assert_eq!(parse(&many).unwrap_err(), BadKeySet::TooMany(1001));
    for (text, reason) in [
        ("", "is not a JSON object, or a key occurs twice in it"),
        ("<html>", "is not a JSON object"),
        ("[]", "is not a JSON object"),
        (r#"{"keys":[],"keys":[]}"#, "a key occurs twice"),
        (r#"{"kty":"EC"}"#, "has no list keys"),
        (r#"{"keys":{}}"#, "has no list keys"),
        (r#"{"keys":[]}"#, "holds no key to check signatures with"),
        (
            r#"{"keys":[{"kty":"oct","k":"AA"}]}"#,
            "holds no key to check signatures with (key 1 (without kid) is left out: it is a secret",
        ),
    ] {
        let refused = KeySet::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(refused.contains(reason), "{refused:?} is not {reason:?}");
    }
    let long = format!("{{\"keys\":[]{}}}", " ".repeat(KeySet::MOST_BYTES));
    assert_eq!(
        KeySet::parse(long.as_bytes()).unwrap_err(),
        BadKeySet::TooLong
    );
}

#[test]
fn one_token_costs_a_bounded_number_of_signature_checks() {
    let many: Vec<Value> = (0..100)
        .map(|kid| p256(json!({"kid": kid.to_string()})))
        .collect();
    let set = parse(&many).unwrap();
    assert_eq!(set.candidates(None, ES256).count(), MOST_CANDIDATES);
    assert_eq!(set.candidates(Some("99"), ES256).count(), 1);
    assert_eq!(set.candidates(Some("100"), ES256).count(), 0);
}

#[test]
fn a_file_is_named_with_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    let said = || KeySet::load(&path).unwrap_err().to_string();
    assert!(said().ends_with(
        "/keys.json: there is no such file; put the key set there, or name another as auth.jwks"
    ));
    std::fs::write(&path, &P256.public).unwrap();
    assert!(said().contains("/keys.json: is not a JSON object, or a key occurs twice in it; put a JSON Web Key Set there"), "{}", said());
    let set = json!({"keys": [p256(json!({})), {"kty": "oct"}]});
    std::fs::write(&path, set.to_string()).unwrap();
    let set = KeySet::load(&path).unwrap();
    assert!(set.warnings()[0].ends_with("/keys.json: key 2 (without kid) is left out: it is a secret (oct), which has no place among public keys"));
}
