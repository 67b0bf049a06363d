//! `doproxy.yml`: schema, validation with line and column, and the resulting options of each crate.

mod advice;
mod config;
mod effective;
mod error;
mod file;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod metrics;
mod origin;
mod position;
mod schema;
#[cfg(test)]
mod tests;
mod token;
mod values;
mod yaml;

pub use config::{Config, DEFAULT_FILE, PolicyConfig, TelemetryAddress, UserDataConfig};
pub use effective::{EffectiveConfig, Setting};
pub use error::ConfigError;
pub use origin::Origin;
pub use schema::{SCHEMA_FILE, schema};
pub use token::{Environment, TokenSource};
pub use values::{Span, user_cache_dir, user_store_dir};
