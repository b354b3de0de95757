use serde_json::{Value, json};

use super::*;
use crate::auth::Scope;
use crate::auth::testing::{NOW, SECRET, claims, keys, rules, token, with_key};

fn authenticate(claims: &Value) -> Result<Principal, InvalidToken> {
    with_key(SECRET, &token(claims))
}

/// Fine claims with one changed or, by null, removed.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

#[test]
fn a_claim_of_the_wrong_type_is_named() {
    let many: Vec<String> = (0..257).map(|n| format!("S{n}")).collect();
    let time = "is not a whole number of seconds since 1970";
    let late = "is too far in the future; it counts seconds";
    let string = "is not a string";
    let list = "is not a list of strings";
    for (name, value, problem) in [
        ("sub", json!(""), "is empty"),
        ("sub", json!(7), string),
        ("sub", json!(null), string),
        ("sub", json!(["bot-1"]), string),
        ("exp", json!("1800000060"), time),
        ("exp", json!(1_800_000_060.0), time),
        ("exp", json!(1_800_000_060.5), time),
        ("exp", json!(-1), time),
        ("exp", json!(null), time),
        ("exp", json!([NOW + 60]), time),
        ("exp", json!(1e300), time),
        ("exp", json!(true), time),
        ("exp", json!(u64::MAX), late),
        ("exp", json!((NOW + 60) * 1000), late),
        ("nbf", json!("0"), time),
        ("nbf", json!(0.5), time),
        ("nbf", json!(null), time),
        ("nbf", json!(NOW * 1000), late),
        ("iat", json!("0"), time),
        ("iat", json!(0.5), time),
        ("iat", json!({}), time),
        ("jti", json!(7), string),
        ("jti", json!(null), string),
        ("iss", json!(["us"]), string),
        ("scope", json!(["signals:read"]), string),
        ("scope", json!(null), string),
        ("scope", json!({"signals:read": true}), string),
        ("aud", json!(7), "is neither a string nor a list of strings"),
        (
            "aud",
            json!(null),
            "is neither a string nor a list of strings",
        ),
        (
            "aud",
            json!(["us", 7]),
            "is neither a string nor a list of strings",
        ),
        ("symbols", json!("BTC*"), list),
        ("symbols", json!(["BTC*", 7]), list),
        ("symbols", json!([["BTC*"]]), list),
        ("symbols", json!(null), list),
        ("symbols", json!({"BTC*": true}), list),
        ("symbols", json!(many), "has more than 256 patterns"),
    ] {
        let refused = authenticate(&with(name, value.clone())).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("the claim {name} {problem}"),
            "{value}"
        );
        assert_eq!(refused.reason(), "claims");
    }
}

#[test]
fn sub_and_exp_are_needed_and_nothing_else() {
    for name in ["sub", "exp"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        let refused = authenticate(&claims).unwrap_err();
        assert_eq!(refused.to_string(), format!("the claim {name} is missing"));
    }
    let bare = authenticate(&json!({"sub": "bot-1", "exp": NOW})).unwrap();
    assert_eq!(bare.subject(), "bot-1");
    assert_eq!(bare.symbols(), &crate::signal::SymbolFilter::All);
    assert_eq!(bare.credential.issued, 0);
    assert!(Scope::ALL.into_iter().all(|scope| !bare.has(scope)));
    assert_eq!(bare.expires_at(), at(NOW + 30));
}

#[test]
fn the_claims_become_the_principal() {
    let full = authenticate(&json!({
        "sub": "bot-1", "exp": NOW + 60, "nbf": NOW, "iat": NOW, "jti": "t-1",
        "iss": "somebody", "aud": ["anybody"], "scope": "signals:read other admin",
        "symbols": ["BTC*"], "unknown": {"a": [1]},
    }))
    .unwrap();
    assert_eq!(full.credential.name, Name::of_jti("t-1"));
    assert_eq!(full.credential.issued, NOW);
    assert_eq!(full.scopes().to_string(), "signals:read admin");
    assert!(full.has(Scope::Admin) && !full.has(Scope::SignalsTest));
    assert!(full.symbols().matches("BTCUSDT") && !full.symbols().matches("ETHUSDT"));
    assert_eq!(full.expires_at(), at(NOW + 90));
    let none = authenticate(&with("symbols", json!([]))).unwrap();
    assert!(!none.symbols().matches("BTCUSDT"));
}

