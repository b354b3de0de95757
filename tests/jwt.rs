//! Which tokens let a client in: every kind of key, and the attacks of RFC 8725.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::jwt::{base64url, claims, now, sign, sign_with_secret, token, with, without};
use common::{Folder, TestServer, upgrade_request};
use jsonwebtoken::Algorithm::{self, *};
use jsonwebtoken::EncodingKey;
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use serde_json::{Value, json};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const STRANGER: &str = "another secret, as long as needed";

const WELCOME: &str = "welcome";
const SIGNATURE: &str = "the signature does not match";
const NOT_THREE: &str = "the token has not the three parts of a JWT";
const NOT_BASE64: &str = "a part of the token is not base64url";
const ENCRYPTED: &str = "the token is encrypted; this server takes signed ones";
const HEADER: &str = "the header is not a JSON object, or a key occurs twice";
const CLAIMS: &str = "the claims are not a JSON object, or a key occurs twice";
const CRIT: &str = "the header has crit, which this server does not understand";

/// A private key, and its public half as PEM.
struct Pair {
    signing: EncodingKey,
    public: String,
}

impl Pair {
    fn rsa() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let private = pem("PRIVATE KEY", private.as_ref());
        let signing = EncodingKey::from_rsa_pem(private.as_bytes()).unwrap();
        let public = pem("PUBLIC KEY", pair.public_key().as_der().unwrap().as_ref());
        Self { signing, public }
    }

    fn of(kind: &'static rcgen::SignatureAlgorithm) -> Self {
        let pair = rcgen::KeyPair::generate_for(kind).unwrap();
        let private = pair.serialize_pem();
        let signing = if kind == &PKCS_ED25519 {
            EncodingKey::from_ed_pem(private.as_bytes())
        } else {
            EncodingKey::from_ec_pem(private.as_bytes())
        };
        Self {
            signing: signing.unwrap(),
            public: pair.public_key_pem(),
        }
    }

    /// Good claims under any header, signed for real.
    fn token(&self, header: &Value, alg: Algorithm) -> String {
        sign(
            &header.to_string(),
            &claims().to_string(),
            alg,
            &self.signing,
        )
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(64)
        .map(|line| str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

/// A server that trusts these key files, by name and content, and says no bad token is one too
/// many.
fn server(keys: &[(&str, &str)], arguments: &str) -> TestServer {
    let folder = Arc::new(Folder::new());
    let mut all = format!("--plaintext --auth-failed-tries-per-minute 0 {arguments}");
    for (name, content) in keys {
        write_key(&folder, name, content);
        all += &format!(" --jwt-key {name}");
    }
    TestServer::start_in(folder, &all)
}

fn write_key(folder: &Folder, name: &str, content: &str) {
    fs::write(folder.path(name), content).unwrap();
    fs::set_permissions(folder.path(name), Permissions::from_mode(0o600)).unwrap();
}

/// What the server says to a token: [`WELCOME`], or why it is refused.
async fn verdict(server: &TestServer, token: &str) -> String {
    let request = upgrade_request("/", &format!("Authorization: Bearer {token}\r\n"));
    let (_stream, answer) = server.open(request.as_bytes()).await;
    if answer.status == 101 {
        return WELCOME.to_owned();
    }
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (401, "invalid_token"),
        "{answer:?}"
    );
    let challenge = answer.header("www-authenticate").unwrap();
    challenge
        .strip_prefix(r#"Bearer realm="signalcast", error="invalid_token", error_description=""#)
        .and_then(|rest| rest.strip_suffix('"'))
        .filter(|description| !description.contains(['"', '\\']) && description.is_ascii())
        .unwrap_or_else(|| panic!("not as in RFC 6750: {challenge}"))
        .to_owned()
}

/// The server's verdict on each token is the expected one. Each token is named by what it is.
async fn assert_verdicts<N: std::fmt::Display>(
    server: &TestServer,
    cases: impl IntoIterator<Item = (N, String, &str)>,
) {
    for (name, token, expected) in cases {
        assert_eq!(verdict(server, &token).await, expected, "{name}: {token}");
    }
}

#[tokio::test]
async fn every_kind_of_key_lets_its_own_tokens_in_and_nobody_elses() {
    let [rsa, p256, p384, ed25519] = [
        Pair::rsa(),
        Pair::of(&PKCS_ECDSA_P256_SHA256),
        Pair::of(&PKCS_ECDSA_P384_SHA384),
        Pair::of(&PKCS_ED25519),
    ];
    let secret = Pair {
        signing: EncodingKey::from_secret(SECRET.as_bytes()),
        public: SECRET.to_owned(),
    };
    let keys: [(&str, &Pair, &[Algorithm]); 5] = [
        ("secret", &secret, &[HS256, HS384, HS512]),
        ("rsa.pem", &rsa, &[RS256, RS384, RS512, PS256, PS384, PS512]),
        ("p256.pem", &p256, &[ES256]),
        ("p384.pem", &p384, &[ES384]),
        ("ed25519.pem", &ed25519, &[EdDSA]),
    ];
    let files = keys.map(|(name, pair, _)| (name, pair.public.as_str()));
    let all = server(&files, "");
    for file in files {
        let alone = server(&[file], "");
        for (name, pair, algorithms) in keys {
            for &alg in algorithms {
                let token = pair.token(&json!({"alg": alg}), alg);
                assert_eq!(verdict(&all, &token).await, WELCOME, "{alg:?}");
                let found = verdict(&alone, &token).await;
                let expected = if name == file.0 {
                    WELCOME.to_owned()
                } else {
                    format!("the header names alg {alg:?}, which no key of this server takes")
                };
                assert_eq!(found, expected, "{alg:?} to a server with {}", file.0);
            }
        }
    }
    // Of the same kind, but another's; and a name for the algorithm that is not the signature's.
    let stranger = EncodingKey::from_secret(STRANGER.as_bytes());
    let stranger = Pair {
        signing: stranger,
        public: String::new(),
    };
    assert_verdicts(
        &all,
        [
            (
                "another secret",
                stranger.token(&json!({"alg": "HS256"}), HS256),
                SIGNATURE,
            ),
            (
                "another RSA key",
                Pair::rsa().token(&json!({"alg": "RS256"}), RS256),
                SIGNATURE,
            ),
            (
                "another P-256 key",
                Pair::of(&PKCS_ECDSA_P256_SHA256).token(&json!({"alg": "ES256"}), ES256),
                SIGNATURE,
            ),
            (
                "another Ed25519 key",
                Pair::of(&PKCS_ED25519).token(&json!({"alg": "EdDSA"}), EdDSA),
                SIGNATURE,
            ),
            (
                "RS256 called PS256",
                rsa.token(&json!({"alg": "PS256"}), RS256),
                SIGNATURE,
            ),
            (
                "RS256 called HS256",
                rsa.token(&json!({"alg": "HS256"}), RS256),
                SIGNATURE,
            ),
            (
                "HS256 called HS512",
                secret.token(&json!({"alg": "HS512"}), HS256),
                SIGNATURE,
            ),
            (
                "HS256 called ES256",
                secret.token(&json!({"alg": "ES256"}), HS256),
                SIGNATURE,
            ),
        ],
    )
    .await;
}

/// RFC 8725, section 2.1: whoever knows the public key signs with it as if it were a secret.
#[tokio::test]
async fn a_public_key_is_nobodys_secret() {
    let [rsa, p256] = [Pair::rsa(), Pair::of(&PKCS_ECDSA_P256_SHA256)];
    for keys in [
        &[("rsa.pem", rsa.public.as_str())][..],
        &[("p256.pem", p256.public.as_str())],
        &[
            ("rsa.pem", rsa.public.as_str()),
            ("p256.pem", p256.public.as_str()),
            ("secret", SECRET),
        ],
    ] {
        let server = server(keys, "");
        let refused = match keys {
            [_, _, _] => SIGNATURE.to_owned(),
            _ => "the header names alg HS256, which no key of this server takes".to_owned(),
        };
        for known in [&rsa.public, &p256.public] {
            let body: String = known
                .lines()
                .filter(|line| !line.starts_with('-'))
                .collect();
            for secret in [
                known.clone().into_bytes(),
                known.trim_end().as_bytes().to_vec(),
                known.replace('\n', "\r\n").into_bytes(),
                body.clone().into_bytes(),
                STANDARD.decode(&body).unwrap(),
            ] {
                for header in [
                    json!({"alg": "HS256"}),
                    json!({"alg": "HS256", "kid": "rsa"}),
                ] {
                    let forged =
                        sign_with_secret(&header.to_string(), &claims().to_string(), &secret);
                    assert_eq!(verdict(&server, &forged).await, refused, "{header}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_header_asks_for_nothing_that_the_server_does_not_do() {
    let server = server(&[("jwt.key", SECRET)], "");
    let none = "the header names alg none";
    let unknown = "the header names an unknown alg";
    let kid = "the kid is not a string";
    let case = |header: &'static str, expected| {
        (
            header,
            sign_with_secret(header, &claims().to_string(), SECRET),
            expected,
        )
    };
    assert_verdicts(
        &server,
        [
            case(r#"{"alg":"HS256"}"#, WELCOME),
            case(r#"{"typ":"JWT","alg":"HS256","cty":"JWT"}"#, WELCOME),
            case(r#"{"alg":"HS256","typ":"at+jwt"}"#, WELCOME),
            // Signed well, and still: the name decides what would be checked elsewhere.
            case(r#"{"alg":"none"}"#, none),
            case(r#"{"alg":"None"}"#, none),
            case(r#"{"alg":"NONE"}"#, none),
            case(r#"{"alg":"nOnE"}"#, none),
            case(r#"{"alg":" none"}"#, unknown),
            case(r#"{"alg":"hs256"}"#, unknown),
            case(r#"{"alg":""}"#, unknown),
            case(r#"{"alg":"HS1"}"#, unknown),
            case(r#"{"alg":"ES256K"}"#, unknown),
            case(r#"{"alg":["HS256"]}"#, "the alg is not a string"),
            case(r#"{"alg":null}"#, "the alg is not a string"),
            case(r#"{"alg":256}"#, "the alg is not a string"),
            case(r#"{"typ":"JWT"}"#, "the header names no alg"),
            case(r#"{"ALG":"HS256"}"#, "the header names no alg"),
            case(r#"{"alg":"none","alg":"HS256"}"#, HEADER),
            case(r#"{"alg":"HS256","\u0061lg":"none"}"#, HEADER),
            case(r#"["HS256"]"#, HEADER),
            case(r#""HS256""#, HEADER),
            case("null", HEADER),
            case("", HEADER),
            case(r#"{"alg":"HS256"} "#, WELCOME),
            case(r#"{"alg":"HS256"}x"#, HEADER),
            case(r#"{"alg":"HS256","crit":["exp"]}"#, CRIT),
            case(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, CRIT),
            case(r#"{"alg":"HS256","crit":[]}"#, CRIT),
            case(r#"{"alg":"HS256","crit":null}"#, CRIT),
            case(r#"{"alg":"HS256","enc":"A256GCM"}"#, ENCRYPTED),
            case(r#"{"alg":"dir","enc":"A256GCM"}"#, ENCRYPTED),
            case(
                r#"{"alg":"PBES2-HS256+A128KW","p2c":2147483647,"enc":"A128GCM"}"#,
                ENCRYPTED,
            ),
            case(r#"{"alg":"HS256","kid":"jwt"}"#, WELCOME),
            case(r#"{"alg":"HS256","kid":""}"#, WELCOME),
            case(r#"{"alg":"HS256","kid":"somebody else's"}"#, WELCOME),
            case(r#"{"alg":"HS256","kid":7}"#, kid),
            case(r#"{"alg":"HS256","kid":null}"#, kid),
            case(r#"{"alg":"HS256","kid":["jwt"]}"#, kid),
        ],
    )
    .await;
}

/// Tokens by somebody who knows no key of ours, and says in the header where to find his.
#[tokio::test]
async fn a_stranger_cannot_say_which_key_to_use() {
    let p256 = Pair::of(&PKCS_ECDSA_P256_SHA256);
    let server = server(&[("jwt.key", SECRET), ("idp.pem", &p256.public)], "");
    let attacker = rcgen::KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let (x, y) = attacker.public_key_raw()[1..].split_at(32);
    let signing = EncodingKey::from_ec_pem(attacker.serialize_pem().as_bytes()).unwrap();
    let jwk =
        json!({"kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y), "kid": "idp"});
    let certificate = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = STANDARD.encode(certificate.self_signed(&attacker).unwrap().der());
    let url = format!("http://{}/keys", server.address);
    for header in [
        json!({"alg": "ES256", "jwk": jwk}),
        json!({"alg": "ES256", "jwk": jwk, "kid": "idp"}),
        json!({"alg": "ES256", "jku": url}),
        json!({"alg": "ES256", "x5u": url}),
        json!({"alg": "ES256", "x5c": [certificate]}),
        json!({"alg": "ES256", "x5c": [certificate], "x5t": "AAAA", "x5t#S256": "AAAA"}),
    ] {
        let forged = sign(&header.to_string(), &claims().to_string(), ES256, &signing);
        assert_eq!(verdict(&server, &forged).await, SIGNATURE, "{header}");
    }
    let secret = json!({"kty": "oct", "k": base64url(STRANGER)});
    for header in [
        json!({"alg": "HS256", "jwk": secret}),
        json!({"alg": "HS256", "jku": url}),
    ] {
        let forged = sign_with_secret(&header.to_string(), &claims().to_string(), STRANGER);
        assert_eq!(verdict(&server, &forged).await, SIGNATURE, "{header}");
    }
    // A kid is no path, no query and no command: what the attacker knows the content of, such as
    // an empty file, is no key.
    for kid in [
        "/dev/null",
        "../../../../dev/null",
        "file:///dev/null",
        "idp.pem",
        "./idp.pem",
        "certs/../idp",
        "idp\u{0}",
        "x' UNION SELECT '' --",
        "jwt.key; true",
        "$(true)",
    ] {
        for secret in ["", "\0", p256.public.as_str()] {
            let header = json!({"alg": "HS256", "kid": kid}).to_string();
            let forged = sign_with_secret(&header, &claims().to_string(), secret);
            assert_eq!(verdict(&server, &forged).await, SIGNATURE, "{kid}");
        }
    }
}

#[tokio::test]
async fn a_token_is_three_parts_and_its_signature_is_one_of_them() {
    let p256 = Pair::of(&PKCS_ECDSA_P256_SHA256);
    let server = server(&[("jwt.key", SECRET), ("idp.pem", &p256.public)], "");
    let good = token(&claims(), SECRET);
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!("three parts")
    };
    let none = base64url(r#"{"alg":"none"}"#);
    let other = base64url(with("sub", "bot-2").to_string());
    let by_p256 = p256.token(&json!({"alg": "ES256"}), ES256);
    let (signed_by_p256, _) = by_p256.rsplit_once('.').unwrap();
    assert_verdicts(
        &server,
        [
            ("as it is", good.clone(), WELCOME),
            ("as it is", by_p256.clone(), WELCOME),
            ("no parts", "opaque".to_owned(), NOT_THREE),
            (
                "the signature stripped",
                format!("{header}.{payload}"),
                NOT_THREE,
            ),
            (
                "an empty signature",
                format!("{header}.{payload}."),
                "the token has no signature",
            ),
            (
                "alg none, empty signature",
                format!("{none}.{payload}."),
                "the header names alg none",
            ),
            ("alg none, stripped", format!("{none}.{payload}"), NOT_THREE),
            (
                "alg none, another's signature",
                format!("{none}.{payload}.{signature}"),
                "the header names alg none",
            ),
            ("four parts", format!("{good}.{signature}"), NOT_THREE),
            (
                "five parts: encrypted",
                format!("{header}..{payload}.{signature}.{signature}"),
                ENCRYPTED,
            ),
            ("six parts", format!("{good}.a.b.c"), NOT_THREE),
            (
                "another payload",
                format!("{header}.{other}.{signature}"),
                SIGNATURE,
            ),
            ("no payload", format!("{header}..{signature}"), SIGNATURE),
            (
                "a cut signature",
                format!("{header}.{payload}.{}", &signature[..40]),
                SIGNATURE,
            ),
            (
                "a longer signature",
                format!("{header}.{payload}.{signature}AAAA"),
                SIGNATURE,
            ),
            ("padding", format!("{good}="), NOT_BASE64),
            (
                "zeros, CVE-2022-21449",
                format!("{signed_by_p256}.{}", base64url([0; 64])),
                SIGNATURE,
            ),
            (
                "an empty signature",
                format!("{signed_by_p256}."),
                "the token has no signature",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn claims_are_of_their_types_and_within_their_times() {
    let server = server(&[("jwt.key", SECRET)], "");
    let now = now();
    let time = |name: &str| format!("the claim {name} is not a whole number of seconds since 1970");
    let (exp, nbf, iat) = (time("exp"), time("nbf"), time("iat"));
    let expired = "the token has expired";
    let not_yet = "the token is not valid yet: nbf is in the future";
    let future = "the token was issued in the future: iat is ahead of the server's clock";
    let strings = "the claim symbols is not a list of strings";
    let audience = "the claim aud is neither a string nor a list of strings";
    let soon = now as f64 + 3600.5;
    // This machine may be slow: what is still good must be good for a while.
    for (claims, expected) in [
        (claims(), WELCOME),
        (
            json!({"sub": "bot-1", "exp": now + 60, "scope": "signals:read"}),
            WELCOME,
        ),
        (without("exp"), "the claim exp is missing"),
        (with("exp", json!(null)), &exp),
        (with("exp", (now + 3600).to_string()), &exp),
        (with("exp", json!(soon)), &exp),
        (with("exp", json!((now + 3600) as f64)), &exp),
        (with("exp", json!(1e300)), &exp),
        (with("exp", true), &exp),
        (with("exp", -1), &exp),
        (with("exp", json!([now + 3600])), &exp),
        (
            with("exp", (now + 3600) * 1000),
            "the claim exp is too far in the future; it counts seconds",
        ),
        (
            with("exp", u64::MAX),
            "the claim exp is too far in the future; it counts seconds",
        ),
        (with("exp", 0), expired),
        (with("exp", now - 31), expired),
        (with("exp", now - 30), expired),
        (with("exp", now - 5), WELCOME),
        (with("nbf", now - 5), WELCOME),
        (with("nbf", now + 30), WELCOME),
        (with("nbf", now + 120), not_yet),
        (with("nbf", "0"), &nbf),
        (with("nbf", json!(0.5)), &nbf),
        (with("nbf", json!(null)), &nbf),
        (with("iat", 0), WELCOME),
        (with("iat", now + 30), WELCOME),
        (with("iat", now + 120), future),
        (with("iat", "0"), &iat),
        (with("iat", json!(0.5)), &iat),
        (without("sub"), "the claim sub is missing"),
        (with("sub", ""), "the claim sub is empty"),
        (with("sub", 7), "the claim sub is not a string"),
        (with("sub", json!(null)), "the claim sub is not a string"),
        (
            with("sub", json!(["bot-1"])),
            "the claim sub is not a string",
        ),
        (with("jti", 7), "the claim jti is not a string"),
        (with("iss", json!(["us"])), "the claim iss is not a string"),
        (
            with("scope", json!(["signals:read"])),
            "the claim scope is not a string",
        ),
        (
            with("scope", json!(null)),
            "the claim scope is not a string",
        ),
        (with("symbols", "BTC*"), strings),
        (with("symbols", json!(["BTC*", 7])), strings),
        (with("symbols", json!(null)), strings),
        (with("symbols", json!([])), WELCOME),
        // No audience is configured, so that any will do.
        (with("aud", "somebody"), WELCOME),
        (with("aud", json!(["somebody", "else"])), WELCOME),
        (with("aud", 7), audience),
        (with("aud", json!(["us", 7])), audience),
        (with("iss", "somebody"), WELCOME),
        (with("cnf", json!({"jkt": "x"})), WELCOME),
        (json!([claims()]), CLAIMS),
        (json!("sub"), CLAIMS),
    ] {
        assert_eq!(
            verdict(&server, &token(&claims, SECRET)).await,
            expected,
            "{claims}"
        );
    }
    let end = now + 3600;
    for claims in [
        format!(r#"{{"sub":"a","sub":"b","exp":{end},"scope":"signals:read"}}"#),
        format!(r#"{{"sub":"a","exp":1,"exp":{end},"scope":"signals:read"}}"#),
        format!(r#"{{"sub":"a","exp":{end},"\u0065xp":{end},"scope":"signals:read"}}"#),
        format!(r#"{{"sub":"a","exp":{end},"scope":"","scope":"signals:read"}}"#),
        format!(r#"{{"sub":"a","exp":{end},"scope":"signals:read","x":[{{"y":1,"y":2}}]}}"#),
        format!(r#"{{"sub":"a","exp":{end},"scope":"signals:read"}} {{}}"#),
        format!(r#"{{"sub":"a","exp":{end},"scope":"signals:read","x":NaN}}"#),
        String::new(),
    ] {
        let token = sign_with_secret(r#"{"alg":"HS256"}"#, &claims, SECRET);
        assert_eq!(verdict(&server, &token).await, CLAIMS, "{claims}");
    }
}

#[tokio::test]
async fn issuer_audience_and_leeway_are_what_is_configured() {
    let server = server(
        &[("jwt.key", SECRET)],
        "--auth-issuer us --auth-audience bots --auth-leeway 0s",
    );
    let issuer = "the claim iss is not the issuer this server trusts";
    let audience = "the claim aud does not name this server";
    let good = || {
        let mut claims = claims();
        claims["iss"] = "us".into();
        claims["aud"] = "bots".into();
        claims
    };
    let with = |name: &str, value: Value| {
        let mut claims = good();
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = good();
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    for (claims, expected) in [
        (good(), WELCOME),
        (without("iss"), issuer),
        (with("iss", json!("them")), issuer),
        (with("iss", json!("")), issuer),
        (with("iss", json!("US")), issuer),
        (with("iss", json!("us ")), issuer),
        (without("aud"), audience),
        (with("aud", json!("them")), audience),
        (with("aud", json!("bots them")), audience),
        (with("aud", json!([])), audience),
        (with("aud", json!(["them"])), audience),
        (with("aud", json!(["them", "bots"])), WELCOME),
        (with("exp", json!(now())), "the token has expired"),
        (with("exp", json!(now() + 60)), WELCOME),
        (with("nbf", json!(now())), WELCOME),
        (
            with("nbf", json!(now() + 60)),
            "the token is not valid yet: nbf is in the future",
        ),
        (
            with("iat", json!(now() + 60)),
            "the token was issued in the future: iat is ahead of the server's clock",
        ),
    ] {
        assert_eq!(
            verdict(&server, &token(&claims, SECRET)).await,
            expected,
            "{claims}"
        );
    }
    // Its own tokens fit its own rules.
    let own = server
        .folder
        .token("--sub bot-1 --jwt-key jwt.key --auth-issuer us --auth-audience bots");
    assert_eq!(verdict(&server, &own).await, WELCOME);
}

#[test]
fn a_key_that_is_too_short_keeps_the_server_from_starting() {
    let folder = Folder::new();
    for (content, size) in [
        ("s", 1),
        ("s\n", 1),
        ("", 0),
        ("0123456789abcdef0123456789abcde\n", 31),
    ] {
        write_key(&folder, "short.key", content);
        let output = folder
            .run("serve --listen 127.0.0.1:0 --source stdin --exit-on-eof --jwt-key short.key");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), output.stdout.as_slice()),
            (Some(2), &b""[..]),
            "{said}"
        );
        assert_eq!(
            said.lines()
                .filter(|line| line.starts_with("signalcast: "))
                .collect::<Vec<_>>(),
            [format!(
                "signalcast: --jwt-key: short.key: the secret is too short ({size} of at least 32 bytes); \
                 make a longer one with openssl rand -hex 32 > short.key"
            )]
        );
    }
}

/// Good and bad tokens, wherever a client may put one.
#[tokio::test]
async fn no_answer_and_no_log_holds_a_token_or_a_part_of_one() {
    let folder = Arc::new(Folder::new());
    write_key(&folder, "jwt.key", SECRET);
    let opaque = folder.token("--opaque --sub bot-1");
    let server = TestServer::start_in(Arc::clone(&folder), "--log trace --jwt-key jwt.key");
    let mut padded = claims();
    padded["padding"] = "x1y2".repeat(1000).into();
    let tokens = [
        token(&claims(), SECRET),
        token(&padded, SECRET),
        token(&without("scope"), SECRET),
        token(&with("exp", 1), SECRET),
        token(&with("nbf", now() + 600), SECRET),
        token(&with("sub", json!(["hushhushhush"])), SECRET),
        token(&with("scope", "hushhushhush"), SECRET),
        token(&claims(), STRANGER),
        sign_with_secret(r#"{"alg":"none"}"#, &claims().to_string(), SECRET),
        sign_with_secret(
            r#"{"alg":"HS256","crit":["x"]}"#,
            &claims().to_string(),
            SECRET,
        ),
        format!(
            "{}.{}",
            token(&claims(), SECRET),
            "QUJDREVGR0hJSktMTU5PUA.QUJDREVGR0hJSktMTU5PUA"
        ),
        "opaqueopaqueopaqueopaque".to_owned(),
        opaque.replace("sgc_", "sgc_x"),
        opaque,
    ];
    let mut pieces = Vec::new();
    for token in &tokens {
        for request in [
            upgrade_request("/", &format!("Authorization: Bearer {token}\r\n")),
            upgrade_request("/ws", &format!("Authorization: bearer  {token} \r\n")),
            upgrade_request("/", &format!("Authorization: Bearer {token}\r\n").repeat(2)),
            upgrade_request("/", &format!("Authorization: Basic {token}\r\n")),
            upgrade_request("/", &format!("Authorization: {token}\r\n")),
            upgrade_request("/", &format!("Authorization: Bearer {token}\x01\r\n")),
            upgrade_request(
                "/",
                &format!(
                    "Authorization: Bearer {token}\r\nX-More: {}\r\n",
                    "x".repeat(17_000)
                ),
            ),
            upgrade_request(
                "/",
                &format!(
                    "Authorization: Bearer {token}\r\nX-More: {}\r\n",
                    "x".repeat(70_000)
                ),
            ),
            upgrade_request("/", &format!("Cookie: token={token}\r\n")),
            upgrade_request(&format!("/?token={token}"), ""),
            upgrade_request(&format!("/?ticket={token}"), ""),
            upgrade_request(&format!("/{token}"), ""),
            upgrade_request("/other", &format!("Authorization: Bearer {token}\r\n")),
            upgrade_request(
                "/",
                &format!(
                    "Sec-WebSocket-Protocol: signalcast.v1, base64url.bearer.authorization.signalcast.{}\r\n",
                    base64url(token)
                ),
            ),
            upgrade_request("/", &format!("Sec-WebSocket-Key: {token}\r\n")),
            format!("Bearer {token}\r\n\r\n"),
            format!("{token} / HTTP/1.1\r\n\r\n"),
        ] {
            let (_stream, answer) = server.open(request.as_bytes()).await;
            let answer = format!("{answer:?}");
            assert!(
                secret_pieces(token)
                    .iter()
                    .all(|piece| !answer.contains(piece)),
                "{answer}"
            );
        }
        // What a client says later is no business of the log's either.
        if let Ok(mut client) = server.client_at("/", token).await {
            client
                .send(&format!(r#"{{"type":"auth","token":"{token}"}}"#))
                .await;
            assert!(!client.text().await.contains(token));
        }
        pieces.extend(secret_pieces(token));
        pieces.extend(secret_pieces(&base64url(token)));
    }
    let log = server.stop();
    assert!(
        log.contains("token refused") && log.contains("subscribed"),
        "{log}"
    );
    pieces.extend([SECRET.to_owned(), "hushhushhush".to_owned()]);
    for piece in pieces {
        assert!(!log.contains(&piece), "{piece} is in the log:\n{log}");
    }
}

/// All that would give a token away: its payload and its signature, or 12 characters of them in a
/// row. Its header is no secret.
fn secret_pieces(token: &str) -> Vec<String> {
    let secret = token.split_once('.').map_or(token, |(_, secret)| secret);
    let parts = secret.split('.').map(str::as_bytes);
    parts
        .flat_map(|part| part.windows(12))
        .map(|piece| String::from_utf8(piece.to_vec()).unwrap())
        .collect()
}
