use std::num::NonZeroU64;

use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    ParsedPublicKey, RsaKeyPair, RsaParameters,
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use rustls::pki_types::pem::{PemObject as _, SectionKind};

use super::digest::Digest;

/// Which key, in a few bytes: the same for a private key and its public half, and for a copy of
/// either in another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct KeyId(NonZeroU64);

impl KeyId {
    /// `key`: the secret or the public key, in one form for each kind.
    fn of(kind: Kind, key: &[u8]) -> Self {
        let kind = format!("{kind:?}:");
        let digest = Digest::of([kind.as_bytes(), key].concat());
        Self(NonZeroU64::new(digest.first_8()).unwrap_or(NonZeroU64::MIN))
    }
}

/// One key, and the algorithms it is good for: they follow from the key, never from a token.
#[derive(Clone, Debug)]
pub(super) struct Key {
    id: KeyId,
    kind: Kind,
    /// The one algorithm it is meant for, if its owner said so.
    only: Option<Algorithm>,
    verifying: DecodingKey,
    signing: Option<EncodingKey>,
}

/// The same key: what verifies is the same, and both sign or neither does.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let (Ok(ours), Ok(theirs)) = (
            self.verifying.try_get_as_bytes(),
            other.verifying.try_get_as_bytes(),
        ) else {
            return false;
        };
        self.kind == other.kind
            && self.only == other.only
            && ours == theirs
            && self.signing.is_some() == other.signing.is_some()
    }
}

/// Why the bytes of a file are no key, and what to do about it. `FILE` stands for its name.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) reason: String,
    pub(super) remedy: &'static str,
}

impl Key {
    /// A PEM key, or else a secret: the bytes without one line end. What may be known to others
    /// (a public key, a certificate) is never taken for a secret, in no encoding: whoever knows
    /// it could sign with it (RFC 8725, section 2.1).
    pub(super) fn parse(file: &[u8]) -> Result<Self, Problem> {
        // Some editors and shells write UTF-16: a zero byte beside each letter.
        let letters: Vec<u8> = file.iter().copied().filter(|byte| *byte != 0).collect();
        if memchr::memmem::find(&letters, b"-----BEGIN").is_some() {
            return Self::from_pem(file);
        }
        let looks_public = file.starts_with(b"ssh-")
            || file.starts_with(b"ecdsa-sha2-")
            || is_jwk(file)
            || is_der(file);
        if looks_public {
            return Err(problem("is no secret but a key in another format", TO_PEM));
        }
        Self::from_secret(without_line_end(file))
    }

    /// Whether the bytes are for nobody else's eyes.
    pub(super) fn is_secret(&self) -> bool {
        self.signing.is_some()
    }

