//! Where a registry keeps the signatures on a manifest.
//!
//! In cosign's older form a manifest under the tag `sha256-DIGEST.sig` has a layer for each: the layer is the payload,
//! its annotation the signature. In the newer one each is an artifact that refers to the manifest. Ours are written in the
//! older form: every version of cosign reads it, and it needs no registry that keeps lists of what refers to what.

use std::collections::BTreeMap;

use super::{MAX_BYTES, MAX_SIGNATURES, Signature, decode, encode};
use crate::plugin::digest::Digest;
use crate::plugin::oci::manifest::{Descriptor, MANIFEST, Manifest};
use crate::plugin::oci::{Registry, RegistryError};

const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const ANNOTATION: &str = "dev.cosignproject.cosign/signature";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// The signatures on a manifest, of both forms, as they are. What is there and cannot be read is left out: whoever can
/// write to the repository could take it away as well.
pub(in crate::plugin) async fn fetch(registry: &mut Registry, digest: Digest) -> Result<Vec<Signature>, RegistryError> {
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

/// Adds a signature to those that are there; answers whether it was not there yet.
pub(in crate::plugin) async fn attach(
    registry: &mut Registry,
    digest: Digest,
    signature: &Signature,
) -> Result<bool, RegistryError> {
    let Signature::SimpleSigning { payload, signature } = signature else { return Ok(false) };
    // It was encoded a moment ago.
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
    // Structs of strings always have a form in JSON.
    registry.put_manifest(&signature_tag(digest), &serde_json::to_vec(&manifest).unwrap_or_default()).await?;
    Ok(true)
}

fn signature_tag(digest: Digest) -> String {
    format!("sha256-{}.sig", digest.hex())
}

/// The manifest of the signatures of the older form, where there is one.
async fn signed_layers(registry: &mut Registry, digest: Digest) -> Result<Option<Manifest>, RegistryError> {
    let manifest = registry.manifest(&signature_tag(digest)).await?;
    Ok(manifest.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// What came; nothing where it is broken, and an error where it may be there later.
fn skip_unreadable<T>(answer: Result<T, RegistryError>) -> Result<Option<T>, RegistryError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_transient() => Err(error),
        Err(error) => {
            tracing::warn!("a signature is left out: {error}");
            Ok(None)
        }
    }
}

/// The configuration of an image that has these layers and nothing else, as cosign writes it.
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
