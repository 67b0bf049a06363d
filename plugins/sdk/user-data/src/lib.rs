//! SDK for user-data generators, which write the text that cloud-init runs on a new droplet.
//!
//! A generator is three things: a configuration, its JSON Schema, and a pure function from the configuration and a
//! [`Request`] to a text. [`export_generator!`] makes a [`Generator`] of them and exports it as a component.
//!
//! ```
//! use doproxy_user_data_sdk::{Generator, Problem, Request, export_generator, parse_json};
//! use serde::Deserialize;
//!
//! /// The configuration; the schema describes the same to the host.
//! #[derive(Debug, Deserialize)]
//! #[serde(deny_unknown_fields)]
//! pub struct Config {
//!     /// A package to install.
//!     pub package: String,
//! }
//!
//! impl Config {
//!     /// Parses JSON text that has passed the schema.
//!     pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
//!         parse_json(json)
//!     }
//! }
//!
//! fn generate(config: &Config, request: &Request) -> Result<String, String> {
//!     Ok(format!("#cloud-config\nhostname: {}\npackages: [{}]\n", request.hostname, config.package))
//! }
//!
//! export_generator! {
//!     /// Installs one package.
//!     pub struct Install;
//!     config: Config,
//!     schema: r#"{"properties": {"package": {"type": "string"}}, "required": ["package"]}"#,
//!     generate: generate,
//! }
//!
//! let config = Install::parse(r#"{"package": "nginx"}"#).unwrap();
//! let request = Request { hostname: "www-1".to_owned(), ..Request::default() };
//! assert_eq!(
//!     Install::generate(&config, &request).unwrap(),
//!     "#cloud-config\nhostname: www-1\npackages: [nginx]\n"
//! );
//! ```
//!
//! A crate with a generator is a `cdylib`, and an `rlib` so that its tests run natively.

mod export;
mod generator;
#[cfg(target_family = "wasm")]
pub mod guest;

pub use doproxy_plugin_sdk::{Manifest, Problem, manifest, parse_json, validated};
pub use generator::{Generator, MAX_BYTES, Request};
