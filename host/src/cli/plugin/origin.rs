//! What is shown of a plugin from a registry: where it is kept, what it is called for good, who signed it.

use serde::Serialize;

use crate::cli::output::{self, say};
use crate::plugin::{Digest, Provenance, TrustDecision};

/// For `--json`.
#[derive(Debug, Serialize)]
pub(super) struct ProvenanceOutput {
    manifest_digest: Digest,
    store_path: String,
    locked: bool,
    signatures: usize,
    /// The trusted key that one of them is by.
    signed_by: Option<String>,
    trust: String,
}

impl ProvenanceOutput {
    pub(super) fn of(origin: &Provenance) -> Self {
        Self {
            manifest_digest: origin.manifest,
            store_path: origin.path.display().to_string(),
            locked: origin.is_locked,
            signatures: origin.signatures,
            signed_by: match &origin.trust {
                TrustDecision::SignedBy { key, .. } => Some(key.clone()),
                TrustDecision::Unsigned { .. } | TrustDecision::NotConfigured => None,
            },
            trust: origin.trust.to_string(),
        }
    }
}

/// Lines in the form of `inspect`.
pub(super) fn print(origin: &Provenance) {
    let locked = if origin.is_locked { ", locked" } else { "" };
    say!("manifest   {}{locked}", origin.manifest);
    say!("stored     {}", origin.path.display());
    say!("signatures {}", output::count(origin.signatures, "signature"));
    say!("trust      {}", origin.trust);
}
