//! Signed content in cosign's older format: a simple signing payload
//! (<https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>).
//!
//! The name in the payload is informative. As in cosign it is not compared, so that a mirror can serve the original
//! signatures. Only the digest is verified.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::signatures::SignatureError;

const PAYLOAD_TYPE: &str = "cosign container image signature";

#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    critical: Critical,
    #[serde(default)]
    optional: Option<serde_json::Value>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Identity {
    docker_reference: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Image {
    docker_manifest_digest: Digest,
}

/// Returns the bytes to sign for a manifest.
pub(super) fn write(name: &str, digest: Digest) -> Vec<u8> {
    let payload = Payload {
        critical: Critical {
            identity: Identity { docker_reference: name.to_owned() },
            image: Image { docker_manifest_digest: digest },
            kind: PAYLOAD_TYPE.to_owned(),
        },
        optional: None,
    };
    // Serializing structs of strings cannot fail.
    serde_json::to_vec(&payload).unwrap_or_default()
}

/// Returns the digests that a payload vouches for.
pub(super) fn read(payload: &[u8]) -> Result<Vec<Digest>, SignatureError> {
    let Payload { critical, .. } =
        serde_json::from_slice(payload).map_err(|error| SignatureError::Unreadable(format!("the payload: {error}")))?;
    if critical.kind != PAYLOAD_TYPE {
        let kind = doproxy_support::sanitize_line(&critical.kind, 100);
        return Err(SignatureError::Unreadable(format!("its type is {kind:?}, expected {PAYLOAD_TYPE:?}")));
    }
    Ok(vec![critical.image.docker_manifest_digest])
}