#[test]
fn times_hold_to_the_second_with_the_leeway_on_both_sides() {
    let expired = Err(InvalidToken::Expired);
    let not_yet = Err(InvalidToken::NotYetValid);
    let future = Err(InvalidToken::IssuedInFuture);
    let max = SystemTime::UNIX_EPOCH + Duration::from_secs(crate::auth::claims::LATEST);
    for (name, seconds, leeway, expected) in [
        ("exp", NOW + 1, 0, Ok(at(NOW + 1))),
        ("exp", NOW, 0, expired.clone()),
        ("exp", NOW - 1, 0, expired.clone()),
        ("exp", NOW - 29, 30, Ok(at(NOW + 1))),
        ("exp", NOW - 30, 30, expired.clone()),
        ("exp", 0, 30, expired),
        ("exp", crate::auth::claims::LATEST, 0, Ok(max)),
        ("nbf", NOW, 0, Ok(at(NOW + 60))),
        ("nbf", NOW + 1, 0, not_yet.clone()),
        ("nbf", NOW + 30, 30, Ok(at(NOW + 90))),
        ("nbf", NOW + 31, 30, not_yet),
        ("iat", NOW, 0, Ok(at(NOW + 60))),
        ("iat", NOW + 1, 0, future.clone()),
        ("iat", NOW + 30, 30, Ok(at(NOW + 90))),
        ("iat", NOW + 31, 30, future),
        ("iat", 0, 0, Ok(at(NOW + 60))),
    ] {
        let leeway = Duration::from_secs(leeway);
        let rules = JwtRules { leeway, ..rules() };
        let server = Authenticator::new(keys(&[("k", SECRET)]), TokenBook::default(), rules);
        let token = Token::new(token(&with(name, json!(seconds))));
        let found = server.authenticate(&token, at(NOW));
        assert_eq!(
            found.map(|who| who.expires_at()),
            expected,
            "{name} {seconds}"
        );
    }
    let almost = at(NOW + 90) - Duration::from_nanos(1);
    let server = Authenticator::new(keys(&[("k", SECRET)]), TokenBook::default(), rules());
    let token = Token::new(token(&claims()));
    assert!(server.authenticate(&token, almost).is_ok());
    assert!(server.authenticate(&token, at(NOW + 90)).is_err());
}

#[test]
fn issuer_and_audience_count_when_they_are_configured() {
    let issuer = Err(InvalidToken::Issuer);
    let audience = Err(InvalidToken::Audience);
    for (ours, name, value, expected) in [
        (None, "iss", Some(json!("them")), Ok(())),
        (Some("us"), "iss", Some(json!("us")), Ok(())),
        (Some("us"), "iss", Some(json!("them")), issuer.clone()),
        (Some("us"), "iss", Some(json!("US")), issuer.clone()),
        (Some("us"), "iss", None, issuer),
        (None, "aud", Some(json!("them")), Ok(())),
        (None, "aud", Some(json!(["them"])), Ok(())),
        (None, "aud", Some(json!([])), Ok(())),
        (Some("us"), "aud", Some(json!("us")), Ok(())),
        (Some("us"), "aud", Some(json!(["them", "us"])), Ok(())),
        (Some("us"), "aud", Some(json!("them us")), audience.clone()),
        (Some("us"), "aud", Some(json!(["them"])), audience.clone()),
        (Some("us"), "aud", Some(json!([])), audience.clone()),
        (Some("us"), "aud", None, audience),
    ] {
        let mut rules = rules();
        let ours = ours.map(str::to_owned);
        match name {
            "iss" => rules.issuer = ours,
            _ => rules.audience = ours,
        }
        let server = Authenticator::new(keys(&[("k", SECRET)]), TokenBook::default(), rules);
        let claims = value.clone().map_or_else(claims, |value| with(name, value));
        let found = server.authenticate(&Token::new(token(&claims)), at(NOW));
        assert_eq!(found.map(drop), expected, "{name} {value:?}");
    }
}

