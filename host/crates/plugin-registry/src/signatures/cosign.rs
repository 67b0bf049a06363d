//! Storage of signatures in a registry.
//!
//! In cosign's older format, a manifest under the tag `sha256-DIGEST.sig` has a layer for each signature: the layer is
//! the payload, its annotation the signature. In the newer format, each signature is an artifact that refers to the
//! manifest. doproxy writes the older format: every version of cosign reads it, and it does not require the referrers
//! API.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::oci::manifest::{Descriptor, MANIFEST, Manifest};
use crate::oci::{Registry, RegistryError};
use crate::signatures::signature::{MAX_BYTES, MAX_SIGNATURES, Signature, decode, encode};

const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const ANNOTATION: &str = "dev.cosignproject.cosign/signature";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// Fetches the signatures on a manifest in both formats, unverified. Unreadable signatures are skipped: an attacker
/// with write access to the repository could also delete them.
pub(crate) async fn fetch(registry: &mut Registry, digest: Digest) -> Result<Vec<Signature>, RegistryError> {
    let mut found = Vec::new();
    for layer in signed_layers(registry, digest).await?.iter().flat_map(|manifest| &manifest.layers) {
        let Some(signature) = layer.annotations.get(ANNOTATION).filter(|_| layer.media_type == SIMPLE_SIGNING) else {
            continue;
        };
        if found.len() < MAX_SIGNATURES
            && let Some(payload) = skip_unreadable(registry.blob(layer, MAX_BYTES, "a signature").await)?
        {
            found.push(Signature::SimpleSigning { payload: encode(&payload), signature: signature.clone() });
        }
    }
    for referrer in registry.referrers(digest, BUNDLE).await? {
        if found.len() >= MAX_SIGNATURES {
            break;
        }
        let manifest = skip_unreadable(registry.manifest(&referrer.digest.to_string()).await)?.flatten();
        let manifest = manifest.and_then(|bytes| serde_json::from_slice::<Manifest>(&bytes).ok());
        let Some(layer) = manifest.and_then(|manifest| manifest.layers.into_iter().next()) else { continue };
        if let Some(bundle) = skip_unreadable(registry.blob(&layer, MAX_BYTES, "a signature").await)? {
            found.push(Signature::Bundle(encode(&bundle)));
        }
    }
    Ok(found)
}

/// Adds a signature to the existing ones; returns whether it was new.
pub(crate) async fn attach(
    registry: &mut Registry,
    digest: Digest,
    signature: &Signature,
) -> Result<bool, RegistryError> {
    let Signature::SimpleSigning { payload, signature } = signature else { return Ok(false) };
    // Decoding cannot fail: the payload was encoded by `Signature::new`.
    let payload = decode(payload, "the payload").unwrap_or_default();
    let mut layer = Descriptor::of(SIMPLE_SIGNING, &payload);
    layer.annotations.insert(ANNOTATION.to_owned(), signature.clone());
    let mut layers = signed_layers(registry, digest).await?.map(|manifest| manifest.layers).unwrap_or_default();
    if layers.contains(&layer) {
        return Ok(false);
    }
    layers.push(layer);
    let config = image_config(&layers);
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MANIFEST.to_owned()),
        artifact_type: None,
        config: Descriptor::of(CONFIG, &config),
        layers,
        annotations: BTreeMap::new(),
    };
    registry.put_blob(&payload, "the signature").await?;
    registry.put_blob(&config, "the configuration of the signature").await?;
    // Serializing structs of strings cannot fail.
    registry.put_manifest(&signature_tag(digest), &serde_json::to_vec(&manifest).unwrap_or_default()).await?;
    Ok(true)
}

fn signature_tag(digest: Digest) -> String {
    format!("sha256-{}.sig", digest.hex())
}

/// Fetches the manifest of signatures in the older format, if it exists.
async fn signed_layers(registry: &mut Registry, digest: Digest) -> Result<Option<Manifest>, RegistryError> {
    let manifest = registry.manifest(&signature_tag(digest)).await?;
    Ok(manifest.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Returns the content, or `None` if it is invalid; transient failures remain errors.
fn skip_unreadable<T>(result: Result<T, RegistryError>) -> Result<Option<T>, RegistryError> {
    match result {
        Ok(result) => Ok(Some(result)),
        Err(error) if error.is_transient() => Err(error),
        Err(error) => {
            tracing::warn!("skipping an unreadable signature: {error}");
            Ok(None)
        }
    }
}

/// Returns the configuration of an image with only these layers, in the form used by cosign.
fn image_config(layers: &[Descriptor]) -> Vec<u8> {
    let ids: Vec<Digest> = layers.iter().map(|layer| layer.digest).collect();
    let never = "0001-01-01T00:00:00Z";
    let history: Vec<_> = layers.iter().map(|_| serde_json::json!({"created": never})).collect();
    let config = serde_json::json!({
        "architecture": "",
        "created": never,
        "history": history,
        "os": "",
        "rootfs": {"type": "layers", "diff_ids": ids},
        "config": {},
    });
    config.to_string().into_bytes()
}
