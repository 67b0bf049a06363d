//! Component metadata: author and producers, in custom sections of the outermost level, with the names that the tools
//! of the component model agree on (<https://github.com/WebAssembly/tool-conventions>, and `wasm-tools metadata`).

use serde::Serialize;
use wasm_metadata::{AddMetadata, AddMetadataField, Producers};
use wasmparser::{Chunk, Parser, Payload};

use super::strip::custom_section;
use super::{BuildError, PackageMetadata};
use crate::plugin::sanitize;

/// The contract's name among the producers.
const CONTRACT_PRODUCER: &str = "doproxy:plugin";

/// Metadata embedded in a component besides its manifest. All of it is provided by the author and unverified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Metadata {
    /// The version of the plugin.
    pub version: Option<String>,
    /// A description of the plugin.
    pub description: Option<String>,
    /// The authors.
    pub authors: Option<String>,
    /// The license.
    pub licenses: Option<String>,
    /// The source revision.
    pub revision: Option<String>,
    /// The languages and tools used, each as `field: name version`.
    pub producers: Vec<String>,
}

/// Returns `component` with the metadata added.
pub(super) fn with_metadata(
    component: &[u8],
    about: &PackageMetadata,
    revision: Option<&str>,
    contract: &str,
) -> Result<Vec<u8>, BuildError> {
    let mut add = AddMetadata::default();
    add.name = AddMetadataField::Set(about.name.clone());
    add.sdk = vec![(CONTRACT_PRODUCER.to_owned(), contract.to_owned())];
    add.processed_by = vec![("doproxy".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
    let mut component = add.to_wasm(component).map_err(|error| BuildError::Component {
        what: "failed to write the metadata into the component",
        reason: format!("{error:#}"),
    })?;
    let authors = Some(about.authors.join(", ")).filter(|authors| !authors.is_empty());
    for (name, value) in [
        ("version", Some(about.version.as_str())),
        ("description", about.description.as_deref()),
        ("authors", authors.as_deref()),
        ("licenses", about.license.as_deref()),
        ("revision", revision),
    ] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            custom_section(&mut component, name, value.as_bytes());
        }
    }
    Ok(component)
}

/// Reads the metadata from the outermost level of `bytes`; empty if they cannot be read.
pub(crate) fn read(bytes: &[u8]) -> Metadata {
    let mut metadata = Metadata::default();
    let mut parser = Parser::new(0);
    let mut rest = bytes;
    while let Ok(Chunk::Parsed { consumed, payload }) = parser.parse(rest, true) {
        let mut next = consumed;
        match payload {
            Payload::CustomSection(section) => {
                let said = || Some(sanitize::sanitize_line(&String::from_utf8_lossy(section.data()), 500));
                match section.name() {
                    "version" => metadata.version = said(),
                    "description" => metadata.description = said(),
                    "authors" => metadata.authors = said(),
                    "licenses" => metadata.licenses = said(),
                    "revision" => metadata.revision = said(),
                    "producers" => metadata.producers = producers(section.data()),
                    _ => {}
                }
            }
            Payload::ModuleSection { unchecked_range, .. } | Payload::ComponentSection { unchecked_range, .. } => {
                let length = unchecked_range.end.saturating_sub(unchecked_range.start);
                next = next.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
            }
            Payload::End(_) => break,
            _ => {}
        }
        let Some(after) = rest.get(next..) else { break };
        rest = after;
    }
    metadata
}

fn producers(section: &[u8]) -> Vec<String> {
    let Ok(producers) = Producers::from_bytes(section, 0) else { return Vec::new() };
    let fields = producers.iter().take(10).flat_map(|(field, values)| {
        let values: Vec<String> = values
            .iter()
            .take(20)
            .map(|(name, version)| sanitize::sanitize_line(format!("{field}: {name} {version}").trim_end(), 200))
            .collect();
        values
    });
    fields.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_round_trips() {
        let component = wat::parse_str("(component (core module (memory 1)))").unwrap();
        let about = PackageMetadata {
            name: "calm".to_owned(),
            version: "1.2.3".to_owned(),
            description: None,
            authors: vec!["Ada".to_owned(), "Grace".to_owned()],
            license: Some("MIT".to_owned()),
        };

        let with = with_metadata(&component, &about, Some("abc123"), "0.1.0").unwrap();
        let metadata = read(&with);

        assert_eq!(metadata.version.as_deref(), Some("1.2.3"));
        assert_eq!(metadata.authors.as_deref(), Some("Ada, Grace"));
        assert_eq!(metadata.licenses.as_deref(), Some("MIT"));
        assert_eq!(metadata.revision.as_deref(), Some("abc123"));
        assert!(metadata.producers.contains(&"sdk: doproxy:plugin 0.1.0".to_owned()), "{metadata:?}");
        assert_eq!(read(b"nothing"), Metadata::default());
    }
}