#[test]
fn claims_that_are_read_two_ways_are_refused() {
    let header = r#"{"alg":"HS256"}"#;
    for claims in [
        r#"{"sub":"a","sub":"b","exp":1800000060}"#,
        r#"{"sub":"a","exp":1,"exp":1800000060}"#,
        r#"{"sub":"a","exp":1800000060,"x":{"y":1,"y":2}}"#,
        r#"{"sub":"a","exp":1800000060} {}"#,
        r#"["sub","exp"]"#,
        r#""a.b.c""#,
        "",
    ] {
        let token = crate::auth::testing::sign_with_secret(header, claims, SECRET);
        assert_eq!(
            with_key(SECRET, &token).unwrap_err().to_string(),
            "the claims are not a JSON object, or a key occurs twice",
            "{claims}"
        );
    }
}

#[test]
fn a_refusal_tells_nothing_of_the_token_and_nothing_of_its_claims_before_the_signature() {
    let stranger = b"another secret, as long as needed";
    let expired = with("exp", json!(1));
    assert_eq!(
        with_key(stranger, &token(&expired)),
        Err(InvalidToken::Signature)
    );
    let refused = authenticate(&with("sub", json!(["hush"]))).unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains("hush"));
}

const BOOK: &str = r#"
    [[tokens]]
    sha256 = "SHA"
    sub = "bot-1"
    scope = "signals:read"
    symbols = ["BTC*"]
    created = 2027-01-15T07:00:00Z
    expires = 2027-01-15T08:00:00Z
"#;

/// A server that knows [`SECRET`], and opaque tokens and revocations of this text.
fn with_book(text: &str) -> Authenticator {
    let sha = crate::auth::digest::Digest::of("sgc_one").to_string();
    let entries = toml::from_str(&text.replace("SHA", &sha)).unwrap();
    Authenticator::new(keys(&[("k", SECRET)]), TokenBook::of(&entries), rules())
}

#[test]
fn an_opaque_token_becomes_the_principal_it_stands_for_until_it_expires() {
    let server = with_book(BOOK);
    let one = Token::new("sgc_one");
    assert_eq!(server.book().find(&one).unwrap().1.expires, NOW);
    let who = server.authenticate(&one, at(NOW)).unwrap();
    assert_eq!((who.subject(), who.expires_at()), ("bot-1", at(NOW + 30)));
    assert!(who.has(Scope::SignalsRead) && !who.has(Scope::SignalsTest));
    assert_eq!(who.symbols().to_string(), "BTC*");
    let expired = server.authenticate(&one, at(NOW + 30));
    assert_eq!(expired, Err(InvalidToken::Expired));
    for other in ["sgc_", "sgc_two", "sgc_one "] {
        let found = server.authenticate(&Token::new(other), at(NOW));
        assert_eq!(found, Err(InvalidToken::Unknown), "{other}");
    }
}

