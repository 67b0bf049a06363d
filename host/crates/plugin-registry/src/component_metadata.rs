//! Component metadata: author and producers, in custom sections of the outermost level, with the names that the tools
//! of the component model agree on (<https://github.com/WebAssembly/tool-conventions>, and `wasm-tools metadata`).

use doproxy_support::sanitize;
use serde::Serialize;
use wasm_metadata::Producers;
use wasmparser::{Chunk, Parser, Payload};

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

/// Reads the metadata from the outermost level of `bytes`; empty if they cannot be read.
pub fn read(bytes: &[u8]) -> Metadata {
    let mut metadata = Metadata::default();
    let mut parser = Parser::new(0);
    let mut rest = bytes;
    while let Ok(Chunk::Parsed { consumed, payload }) = parser.parse(rest, true) {
        let mut next = consumed;
        match payload {
            Payload::CustomSection(section) => {
                let text = || Some(sanitize::sanitize_line(&String::from_utf8_lossy(section.data()), 500));
                match section.name() {
                    "version" => metadata.version = text(),
                    "description" => metadata.description = text(),
                    "authors" => metadata.authors = text(),
                    "licenses" => metadata.licenses = text(),
                    "revision" => metadata.revision = text(),
                    "producers" => metadata.producers = producers(section.data()),
                    _ => {}
                }
            }
            Payload::ModuleSection { unchecked_range, .. } | Payload::ComponentSection { unchecked_range, .. } => {
                let length = unchecked_range.end.saturating_sub(unchecked_range.start);
                next = next.saturating_add(length);
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
