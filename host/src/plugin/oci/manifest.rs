//! Manifests: what a registry keeps under a tag or a digest, and how a plugin is packed into one.
//!
//! The layout is the one of the WebAssembly working group
//! (<https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/>), so that `wkg` and others can read it: a
//! manifest with one layer, the component, and a configuration that says what it imports and exports. The same component
//! gives the same bytes, and so the same digest: nothing in it says when it was pushed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plugin::digest::Digest;

/// A manifest of one artifact.
pub(in crate::plugin) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// A list of manifests.
pub(in crate::plugin) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The configuration of a component.
const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// A component.
const WASM: &str = "application/wasm";

/// What was in use before the standard: by Spin, Krustlet, and the first versions of several tools.
const LEGACY_TYPES: [&str; 4] = [
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.wasm.config.v1+json",
    "application/vnd.module.wasm.content.layer.v1+wasm",
    "application/vnd.fermyon.spin.application.v1+config",
];

/// What Docker called its manifests before there was a standard.
const DOCKER_PREFIX: &str = "application/vnd.docker.";

/// Points to something by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::plugin) struct Descriptor {
    pub(in crate::plugin) media_type: String,
    pub(in crate::plugin) digest: Digest,
    /// Bytes.
    pub(in crate::plugin) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::plugin) artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::plugin) annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Points to `content`.
    pub(in crate::plugin) fn of(media_type: &str, content: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(content),
            size: content.len() as u64,
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// One artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::plugin) struct Manifest {
    pub(in crate::plugin) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::plugin) media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::plugin) artifact_type: Option<String>,
    pub(in crate::plugin) config: Descriptor,
    pub(in crate::plugin) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::plugin) annotations: BTreeMap<String, String>,
}

/// A list of artifacts.
#[derive(Debug, Deserialize)]
pub(in crate::plugin) struct Index {
    pub(in crate::plugin) manifests: Vec<Descriptor>,
}

/// Why a manifest is not that of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAPlugin {
    /// It is not JSON, or lacks a field.
    #[error("its manifest cannot be read: {0}")]
    Unreadable(String),
    /// It is a list of several artifacts.
    #[error("it is a list of several artifacts, and a plugin is one; name one of them by its digest")]
    Index,
    /// It is packed in a way from before the standard.
    #[error(
        "it is packed in the layout from before the standard ({0}), which is not read; push it again, with `doproxy plugin push` or `wkg oci push`"
    )]
    Legacy(String),
    /// It is something else, such as an image of a container.
    #[error("it is no WebAssembly artifact: its {part} is {actual}, and a plugin's is {expected}")]
    Other {
        /// The part that tells.
        part: &'static str,
        /// Its media type.
        actual: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A component is one layer.
    #[error("it has {0} layers, and a plugin has one")]
    Layers(usize),
}

/// The configuration of a component, its fields in the order in which other tools write them.
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

/// What a component is described by.
#[derive(Debug)]
pub(in crate::plugin) struct Description<'a> {
    pub(in crate::plugin) imports: &'a [String],
    pub(in crate::plugin) exports: &'a [String],
    /// For registries that show it: title, version and so on.
    pub(in crate::plugin) annotations: BTreeMap<String, String>,
    /// Seconds since 1970.
    pub(in crate::plugin) created: i64,
}

/// A component, packed: two blobs and a manifest.
#[derive(Debug)]
pub(in crate::plugin) struct Packed {
    pub(in crate::plugin) config: Vec<u8>,
    pub(in crate::plugin) manifest: Vec<u8>,
}

