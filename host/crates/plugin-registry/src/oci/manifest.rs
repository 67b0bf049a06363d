//! OCI manifests: the objects that a registry stores under tags and digests, and the packaging of a plugin in one.
//!
//! The layout follows the WebAssembly working group
//! (<https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/>), so that `wkg` and other tools can read it:
//! a manifest with one layer, the component, and a configuration with its imports and exports. The same component
//! produces the same bytes, and so the same digest: the manifest does not contain the time of the push.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Media type of the manifest of one artifact.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of a list of manifests.
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of a component's configuration.
const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// Media type of a component.
const WASM: &str = "application/wasm";

/// Media types in use before the standard: by Spin, Krustlet, and the first versions of several tools.
const LEGACY_TYPES: [&str; 4] = [
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.wasm.config.v1+json",
    "application/vnd.module.wasm.content.layer.v1+wasm",
    "application/vnd.fermyon.spin.application.v1+config",
];

/// Prefix of Docker's media types for manifests from before the standard.
const DOCKER_PREFIX: &str = "application/vnd.docker.";

/// A reference to content by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    /// Size in bytes.
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Returns the descriptor of `content`.
    pub(crate) fn of(media_type: &str, content: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(content),
            size: content.len() as u64,
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// The manifest of one artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// A list of artifacts.
#[derive(Debug, Deserialize)]
pub(crate) struct Index {
    pub(crate) manifests: Vec<Descriptor>,
}

/// The reason why a manifest is not that of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAPlugin {
    /// The manifest is not JSON, or lacks a field.
    #[error("failed to read the manifest: {0}")]
    Unreadable(String),
    /// The manifest is a list of several artifacts.
    #[error("a list of several artifacts, but a plugin is a single one; select one by its digest")]
    Index,
    /// The artifact uses a layout from before the standard.
    #[error(
        "unsupported layout from before the standard ({0}); push it again with `doproxy plugin push` or `wkg oci push`"
    )]
    Legacy(String),
    /// The artifact is something else, such as a container image.
    #[error("not a WebAssembly artifact: the {part} is {actual}, expected {expected}")]
    Other {
        /// The part with the unexpected media type.
        part: &'static str,
        /// The actual media type.
        actual: String,
        /// The expected media type.
        expected: &'static str,
    },
    /// The artifact does not have exactly one layer.
    #[error("the artifact has {0} layers, but a plugin has one")]
    Layers(usize),
}

/// The configuration of a component, with its fields in the order used by other tools.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    created: String,
    author: Option<String>,
    architecture: &'static str,
    os: &'static str,
    layer_digests: [Digest; 1],
    component: Component<'a>,
}

#[derive(Debug, Serialize)]
struct Component<'a> {
    exports: &'a [String],
    imports: &'a [String],
    target: Option<String>,
}

/// The description of a component in its configuration and manifest.
#[derive(Debug)]
pub(crate) struct Description<'a> {
    pub(crate) imports: &'a [String],
    pub(crate) exports: &'a [String],
    /// Annotations for registries that display them: title, version and so on.
    pub(crate) annotations: BTreeMap<String, String>,
    /// Creation time, in seconds since 1970.
    pub(crate) created: i64,
}

/// A packed component: two blobs and a manifest.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) config: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
}

/// Packs a component. Identical arguments produce identical bytes.
pub(crate) fn pack(component: &[u8], description: Description<'_>) -> serde_json::Result<Packed> {
    let layer = Descriptor::of(WASM, component);
    let created = jiff::Timestamp::from_second(description.created).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let config = serde_json::to_vec(&Config {
        created: created.to_string(),
        author: None,
        architecture: "wasm",
        os: "wasip2",
        layer_digests: [layer.digest],
        component: Component { exports: description.exports, imports: description.imports, target: None },
    })?;
    let manifest = serde_json::to_vec(&Manifest {
        schema_version: 2,
        media_type: Some(MANIFEST.to_owned()),
        artifact_type: None,
        config: Descriptor::of(WASM_CONFIG, &config),
        layers: vec![layer],
        annotations: description.annotations,
    })?;
    Ok(Packed { config, manifest })
}

/// Returns the descriptor of the layer that contains the component.
pub(crate) fn component_layer(manifest: &[u8]) -> Result<Descriptor, NotAPlugin> {
    let unreadable = |error: serde_json::Error| NotAPlugin::Unreadable(error.to_string());
    let value: serde_json::Value = serde_json::from_slice(manifest).map_err(unreadable)?;
    let media_type = value.get("mediaType").and_then(serde_json::Value::as_str).unwrap_or(MANIFEST);
    if media_type == INDEX || value.get("manifests").is_some() {
        return Err(NotAPlugin::Index);
    }
    let other = |part, is: &str, wanted| match is {
        is if LEGACY_TYPES.contains(&is) => NotAPlugin::Legacy(is.to_owned()),
        is => NotAPlugin::Other { part, actual: doproxy_support::sanitize_line(is, 200), expected: wanted },
    };
    if media_type != MANIFEST {
        return Err(other("manifest", media_type, MANIFEST));
    }
    let manifest: Manifest = serde_json::from_value(value).map_err(unreadable)?;
    if let Some(legacy) = manifest.layers.iter().find(|layer| LEGACY_TYPES.contains(&layer.media_type.as_str())) {
        return Err(NotAPlugin::Legacy(legacy.media_type.clone()));
    }
    if manifest.config.media_type != WASM_CONFIG {
        return Err(other("configuration", &manifest.config.media_type, WASM_CONFIG));
    }
    let count = manifest.layers.len();
    let mut layers = manifest.layers.into_iter();
    match (layers.next(), count) {
        (Some(layer), 1) if layer.media_type == WASM => Ok(layer),
        (Some(layer), 1) => Err(other("layer", &layer.media_type, WASM)),
        _ => Err(NotAPlugin::Layers(count)),
    }
}

/// Returns the accepted media types. They include types that are not plugins, so that errors can name the actual type.
pub(crate) fn accept_header() -> String {
    [
        MANIFEST,
        INDEX,
        &format!("{DOCKER_PREFIX}distribution.manifest.v2+json"),
        &format!("{DOCKER_PREFIX}distribution.manifest.list.v2+json"),
    ]
    .join(", ")
}

#[cfg(test)]
mod tests;
