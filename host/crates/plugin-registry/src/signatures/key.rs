//! Keys: P-256, in PEM. Private keys are unencrypted PKCS#8 or SEC1, public keys SPKI, so that `openssl` and `cosign
//! verify --key` can read the files written here.

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

use crate::digest::Digest;
use crate::signatures::SignatureError;

/// Maximum size of a key file in bytes.
const MAX_FILE_BYTES: u64 = 16 * 1024;

/// Key errors.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the key {}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file or text is not a supported key.
    #[error("{location} is not a P-256 {expected} in PEM: {reason}; create a key pair with `doproxy plugin keygen`")]
    InvalidKey {
        /// The file, or the location of the text.
        location: String,
        /// The expected kind of key.
        expected: &'static str,
        /// The problem.
        reason: String,
    },
    /// Other users can read the private key.
    #[error("the private key {path} is readable by other users (mode {mode:03o}); run `chmod 600 {path}`, and create a new key pair if it may have leaked", path = .path.display())]
    InsecurePermissions {
        /// The file.
        path: PathBuf,
        /// The file mode.
        mode: u32,
    },
    /// The file exists already.
    #[error("{} already exists, and keys are never overwritten; choose another path with --out", .0.display())]
    Exists(PathBuf),
}

/// A private key for signing. Its `Debug` output shows the public key.
#[derive(Clone)]
pub struct PrivateKey(SigningKey);

/// A public key for verifying signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PrivateKey {
    /// Generates a new key from the system's random number generator.
    pub fn generate() -> Self {
        Self(SigningKey::from(SecretKey::generate()))
    }

    /// Reads a key from a file that only the current user can read.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let (text, mode) = read(path)?;
        if mode & 0o077 != 0 {
            return Err(KeyError::InsecurePermissions { path: path.to_owned(), mode: mode & 0o777 });
        }
        Self::from_pem(&text, &path.display().to_string())
    }

    /// Parses a key in PEM; `place` is the location of the text, for messages.
    pub fn from_pem(text: &str, place: &str) -> Result<Self, KeyError> {
        let no_key =
            |reason: String| KeyError::InvalidKey { location: place.to_owned(), expected: "private key", reason };
        let text = text.trim();
        if text.contains("ENCRYPTED") {
            return Err(no_key(
                "encrypted keys are not supported; store the key unencrypted in a file that only you can read"
                    .to_owned(),
            ));
        }
        let key = if text.starts_with("-----BEGIN EC PRIVATE KEY-----") {
            SecretKey::from_sec1_pem(text).map_err(|error| no_key(error.to_string()))
        } else {
            SecretKey::from_pkcs8_pem(text).map_err(|error| no_key(error.to_string()))
        };
        key.map(|key| Self(SigningKey::from(key)))
    }

    /// Returns the public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(*self.0.verifying_key())
    }

    /// Writes the key pair: the private key to `path` with mode 0600, and the public key to `public`. Neither may
    /// exist.
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

    /// Creates a signature in DER. The same bytes have the same signature (RFC 6979).
    pub(super) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let signature: DerSignature = self.0.sign(bytes);
        signature.as_bytes().to_vec()
    }
}

impl PublicKey {
    /// Reads a key from a file.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        Self::from_pem(&read(path)?.0, &path.display().to_string())
    }

    /// Parses a key in PEM; `place` is the location of the text, for messages.
    pub fn from_pem(text: &str, place: &str) -> Result<Self, KeyError> {
        let no_key =
            |reason: String| KeyError::InvalidKey { location: place.to_owned(), expected: "public key", reason };
        if text.contains("PRIVATE KEY") {
            return Err(no_key("it is a private key; use its public key".to_owned()));
        }
        VerifyingKey::from_public_key_pem(text.trim()).map(Self).map_err(|error| no_key(error.to_string()))
    }

    /// Returns the PEM form that [`Self::from_pem`] reads.
    pub fn to_pem(&self) -> String {
        // Encoding a point on the curve in DER cannot fail.
        self.0.to_public_key_pem(LineEnding::LF).unwrap_or_default()
    }

    /// Returns a short fingerprint: the first 16 digits of the SHA-256 of its DER form.
    pub fn fingerprint(&self) -> String {
        let der = self.0.to_public_key_der().map(|der| der.as_bytes().to_vec()).unwrap_or_default();
        Digest::of(&der).hex().chars().take(16).collect()
    }

    /// Verifies that `signature` (DER) covers `bytes` and was made with this key.
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

/// Reads the text of a file and its mode.
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
