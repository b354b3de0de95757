use std::path::{Path, PathBuf};
use std::sync::Arc;

use jsonwebtoken::{Algorithm, EncodingKey};

use super::KeySet;
use super::key::{Key, KeyId};
use crate::key_file::{KeyFile, UnusableFile};

/// The keys whose tokens are good, and perhaps one to sign with.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    keys: Vec<Named>,
    /// What the issuer publishes; empty until it has been read. `None`: there is no such issuer.
    set: Option<Arc<KeySet>>,
    warnings: Vec<String>,
}

/// The same keys under the same names; the warnings don't count.
impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        let same = |(one, other): (&Named, &Named)| one.name == other.name && one.key == other.key;
        let same_files =
            self.keys.len() == other.keys.len() && self.keys.iter().zip(&other.keys).all(same);
        same_files && self.set == other.set
    }
}

#[derive(Clone, Debug)]
struct Named {
    /// The file's name without folder and ending.
    name: String,
    /// What people know it by.
    shown: String,
    key: Key,
}

impl Keys {
    /// Reads each file: a secret (its bytes without one line end), a PEM public key, or a PEM
    /// private key.
    ///
    /// # Errors
    /// All files that cannot be used, at once.
    pub fn load(paths: &[PathBuf]) -> Result<Self, Vec<UnusableFile>> {
        let mut loaded = Self::default();
        let mut refused = Vec::new();
        for path in paths {
            match load_one(path) {
                Ok((key, warning)) => {
                    let name = path.file_stem().unwrap_or_default();
                    loaded.keys.push(Named {
                        name: name.to_string_lossy().into_owned(),
                        shown: path.display().to_string(),
                        key,
                    });
                    loaded.warnings.extend(warning);
                }
                Err(error) => refused.push(error),
            }
        }
        if refused.is_empty() {
            Ok(loaded)
        } else {
            Err(refused)
        }
    }

    /// Adds a key set, and what there is to say about it.
    #[must_use]
    pub fn with_set(mut self, set: KeySet) -> Self {
        self.warnings.extend_from_slice(set.warnings());
        self.set = Some(Arc::new(set));
        self
    }

    /// The key set, if there is one.
    pub(super) fn set(&self) -> Option<&Arc<KeySet>> {
        self.set.as_ref()
    }

    /// Puts another in the place of the key set.
    pub(super) fn replace_set(&mut self, set: Arc<KeySet>) {
        self.set = Some(set);
    }

    /// What an operator should know, a line each: keys that a group may read.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether [`issue`](super::issue) can work with these.
    #[cfg(test)]
    pub(crate) fn can_sign(&self) -> bool {
        self.signing().is_some()
    }

    /// Whether this key is among them.
    pub(super) fn contains(&self, id: KeyId) -> bool {
        self.keys.iter().any(|named| named.key.id() == id)
            || self.set.as_ref().is_some_and(|set| set.contains(id))
    }

    /// Where this key is from.
    pub(super) fn shown(&self, id: KeyId) -> Option<&str> {
        let mut keys = self.keys.iter();
        keys.find(|named| named.key.id() == id)
            .map(|named| &*named.shown)
    }

    /// The first key that can sign.
    pub(super) fn signing(&self) -> Option<(Algorithm, &EncodingKey)> {
        self.keys.iter().find_map(|named| named.key.signing())
    }

    /// The keys that may have signed a token with this `kid` and algorithm, the likeliest first.
    ///
    /// Files of another name too: they get renamed when keys are rotated, and other issuers name
    /// their keys as they like. The names in a key set are its issuer's own.
    pub(super) fn candidates<'a>(
        &'a self,
        kid: Option<&'a str>,
        alg: Algorithm,
    ) -> impl Iterator<Item = &'a Key> {
        let is_meant = move |named: &&Named| Some(named.name.as_str()) == kid;
        let meant = self.keys.iter().filter(is_meant);
        let others = self.keys.iter().filter(move |named| !is_meant(named));
        let files = meant.chain(others).map(|named| &named.key);
        let set = self
            .set
            .iter()
            .flat_map(move |set| set.candidates(kid, alg));
        files.filter(move |key| key.takes(alg)).chain(set)
    }

    /// Whether a token that none of the [candidates](Self::candidates) has signed may be good once
    /// the key set is read again.
    pub(super) fn is_behind(&self, kid: Option<&str>, alg: Algorithm) -> bool {
        let is_file = self
            .keys
            .iter()
            .any(|named| Some(named.name.as_str()) == kid);
        let set = self.set.as_ref();
        // A set holds public keys only.
        !is_file && !KeySet::never_holds(alg) && set.is_some_and(|set| set.is_behind(kid))
    }
}

fn load_one(path: &Path) -> Result<(Key, Option<String>), UnusableFile> {
    let file = KeyFile::read(path, IF_MISSING)?;
    let key = Key::parse(&file.bytes).map_err(|problem| {
        let remedy = problem.remedy.replace("FILE", &path.display().to_string());
        UnusableFile::new(path, problem.reason, remedy)
    })?;
    let warning = if key.is_secret() {
        file.check_secrecy()?
    } else {
        None
    };
    Ok((key, warning))
}

