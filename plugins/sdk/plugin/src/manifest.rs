//! The manifest of a plugin.

/// A plugin's description of itself; [`manifest!`](crate::manifest!) creates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manifest {
    /// Name of its package.
    pub name: &'static str,
    /// Version of its package.
    pub version: &'static str,
    /// A one-sentence description.
    pub description: &'static str,
    /// A JSON Schema, draft 2020-12.
    pub config_schema: &'static str,
}

/// Creates the manifest of the calling package from its `Cargo.toml` and the text of a JSON Schema.
///
/// The description is that of the package, with a period. The schema is usually a file beside the source:
/// `manifest!(include_str!("schema.json"))`.
///
/// # Examples
///
/// ```
/// use doproxy_plugin_sdk::{Manifest, manifest};
///
/// const MANIFEST: Manifest = manifest!(r#"{"type": "object", "additionalProperties": false}"#);
///
/// assert_eq!(MANIFEST.name, env!("CARGO_PKG_NAME"));
/// assert!(MANIFEST.description.ends_with('.'));
/// ```
#[macro_export]
macro_rules! manifest {
    ($schema:expr) => {
        $crate::Manifest {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            description: concat!(env!("CARGO_PKG_DESCRIPTION"), "."),
            config_schema: $schema,
        }
    };
}
