//! Signatures on the manifest of a plugin, by key: ECDSA on P-256 with SHA-256, as cosign's key pairs make them.
//!
//! `key` reads, makes and writes keys; `payload` is what is signed in cosign's older form, which is written here, and
//! `bundle` what is signed in its newer one, which is read as well; `attached` knows where a registry keeps them. A
//! signature says that somebody with the key vouched for a digest: no certificate, no time, no transparency log. Which
//! keys count is decided in [`super::trust`].

mod cosign;
mod key;
mod payload;
mod sigstore_bundle;

use serde::{Deserialize, Serialize};

pub(super) use cosign::{attach, fetch};
pub use key::{KeyError, PrivateKey, PublicKey};

use super::digest::Digest;

/// Most signatures on one plugin that are looked at.
pub(super) const MAX_SIGNATURES: usize = 64;

/// Most bytes of one signature and what it signs.
pub(super) const MAX_BYTES: u64 = 64 * 1024;

/// A signature as it was found: nothing of it is believed yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Signature {
    /// A payload of simple signing, and a signature on it; both in base64.
    SimpleSigning {
        /// What is signed.
        payload: String,
        /// The signature on it, in DER.
        signature: String,
    },
    /// A Sigstore bundle, in base64.
    Bundle(String),
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It was made with another key, or its bytes or those that it signs were changed.
    #[error("it is not by this key, or was changed")]
    KeyMismatch,
    /// It vouches for something else.
    #[error("it is for {0}, and not for this plugin")]
    DigestMismatch(String),
    /// It is not a signature of one of the two forms.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
}

impl Signature {
    /// A new one.
    pub(super) fn new(name: &str, digest: Digest, key: &PrivateKey) -> Self {
        let payload = payload::write(name, digest);
        let signature = key.sign(&payload);
        Self::SimpleSigning { payload: encode(&payload), signature: encode(&signature) }
    }

    /// Whether it is by `key` and for `digest`. What it says is read after it is known to be by the key.
    pub(super) fn verify(&self, digest: Digest, key: &PublicKey) -> Result<(), SignatureError> {
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

#[cfg(test)]
mod tests;
