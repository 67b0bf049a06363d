//! Writes author and source of a component into its custom sections.

use wasm_metadata::{AddMetadata, AddMetadataField};

use crate::build::strip::custom_section;
use crate::build::{BuildError, PackageMetadata};

/// The contract's name among the producers.
const CONTRACT_PRODUCER: &str = "doproxy:plugin";

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

#[cfg(test)]
mod tests;
