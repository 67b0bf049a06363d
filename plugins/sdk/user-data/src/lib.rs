//! SDK for user-data generators.
//!
//! A generator implements [`Generator`]: a configuration parsed from JSON text, and a pure function from a [`Request`]
//! to a text. `export_generator!` exports it as a component.

pub use doproxy_plugin_sdk::{Manifest, Problem, manifest, parse_json, validated};

#[cfg(target_family = "wasm")]
pub mod guest;

/// Maximum size of user data accepted by DigitalOcean, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// The droplet that is about to be created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The fleet.
    pub fleet_name: String,
    /// Its hostname.
    pub hostname: String,
    /// Its index in the fleet, from 0.
    pub index: u32,
    /// Its size slug.
    pub size: String,
    /// Its region slug.
    pub region: String,
    /// Its image slug or ID.
    pub image: String,
    /// All its tags.
    pub tags: Vec<String>,
    /// Parameters from the policy: JSON text, or empty.
    pub params: String,
}

/// A user-data generator.
pub trait Generator {
    /// The validated configuration.
    type Config;

    /// The plugin's description of itself.
    const MANIFEST: Manifest;

    /// Parses JSON text that has passed the schema, or returns all problems in it.
    fn parse(json: &str) -> Result<Self::Config, Vec<Problem>>;

    /// Generates the user data of a droplet, or fails with a reason in one sentence. The same request must produce the
    /// same text.
    fn generate(config: &Self::Config, request: &Request) -> Result<String, String>;
}
