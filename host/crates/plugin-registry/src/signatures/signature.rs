//! A signature of either format, and its verification.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::signatures::key::{PrivateKey, PublicKey};
use crate::signatures::{payload, sigstore_bundle};

/// Maximum number of signatures verified per plugin.
pub(crate) const MAX_SIGNATURES: usize = 64;

/// Maximum size of one signature and its signed content, in bytes.
pub(crate) const MAX_BYTES: u64 = 64 * 1024;

/// A signature as found in a registry, not yet verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Signature {
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
    pub(crate) fn new(name: &str, digest: Digest, key: &PrivateKey) -> Self {
        let payload = payload::write(name, digest);
        let signature = key.sign(&payload);
        Self::SimpleSigning { payload: encode(&payload), signature: encode(&signature) }
    }

    /// Verifies that the signature was made with `key` for `digest`. The content is parsed only after the key is
    /// verified.
    pub(crate) fn verify(&self, digest: Digest, key: &PublicKey) -> Result<(), SignatureError> {
        let signed = match self {
            Self::SimpleSigning { payload, signature } => {
                let payload = decode(payload, "the payload")?;
                key.verify(&payload, &decode(signature, "the signature")?)?;
                payload::read(&payload)?
            }
            Self::Bundle(bundle) => sigstore_bundle::read(&decode(bundle, "the bundle")?, key)?,
        };
        if signed.contains(&digest) {
            return Ok(());
        }
        let other = signed.first().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        Err(SignatureError::DigestMismatch(other))
    }
}

pub(super) fn encode(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

pub(super) fn decode(text: &str, what: &str) -> Result<Vec<u8>, SignatureError> {
    BASE64_STANDARD.decode(text).map_err(|_| SignatureError::Unreadable(format!("{what} is not base64")))
}
