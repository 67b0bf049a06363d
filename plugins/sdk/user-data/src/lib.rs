//! What the first-party user-data generators share.
//!
//! A generator is an implementation of [`Generator`]: a configuration that is read from JSON text, and a pure function
//! from a [`Request`] to a text. `export_generator!` makes a component of it.

pub use doproxy_plugin_sdk::{Manifest, Problem, manifest, parse_json, validated};

#[cfg(target_family = "wasm")]
pub mod guest;

/// Most bytes of user data that DigitalOcean takes.
pub const MAX_BYTES: usize = 64 * 1024;

/// The droplet that is about to be created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The fleet.
    pub fleet_name: String,
    /// Its name.
    pub hostname: String,
    /// Its number in the fleet, from 0.
    pub index: u32,
    /// Size slug.
    pub size: String,
    /// Region slug.
    pub region: String,
    /// Image slug or id.
    pub image: String,
    /// All its tags.
    pub tags: Vec<String>,
    /// What the policy gave along: JSON text, or empty.
    pub params: String,
}

/// A user-data generator.
pub trait Generator {
    /// What an operator sets, checked.
    type Config;

    /// What it says of itself.
    const MANIFEST: Manifest;

    /// Reads JSON text that has passed the schema; everything that is wrong in it, where something is.
    fn parse(json: &str) -> Result<Self::Config, Vec<Problem>>;

    /// The user data of a droplet, or why there is none, in a sentence. The same request gives the same text.
    fn generate(config: &Self::Config, request: &Request) -> Result<String, String>;
}