/// Packs a component. The same arguments give the same bytes.
pub(in crate::plugin) fn pack(component: &[u8], description: Description<'_>) -> serde_json::Result<Packed> {
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

/// The layer of a manifest that is the component.
pub(in crate::plugin) fn component_layer(manifest: &[u8]) -> Result<Descriptor, NotAPlugin> {
    let unreadable = |error: serde_json::Error| NotAPlugin::Unreadable(error.to_string());
    let value: serde_json::Value = serde_json::from_slice(manifest).map_err(unreadable)?;
    let media_type = value.get("mediaType").and_then(serde_json::Value::as_str).unwrap_or(MANIFEST);
    if media_type == INDEX || value.get("manifests").is_some() {
        return Err(NotAPlugin::Index);
    }
    let other = |part, is: &str, wanted| match is {
        is if LEGACY_TYPES.contains(&is) => NotAPlugin::Legacy(is.to_owned()),
        is => NotAPlugin::Other { part, actual: crate::plugin::sanitize::sanitize_line(is, 200), expected: wanted },
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

/// The media types that are asked for: what is none of a plugin is asked for too, to be able to say what it is.
pub(in crate::plugin) fn accept_header() -> String {
    [
        MANIFEST,
        INDEX,
        &format!("{DOCKER_PREFIX}distribution.manifest.v2+json"),
        &format!("{DOCKER_PREFIX}distribution.manifest.list.v2+json"),
    ]
    .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed() -> Packed {
        let exports = ["doproxy:plugin/policy@0.1.0".to_owned()];
        let annotations = BTreeMap::from([("org.opencontainers.image.title".to_owned(), "queue".to_owned())]);
        pack(b"\0asm", Description { imports: &[], exports: &exports, annotations, created: 1_700_000_000 }).unwrap()
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn a_component_is_packed_as_the_standard_says() {
        let packed = packed();

        insta::assert_snapshot!(text(&packed.config), @r#"{"created":"2023-11-14T22:13:20Z","author":null,"architecture":"wasm","os":"wasip2","layerDigests":["sha256:cd5d4935a48c0672cb06407bb443bc0087aff947c6b864bac886982c73b3027f"],"component":{"exports":["doproxy:plugin/policy@0.1.0"],"imports":[],"target":null}}"#);
        insta::assert_snapshot!(text(&packed.manifest), @r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.wasm.config.v0+json","digest":"sha256:4f3fc8f13909cd61bc30fe8436edc59a839fd468e4831a3271eab53db8f33da0","size":258},"layers":[{"mediaType":"application/wasm","digest":"sha256:cd5d4935a48c0672cb06407bb443bc0087aff947c6b864bac886982c73b3027f","size":4}],"annotations":{"org.opencontainers.image.title":"queue"}}"#);
        assert_eq!(component_layer(&packed.manifest), Ok(Descriptor::of(WASM, b"\0asm")));
    }

    #[test]
    fn what_is_packed_otherwise_is_told_what_it_is() {
        let manifest = text(&packed().manifest);
        let refused: Vec<String> = [
            ("no JSON".to_owned()),
            manifest.replace("\"layers\"", "\"leyers\""),
            manifest.replace(WASM_CONFIG, "application/vnd.oci.image.config.v1+json"),
            manifest.replace(WASM_CONFIG, "application/vnd.wasm.config.v1+json"),
            manifest.replace("\"application/wasm\"", "\"application/vnd.wasm.content.layer.v1+wasm\""),
            manifest.replace("\"application/wasm\"", "\"application/vnd.oci.image.layer.v1.tar\\u001b[2J\""),
            manifest.replace(MANIFEST, "application/vnd.docker.distribution.manifest.v2+json"),
            manifest.replace(MANIFEST, INDEX),
            manifest.replace("}],\"annotations\"", "},{\"mediaType\":\"text/plain\",\"size\":4,\"digest\":\"sha256:cd5d4935a48c0672cb06407bb443bc0087aff947c6b864bac886982c73b3027f\"}],\"annotations\""),
        ]
        .iter()
        .map(|manifest| component_layer(manifest.as_bytes()).unwrap_err().to_string())
        .collect();

        insta::assert_snapshot!(refused.join("\n"), @"
        its manifest cannot be read: expected ident at line 1 column 2
        its manifest cannot be read: missing field `layers`
        it is no WebAssembly artifact: its configuration is application/vnd.oci.image.config.v1+json, and a plugin's is application/vnd.wasm.config.v0+json
        it is packed in the layout from before the standard (application/vnd.wasm.config.v1+json), which is not read; push it again, with `doproxy plugin push` or `wkg oci push`
        it is packed in the layout from before the standard (application/vnd.wasm.content.layer.v1+wasm), which is not read; push it again, with `doproxy plugin push` or `wkg oci push`
        it is no WebAssembly artifact: its layer is application/vnd.oci.image.layer.v1.tar�[2J, and a plugin's is application/wasm
        it is no WebAssembly artifact: its manifest is application/vnd.docker.distribution.manifest.v2+json, and a plugin's is application/vnd.oci.image.manifest.v1+json
        it is a list of several artifacts, and a plugin is one; name one of them by its digest
        it has 2 layers, and a plugin has one
        ");
    }
}
