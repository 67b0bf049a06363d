//! User-data generator that renders templates and packs several parts into the MIME message that cloud-init reads.
//!
//! [`template`] renders, [`mime`] packs, [`config`] is the configuration, and [`generate`] combines them over plain
//! data. Parts that exceed DigitalOcean's limit of 64 KiB are compressed individually as `application/gzip`: cloud-init
//! unpacks such a part and detects its kind from the first line (`UserDataProcessor` in its `user_data.py`,
//! `INCLUSION_TYPES_MAP` in its `handlers/__init__.py`). Parts that fit are sent in readable form.

pub mod config;
pub mod generate;
pub mod mime;
pub mod template;

use config::Config;
use doproxy_user_data_sdk::{Generator, Manifest, Problem, Request, manifest};

/// The generator.
#[derive(Debug)]
pub struct CloudInit;

impl Generator for CloudInit {
    type Config = Config;

    const MANIFEST: Manifest = manifest!("schema.json");

    fn parse(json: &str) -> Result<Config, Vec<Problem>> {
        Config::parse(json)
    }

    fn generate(config: &Config, request: &Request) -> Result<String, String> {
        generate::generate(config, request).map_err(|error| error.to_string())
    }
}

#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "generated")]
mod component {
    doproxy_user_data_sdk::export_generator!(super::CloudInit);
}
