//! Provenance of a plugin from a registry: its store path, immutable digest and signer.

use doproxy_plugin_registry::{Digest, Provenance, TrustDecision};
use serde::Serialize;

use crate::cli::output;
use crate::cli::output::out;

/// The provenance in the output of `--json`.
#[derive(Debug, Serialize)]
pub(super) struct ProvenanceOutput {
    manifest_digest: Digest,
    store_path: String,
    locked: bool,
    signatures: usize,
    /// The trusted key of one of the signatures.
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

/// Prints the provenance in the format of `inspect`.
pub(super) fn print(origin: &Provenance) {
    let locked = if origin.is_locked { ", locked" } else { "" };
    out!("manifest   {}{locked}", origin.manifest);
    out!("stored     {}", origin.path.display());
    out!("signatures {}", output::count(origin.signatures, "signature"));
    out!("trust      {}", origin.trust);
}
