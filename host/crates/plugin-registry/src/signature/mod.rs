//! Key-based signatures on the manifest of a plugin: ECDSA on P-256 with SHA-256, as produced by cosign's key pairs.
//!
//! `key` reads, generates and writes keys; `payload` is the signed content in cosign's older format, which doproxy
//! writes, and `bundle` that of its newer format, which doproxy reads too; `cosign` stores and fetches signatures in a
//! registry. A signature proves that the owner of a key vouched for a digest; it contains no certificate, time or
//! transparency log entry. The accepted keys are defined by `trust`.

mod cosign;
pub(crate) mod key;
mod payload;
mod sigstore_bundle;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
pub(super) use crate::signature::cosign::{attach, fetch};
pub use crate::signature::key::{KeyError, PrivateKey, PublicKey};

/// Maximum number of signatures verified per plugin.
pub(super) const MAX_SIGNATURES: usize = 64;

/// Maximum size of one signature and its signed content, in bytes.
pub(super) const MAX_BYTES: u64 = 64 * 1024;

/// A signature as found in a registry, not yet verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Signature {
    /// A simple signing payload and the signature on it; both in base64.
    SimpleSigning {
        /// The signed payload.
        payload: String,
        /// The signature on the payload, in DER.
        signature: String,
    },
    /// A Sigstore bundle, in base64.
    Bundle(String),
}

/// The reason why a signature is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The signature was made with another key, or the signature or its content was modified.
    #[error("made with another key, or modified")]
    KeyMismatch,
    /// The signature vouches for another digest.
    #[error("made for {0} instead of this plugin")]
    DigestMismatch(String),
    /// The signature has neither of the two formats.
    #[error("unreadable: {0}")]
    Unreadable(String),
}

impl Signature {
    /// Signs a digest.
    pub(super) fn new(name: &str, digest: Digest, key: &PrivateKey) -> Self {
        let payload = crate::signature::payload::write(name, digest);
        let signature = key.sign(&payload);
        Self::SimpleSigning { payload: encode(&payload), signature: encode(&signature) }
    }

    /// Verifies that the signature was made with `key` for `digest`. The content is parsed only after the key is
    /// verified.
    pub(super) fn verify(&self, digest: Digest, key: &PublicKey) -> Result<(), SignatureError> {
        let signed = match self {
            Self::SimpleSigning { payload, signature } => {
                let payload = decode(payload, "the payload")?;
                key.verify(&payload, &decode(signature, "the signature")?)?;
                crate::signature::payload::read(&payload)?
            }
            Self::Bundle(bundle) => crate::signature::sigstore_bundle::read(&decode(bundle, "the bundle")?, key)?,
        };
        if signed.contains(&digest) {
            return Ok(());
        }
        let other = signed.first().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        Err(SignatureError::DigestMismatch(other))
    }
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(bytes)
}

fn decode(text: &str, what: &str) -> Result<Vec<u8>, SignatureError> {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD
        .decode(text)
        .map_err(|_| SignatureError::Unreadable(format!("{what} is not base64")))
}