#[test]
fn a_revocation_concerns_what_it_names_and_nothing_else() {
    let named = with("jti", json!("t-1"));
    let dated = |iat: u64| token(&with("iat", json!(iat)));
    let (named, bare) = (token(&named), token(&claims()));
    let (signed, _) = bare.rsplit_once('.').unwrap();
    let digest = crate::auth::digest::Digest::of(signed).to_string();
    // 08:00:00 is NOW.
    let at_now = "at = 2027-01-15T08:00:00Z";
    let opaque = "sgc_one";
    for (revocation, revoked, good) in [
        ("jti = \"t-1\"", vec![&*named], vec![&*bare, opaque]),
        ("jti = \"\"", vec![], vec![&*named, &*bare, opaque]),
        (
            &format!("sha256 = \"{digest}\""),
            vec![&*bare],
            vec![&*named, opaque],
        ),
        ("sha256 = \"SHA\"", vec![opaque], vec![&*named, &*bare]),
        (
            "sub = \"bot-1\"",
            vec![&*named, &*bare, opaque, &dated(NOW - 60), &dated(NOW)],
            vec![&*dated(NOW + 1)],
        ),
        ("sub = \"bot-10\"", vec![], vec![&*named, &*bare, opaque]),
    ] {
        let before = with_book(BOOK);
        let server = with_book(&format!("{BOOK}\n[[revoked]]\n{revocation}\n{at_now}"));
        let outcome = |text: &str| {
            let who = before.authenticate(&Token::new(text), at(NOW)).unwrap();
            let stays = server.still_admits(&who);
            let comes = server.authenticate(&Token::new(text), at(NOW)).map(drop);
            (stays, comes)
        };
        let no = (Err(Withdrawn::Revoked), Err(InvalidToken::Revoked));
        for text in revoked {
            assert_eq!(outcome(text), no, "{revocation}");
        }
        for text in good {
            assert_eq!(outcome(text), (Ok(()), Ok(())), "{revocation}");
        }
    }
}

#[test]
fn what_a_token_was_let_in_for_must_still_hold() {
    let before = with_book(BOOK);
    let jwt = before
        .authenticate(&Token::new(token(&claims())), at(NOW))
        .unwrap();
    let opaque = before
        .authenticate(&Token::new("sgc_one"), at(NOW))
        .unwrap();
    assert_eq!(with_book("").still_admits(&jwt), Ok(()));
    assert_eq!(with_book("").still_admits(&opaque), Err(Withdrawn::Revoked));
    let reissued = BOOK.replace("created = 2027-01-15T07", "created = 2027-01-15T06");
    for (from, to) in [
        ("\"signals:read\"", "\"signals:read admin\""),
        ("\"bot-1\"", "\"bot-2\""),
        ("BTC*", "ETH*"),
        ("08:00:00Z", "09:00:00Z"),
    ] {
        let changed = with_book(&BOOK.replace(from, to));
        assert_eq!(
            changed.still_admits(&opaque),
            Err(Withdrawn::Changed),
            "{to}"
        );
    }
    assert_eq!(
        with_book(&reissued).still_admits(&opaque),
        Err(Withdrawn::Changed)
    );

    let stranger = b"another secret, as long as needed";
    let of = |list: &[(&str, &[u8])]| {
        Authenticator::new(keys(list), TokenBook::default(), rules()).still_admits(&jwt)
    };
    assert_eq!(of(&[("k", stranger)]), Err(Withdrawn::KeyGone));
    // Under another name, and beside others.
    assert_eq!(of(&[("new", stranger), ("old", SECRET)]), Ok(()));
}

#[test]
fn a_key_is_the_same_in_each_of_its_forms() {
    use crate::auth::testing::{ED25519, P256, P384, RSA, token_by};
    use jsonwebtoken::Algorithm::*;
    let of = |pem: &str| {
        Authenticator::new(
            keys(&[("k", pem.as_bytes())]),
            TokenBook::default(),
            rules(),
        )
    };
    let pairs = [
        (&RSA, RS256),
        (&P256, ES256),
        (&P384, ES384),
        (&ED25519, EdDSA),
    ];
    for (n, (pair, alg)) in pairs.iter().enumerate() {
        let token = Token::new(token_by(pair, *alg));
        for from in [&pair.private, &pair.public] {
            let who = of(from).authenticate(&token, at(NOW)).unwrap();
            for to in [&pair.private, &pair.public] {
                assert_eq!(of(to).still_admits(&who), Ok(()), "{alg:?}");
            }
            let (other, _) = pairs[(n + 1) % pairs.len()];
            assert_eq!(
                of(&other.public).still_admits(&who),
                Err(Withdrawn::KeyGone)
            );
        }
    }
}
