//! Keys: P-256, in PEM. Private ones are PKCS#8 or SEC1 and not encrypted, public ones SPKI, so that `openssl` and
//! `cosign verify --key` read what is written here.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use p256::SecretKey;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{DerSignature, SigningKey, VerifyingKey};
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding,
};

use super::SignatureError;
use crate::plugin::digest::Digest;

/// Most bytes of a file with a key.
const MAX_FILE_BYTES: u64 = 16 * 1024;

/// What is wrong with a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the key {}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is something else.
    #[error("{location} is no {expected} of P-256 in PEM: {reason}; `doproxy plugin keygen` makes a pair")]
    InvalidKey {
        /// The file, or where the text stands.
        location: String,
        /// What was wanted.
        expected: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Others can read it.
    #[error("the private key {path} can be read by others (mode {mode:03o}): `chmod 600 {path}`, and make a new pair if they may have", path = .path.display())]
    InsecurePermissions {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// There is a file already.
    #[error("{} is there already, and a key is never overwritten; name another with --out", .0.display())]
    Exists(PathBuf),
}

/// A key that signs. `Debug` shows its public half.
#[derive(Clone)]
pub struct PrivateKey(SigningKey);

/// A key that checks signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PrivateKey {
    /// A new one, from the system's randomness.
    pub fn generate() -> Self {
        Self(SigningKey::from(SecretKey::generate()))
    }

    /// Reads it from a file that nobody else can read.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let (text, mode) = read(path)?;
        if mode & 0o077 != 0 {
            return Err(KeyError::InsecurePermissions { path: path.to_owned(), mode: mode & 0o777 });
        }
        Self::from_pem(&text, &path.display().to_string())
    }

    /// Reads it from text; `place` is where that stands.
    pub fn from_pem(text: &str, place: &str) -> Result<Self, KeyError> {
        let no_key =
            |reason: String| KeyError::InvalidKey { location: place.to_owned(), expected: "private key", reason };
        let text = text.trim();
        if text.contains("ENCRYPTED") {
            return Err(no_key(
                "it is encrypted, and a key is read as it is: keep the file where only you can read it".to_owned(),
            ));
        }
        let key = if text.starts_with("-----BEGIN EC PRIVATE KEY-----") {
            SecretKey::from_sec1_pem(text).map_err(|error| no_key(error.to_string()))
        } else {
            SecretKey::from_pkcs8_pem(text).map_err(|error| no_key(error.to_string()))
        };
        key.map(|key| Self(SigningKey::from(key)))
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(*self.0.verifying_key())
    }

    /// Writes the pair: `path` with mode 0600, and the public half to `public`. Neither may be there.
    pub fn write_pair(&self, path: &Path, public: &Path) -> Result<(), KeyError> {
        let no_key = |reason: String| KeyError::InvalidKey {
            location: path.display().to_string(),
            expected: "private key",
            reason,
        };
        let pem = SecretKey::from(&self.0).to_pkcs8_pem(LineEnding::LF).map_err(|error| no_key(error.to_string()))?;
        if public.exists() {
            return Err(KeyError::Exists(public.to_owned()));
        }
        write(path, pem.as_bytes(), 0o600)?;
        write(public, self.public().to_pem().as_bytes(), 0o644)
    }

    /// A signature in DER. The same bytes give the same signature (RFC 6979).
    pub(super) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let signature: DerSignature = self.0.sign(bytes);
        signature.as_bytes().to_vec()
    }
}

impl PublicKey {
    /// Reads it from a file.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        Self::from_pem(&read(path)?.0, &path.display().to_string())
    }

    /// Reads it from text; `place` is where that stands.
    pub fn from_pem(text: &str, place: &str) -> Result<Self, KeyError> {
        let no_key =
            |reason: String| KeyError::InvalidKey { location: place.to_owned(), expected: "public key", reason };
        if text.contains("PRIVATE KEY") {
            return Err(no_key("it is a private key; name its public half".to_owned()));
        }
        VerifyingKey::from_public_key_pem(text.trim()).map(Self).map_err(|error| no_key(error.to_string()))
    }

    /// The text that [`Self::from_pem`] reads.
    pub fn to_pem(&self) -> String {
        // A point on the curve always has a form in DER.
        self.0.to_public_key_pem(LineEnding::LF).unwrap_or_default()
    }

    /// What to call it where there is no room for the whole: the first 16 digits of the SHA-256 of its DER form.
    pub fn fingerprint(&self) -> String {
        let der = self.0.to_public_key_der().map(|der| der.as_bytes().to_vec()).unwrap_or_default();
        Digest::of(&der).hex().chars().take(16).collect()
    }

    /// Whether `signature` (DER) is of `bytes` and by this key.
    pub(super) fn verify(&self, bytes: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let signature = DerSignature::from_bytes(signature).map_err(|_| SignatureError::KeyMismatch)?;
        self.0.verify(bytes, &signature).map_err(|_| SignatureError::KeyMismatch)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {})", self.public().fingerprint())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

/// The text of a file and its mode.
fn read(path: &Path) -> Result<(String, u32), KeyError> {
    let failed = |source| KeyError::File { path: path.to_owned(), source };
    let file =
        OpenOptions::new().read(true).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits()).open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode();
    let mut text = String::new();
    file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
    Ok((text, mode))
}

fn write(path: &Path, text: &[u8], mode: u32) -> Result<(), KeyError> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = opened.and_then(|mut file| {
        file.write_all(text)?;
        file.sync_all()
    });
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Exists(path.to_owned()),
        _ => KeyError::File { path: path.to_owned(), source },
    })
}