    pub(super) fn id(&self) -> KeyId {
        self.id
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn takes(&self, alg: Algorithm) -> bool {
        self.only.is_none_or(|only| only == alg) && self.kind.algorithms().contains(&alg)
    }

    /// The same key for nothing but this algorithm; `None` if it is not good for that.
    pub(super) fn only_for(self, alg: Algorithm) -> Option<Self> {
        self.takes(alg).then_some(Self {
            only: Some(alg),
            ..self
        })
    }

    /// Whether the signature, in base64url, is this key's for the text.
    pub(super) fn has_signed(&self, text: &str, signature: &str, alg: Algorithm) -> bool {
        self.takes(alg)
            && crypto::verify(signature, text.as_bytes(), &self.verifying, alg).unwrap_or(false)
    }

    /// What to sign with, if this is not only a public key: the first algorithm it is good for.
    pub(super) fn signing(&self) -> Option<(Algorithm, &EncodingKey)> {
        let signing = self.signing.as_ref()?;
        Some((*self.kind.algorithms().first()?, signing))
    }

    fn from_secret(secret: &[u8]) -> Result<Self, Problem> {
        if secret.len() < LEAST_SECRET_BYTES {
            let reason = format!(
                "the secret is too short ({} of at least {LEAST_SECRET_BYTES} bytes)",
                secret.len()
            );
            return Err(problem(
                reason,
                "make a longer one with openssl rand -hex 32 > FILE",
            ));
        }
        Ok(Self {
            id: KeyId::of(Kind::Secret, secret),
            kind: Kind::Secret,
            only: None,
            verifying: DecodingKey::from_secret(secret),
            signing: Some(EncodingKey::from_secret(secret)),
        })
    }

    fn from_pem(file: &[u8]) -> Result<Self, Problem> {
        let sections: Result<Vec<(SectionKind, Vec<u8>)>, _> =
            <(SectionKind, Vec<u8>)>::pem_slice_iter(file).collect();
        match sections.as_deref() {
            Ok([(SectionKind::PublicKey, der)]) => Self::from_public(der),
            Ok([(SectionKind::PrivateKey, der)]) => Self::from_pkcs8(der, file),
            Ok([(SectionKind::RsaPrivateKey, der)]) => Self::from_rsa_private(
                &RsaKeyPair::from_der(der).map_err(|_| problem(DAMAGED, REPLACE))?,
                file,
            ),
            Ok([(SectionKind::Certificate, _)]) => Err(problem(
                "holds a certificate, not a key",
                "take its public key out with openssl x509 -in FILE -noout -pubkey",
            )),
            Ok([_, _, ..]) => Err(problem(
                "holds several PEM blocks",
                "write each key into a file of its own and name them all",
            )),
            Ok(_) => Err(problem("holds no PEM block that is a key", TO_PEM)),
            Err(_) => Err(problem("is damaged PEM", REPLACE)),
        }
    }

    /// A DER `SubjectPublicKeyInfo`, or the bare point of an elliptic curve.
    pub(super) fn from_public(der: &[u8]) -> Result<Self, Problem> {
        let mut plain = der;
        let rsa = rsa::PublicKey::from_der(der);
        let (kind, verifying) = if let Ok(key) = &rsa {
            check_rsa_size(key.as_ref())?;
            plain = key.as_ref();
            (Kind::Rsa, DecodingKey::from_rsa_der(der))
        } else if ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, der).is_ok() {
            (Kind::P256, DecodingKey::from_ec_der(der))
        } else if ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, der).is_ok() {
            (Kind::P384, DecodingKey::from_ec_der(der))
        } else if ParsedPublicKey::new(&ED25519, der).is_ok() {
            (Kind::Ed25519, DecodingKey::from_ed_der(der))
        } else {
            return Err(problem(NOT_SUPPORTED, USE_ANOTHER));
        };
        Ok(Self {
            id: KeyId::of(kind, kind.last_bytes(plain)),
            kind,
            only: None,
            verifying,
            signing: None,
        })
    }

    fn from_pkcs8(der: &[u8], file: &[u8]) -> Result<Self, Problem> {
        if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
            return Self::from_rsa_private(&pair, file);
        }
        let p256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der);
        let p384 = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, der);
        let id = |kind: Kind, public: &[u8]| KeyId::of(kind, kind.last_bytes(public));
        let (id, kind, verifying, signing) = if let Ok(pair) = p256 {
            let (kind, public) = (Kind::P256, pair.public_key().as_ref());
            let verifying = DecodingKey::from_ec_der(public);
            (
                id(kind, public),
                kind,
                verifying,
                EncodingKey::from_ec_der(der),
            )
        } else if let Ok(pair) = p384 {
            let (kind, public) = (Kind::P384, pair.public_key().as_ref());
            let verifying = DecodingKey::from_ec_der(public);
            (
                id(kind, public),
                kind,
                verifying,
                EncodingKey::from_ec_der(der),
            )
        } else if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
            let (kind, public) = (Kind::Ed25519, pair.public_key().as_ref());
            let verifying = DecodingKey::from_ed_der(public);
            (
                id(kind, public),
                kind,
                verifying,
                EncodingKey::from_ed_der(der),
            )
        } else {
            return Err(problem(NOT_SUPPORTED, USE_ANOTHER));
        };
        Ok(Self {
            id,
            kind,
            only: None,
            verifying,
            signing: Some(signing),
        })
    }

    fn from_rsa_private(pair: &RsaKeyPair, file: &[u8]) -> Result<Self, Problem> {
        let public = pair.public_key().as_ref();
        check_rsa_size(public)?;
        // The only one that jsonwebtoken wants without its PKCS #8 wrapping, which it removes.
        let signing = EncodingKey::from_rsa_pem(file).map_err(|_| problem(DAMAGED, REPLACE))?;
        Ok(Self {
            id: KeyId::of(Kind::Rsa, public),
            kind: Kind::Rsa,
            only: None,
            verifying: DecodingKey::from_rsa_der(public),
            signing: Some(signing),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Secret,
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Kind {
    fn algorithms(self) -> &'static [Algorithm] {
        use Algorithm::*;
        match self {
            Self::Secret => &[HS256, HS384, HS512],
            Self::Rsa => &[RS256, RS384, RS512, PS256, PS384, PS512],
            Self::P256 => &[ES256],
            Self::P384 => &[ES384],
            Self::Ed25519 => &[EdDSA],
        }
    }

    /// The key itself, which stands last in every form that a public key has: for elliptic curves
    /// a point (uncompressed, as all the field's tools write it), for RSA all of it.
    fn last_bytes(self, public: &[u8]) -> &[u8] {
        let length = match self {
            Self::Secret | Self::Rsa => public.len(),
            Self::P256 => 1 + 2 * 32,
            Self::P384 => 1 + 2 * 48,
            Self::Ed25519 => 32,
        };
        &public[public.len().saturating_sub(length)..]
    }
}

/// Of a DER `RSAPublicKey`.
fn check_rsa_size(public: &[u8]) -> Result<(), Problem> {
    match RsaParameters::public_modulus_len(public) {
        // Beyond 8192 bits the library does not verify.
        Ok(2048..=8192) => Ok(()),
        Ok(bits) => Err(problem(
            format!("the RSA key has {bits} bits; 2048 to 8192 are taken"),
            "make one with openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out FILE",
        )),
        Err(_) => Err(problem(DAMAGED, REPLACE)),
    }
}

fn without_line_end(file: &[u8]) -> &[u8] {
    let file = file.strip_suffix(b"\n").unwrap_or(file);
    file.strip_suffix(b"\r").unwrap_or(file)
}

fn is_jwk(file: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(file)
        .is_ok_and(|json| json.get("kty").is_some() || json.get("keys").is_some())
}

/// A DER sequence from the first byte to the last, as all keys and certificates are.
fn is_der(file: &[u8]) -> bool {
    let (header, length) = match file {
        [0x30, 0x81, length, ..] => (3, usize::from(*length)),
        [0x30, 0x82, high, low, ..] => (4, usize::from(*high) << 8 | usize::from(*low)),
        [0x30, length, ..] => (2, usize::from(*length)),
        _ => return false,
    };
    file.len() == header + length
}

fn problem(reason: impl Into<String>, remedy: &'static str) -> Problem {
    Problem {
        reason: reason.into(),
        remedy,
    }
}

/// The size of what HMAC-SHA-256 puts out (RFC 7518, section 3.2).
const LEAST_SECRET_BYTES: usize = 32;

const DAMAGED: &str = "holds a damaged key";
const REPLACE: &str = "export it again from where it came";
const NOT_SUPPORTED: &str = "holds a key that is neither RSA, P-256, P-384 nor Ed25519";
const USE_ANOTHER: &str =
    "make one with openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out FILE";
const TO_PEM: &str = "convert a private key with openssl pkcs8 -topk8 -nocrypt -in FILE, \
     a public one with openssl pkey -pubin -in FILE";
