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
use doproxy_user_data_sdk::export_generator;

export_generator! {
    /// The generator.
    pub struct CloudInit;
    config: Config,
    schema: include_str!("schema.json"),
    generate: |config, request| generate::generate(config, request).map_err(|error| error.to_string()),
}
