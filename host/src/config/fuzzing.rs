//! Configuration files, for the fuzzer.

#![expect(clippy::missing_panics_doc, reason = "to panic is how a fuzz target says what it found")]

use std::path::Path;

use super::Config;
use crate::balancer::haproxy::HaProxy;

/// A text is a configuration, or an error that says where.
pub fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Config::parse(&text, Path::new("doproxy.yml"), Path::new("/nowhere/doproxy.yml")) {
        Ok(mut config) => {
            // A template would be read from the disk.
            config.haproxy.template = None;
            if let Ok(haproxy) = HaProxy::new(config.haproxy) {
                assert!(haproxy.render(&[]).is_ok(), "options that are taken give a file");
            }
        }
        Err(error) => assert!(error.to_string().starts_with("doproxy.yml"), "{error}"),
    }
}