const IF_MISSING: &str = "make one with signalcast token issue, or name another as auth.jwt_key";

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use aws_lc_rs::encoding::AsDer as _;
    use jsonwebtoken::Algorithm::*;

    use super::*;
    use crate::auth::testing::{ED25519, P256, P384, Pair, RSA, SECRET, base64url, pem};

    const ALL: [Algorithm; 12] = [
        HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA,
    ];

    /// Loads one file of these bytes; an error without its folder.
    fn load(bytes: &[u8], mode: u32) -> Result<Keys, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let folder = format!("{}/", dir.path().display());
        Keys::load(&[path]).map_err(|errors| errors[0].to_string().replace(&folder, ""))
    }

    #[test]
    fn the_key_decides_the_algorithms() {
        let hmac = &[HS256, HS384, HS512][..];
        let rsa = &[RS256, RS384, RS512, PS256, PS384, PS512][..];
        for (file, algorithms) in [
            (SECRET, hmac),
            (RSA.private.as_bytes(), rsa),
            (RSA.public.as_bytes(), rsa),
            (P256.private.as_bytes(), &[ES256]),
            (P256.public.as_bytes(), &[ES256]),
            (P384.private.as_bytes(), &[ES384]),
            (P384.public.as_bytes(), &[ES384]),
            (ED25519.private.as_bytes(), &[EdDSA]),
            (ED25519.public.as_bytes(), &[EdDSA]),
        ] {
            let keys = load(file, 0o600).unwrap();
            let key = &keys.keys[0].key;
            let taken: Vec<_> = ALL.into_iter().filter(|alg| key.takes(*alg)).collect();
            assert_eq!(taken, algorithms);
            let is_public = file.starts_with(b"-----BEGIN PUBLIC");
            assert_eq!(keys.can_sign(), !is_public);
            if let Some((alg, _)) = keys.signing() {
                assert_eq!(alg, algorithms[0]);
            }
        }
    }

    #[test]
    fn a_pem_key_may_have_other_line_ends_and_words_around_it() {
        for Pair { private, public } in [&*RSA, &*P256, &*P384, &*ED25519] {
            for text in [private, public] {
                assert!(load(text.replace('\n', "\r\n").as_bytes(), 0o600).is_ok());
                assert!(load(text.trim_end().as_bytes(), 0o600).is_ok());
                let words = format!("Bag Attributes\n    name: x\n{text}\n");
                assert!(load(words.as_bytes(), 0o600).is_ok());
            }
        }
    }

    #[test]
    fn a_secret_is_the_bytes_without_one_line_end() {
        for (end, same) in [
            ("", true),
            ("\n", true),
            ("\r\n", true),
            ("\n\n", false),
            (" ", false),
        ] {
            let keys = load(&[SECRET, end.as_bytes()].concat(), 0o600).unwrap();
            let (_, key) = keys.signing().unwrap();
            assert_eq!(key.as_bytes() == SECRET, same, "{end:?}");
        }
    }

    #[test]
    fn what_can_be_no_key_is_refused_with_a_remedy() {
        let rsa_der = RSA.public.as_bytes();
        let (_, rsa_der) = {
            use rustls::pki_types::pem::{PemObject as _, SectionKind};
            <(SectionKind, Vec<u8>)>::from_pem_slice(rsa_der).unwrap()
        };
        let certificate = rcgen::generate_simple_self_signed(["x".to_owned()])
            .unwrap()
            .cert;
        let p521 = aws_lc_rs::signature::EcdsaKeyPair::generate(
            &aws_lc_rs::signature::ECDSA_P521_SHA512_FIXED_SIGNING,
        )
        .unwrap();
        let p521 = pem("PRIVATE KEY", p521.to_pkcs8v1().unwrap().as_ref());
        let jwk = format!(r#"{{"kty":"oct","k":"{}"}}"#, base64url(SECRET));
        let utf16: Vec<u8> = P256
            .public
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let p256 = rcgen::KeyPair::from_pem(&P256.private).unwrap();
        let sec1 = aws_lc_rs::signature::EcdsaKeyPair::from_pkcs8(
            &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            p256.serialized_der(),
        )
        .unwrap();
        let sec1 =
            sec1.private_key()
                .as_der()
                .map(|der: aws_lc_rs::encoding::EcPrivateKeyRfc5915Der| {
                    pem("EC PRIVATE KEY", der.as_ref())
                });
        for (file, reason) in [
            (&b""[..], "k: the secret is too short (0 of at least 32 bytes); make a longer one with openssl rand -hex 32 > k"),
            (b"s", "too short (1 of"),
            (b"0123456789abcdef0123456789abcde\n", "too short (31 of"),
            (&rsa_der, "k: is no secret but a key in another format; convert"),
            (certificate.der(), "is no secret"),
            (p256.serialized_der(), "is no secret"),
            (jwk.as_bytes(), "is no secret"),
            (br#"{"keys":[],"padding":"0123456789abcdef"}"#, "is no secret"),
            (b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxyz me@example", "is no secret"),
            (&utf16, "k: holds no PEM block that is a key; convert"),
            (sec1.unwrap().as_bytes(), "holds no PEM block that is a key"),
            (certificate.pem().as_bytes(), "k: holds a certificate, not a key; take its public key out with openssl x509 -in k -noout -pubkey"),
            ([P256.public.as_str(), &RSA.public].concat().as_bytes(), "k: holds several PEM blocks; write"),
            (b"-----BEGIN PUBLIC KEY-----\nAAAA", "damaged PEM"),
            (b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "holds no PEM block that is a key"),
            (pem("PUBLIC KEY", b"nonsense").as_bytes(), "neither RSA, P-256, P-384 nor Ed25519"),
            (pem("RSA PRIVATE KEY", b"nonsense").as_bytes(), "holds a damaged key"),
            (p521.as_bytes(), "neither RSA, P-256, P-384 nor Ed25519"),
            (rsa_of_bits(1024).as_bytes(), "the RSA key has 1024 bits; 2048 to 8192 are taken; make one with openssl genpkey"),
            (rsa_of_bits(2040).as_bytes(), "the RSA key has 2040 bits"),
            (rsa_of_bits(16 * 1024).as_bytes(), "the RSA key has 16384 bits"),
        ] {
            let error = load(file, 0o600).err().unwrap_or_default();
            assert!(error.contains(reason), "{error:?} is not {reason:?}");
        }
        assert!(load(rsa_of_bits(2048).as_bytes(), 0o600).is_ok());
    }

    /// A public key with any odd number for a modulus, which nobody can tell without factoring.
    fn rsa_of_bits(bits: usize) -> String {
        let mut modulus = vec![0xff; bits / 8];
        modulus.insert(0, 0);
        let der = |tag: u8, body: &[u8]| {
            let [high, low] = u16::try_from(body.len()).unwrap().to_be_bytes();
            [&[tag, 0x82, high, low], body].concat()
        };
        // The shortest form of a length is the only one in DER.
        let exponent = [0x02, 0x03, 0x01, 0x00, 0x01];
        let number = if modulus.len() < 256 {
            [
                &[0x02, 0x81, u8::try_from(modulus.len()).unwrap()],
                &modulus[..],
            ]
            .concat()
        } else {
            der(0x02, &modulus)
        };
        let body = [&number[..], &exponent].concat();
        let key = if body.len() < 256 {
            [&[0x30, 0x81, u8::try_from(body.len()).unwrap()], &body[..]].concat()
        } else {
            der(0x30, &body)
        };
        pem("PUBLIC KEY", &key)
    }

    #[test]
    fn secrets_and_private_keys_are_their_owners_alone_public_ones_are_not() {
        for secret in [SECRET, P256.private.as_bytes(), RSA.private.as_bytes()] {
            assert_eq!(
                load(secret, 0o644).unwrap_err(),
                "k: others may read it (mode 0644); run chmod 600 k".to_owned(),
            );
            let warnings = load(secret, 0o640).unwrap().warnings().to_vec();
            assert!(warnings[0].contains("its group may read it (mode 0640)"));
            assert!(load(secret, 0o400).unwrap().warnings().is_empty());
        }
        assert!(
            load(P256.public.as_bytes(), 0o666)
                .unwrap()
                .warnings()
                .is_empty()
        );
    }

    #[test]
    fn keys_are_the_same_when_they_verify_and_sign_the_same() {
        let same = |one: &[u8], other: &[u8]| load(one, 0o600) == load(other, 0o600);
        let other = [SECRET, b"!"].concat();
        let pair = (P256.private.as_bytes(), P256.public.as_bytes());
        for key in [SECRET, pair.0, pair.1, RSA.private.as_bytes()] {
            assert!(same(key, &[key, b"\n"].concat()));
            assert!(!same(key, &other));
        }
        assert!(!same(pair.0, pair.1), "only one of them signs");
        assert!(!same(pair.1, P384.public.as_bytes()));
    }

    #[test]
    fn all_mistakes_are_told_at_once_and_the_first_key_that_can_sign_signs() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            crate::key_file::put_new(&path, bytes, 0o600).unwrap();
            path
        };
        let public = file("public.pem", P384.public.as_bytes());
        let old = file("old.pem", P256.private.as_bytes());
        let new = file("new.key", SECRET);
        let short = file("short.key", b"s");
        let missing = dir.path().join("missing.key");

        let errors = Keys::load(&[short.clone(), old.clone(), missing.clone()]).unwrap_err();
        assert_eq!(
            errors.iter().map(UnusableFile::path).collect::<Vec<_>>(),
            [&short, &missing]
        );
        assert!(
            errors[1]
                .to_string()
                .contains("there is no such file; make one with signalcast token issue")
        );

        for (paths, alg) in [
            (vec![public.clone(), old.clone(), new.clone()], Some(ES256)),
            (vec![public.clone(), new, old], Some(HS256)),
            (vec![public], None),
            (vec![], None),
        ] {
            assert_eq!(
                Keys::load(&paths).unwrap().signing().map(|(alg, _)| alg),
                alg
            );
        }
    }
}
