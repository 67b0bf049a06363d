//! What is signed in cosign's older form: a payload of simple signing
//! (<https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>).
//!
//! The name in it is for people: as with cosign it is not compared, so that a mirror may carry the signatures of what it
//! mirrors. The digest is what counts.

use serde::{Deserialize, Serialize};

use super::SignatureError;
use crate::plugin::digest::Digest;

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

/// The bytes that are signed for a manifest.
pub(super) fn write(name: &str, digest: Digest) -> Vec<u8> {
    let payload = Payload {
        critical: Critical {
            identity: Identity { docker_reference: name.to_owned() },
            image: Image { docker_manifest_digest: digest },
            kind: PAYLOAD_TYPE.to_owned(),
        },
        optional: None,
    };
    // Structs of strings always have a form in JSON.
    serde_json::to_vec(&payload).unwrap_or_default()
}

/// What a payload vouches for.
pub(super) fn read(payload: &[u8]) -> Result<Vec<Digest>, SignatureError> {
    let Payload { critical, .. } =
        serde_json::from_slice(payload).map_err(|error| SignatureError::Unreadable(format!("the payload: {error}")))?;
    if critical.kind != PAYLOAD_TYPE {
        let kind = crate::plugin::sanitize::sanitize_line(&critical.kind, 100);
        return Err(SignatureError::Unreadable(format!("its type is {kind:?}, and not {PAYLOAD_TYPE:?}")));
    }
    Ok(vec![critical.image.docker_manifest_digest])
}
