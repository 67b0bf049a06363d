//! Fuzz target for configuration files.

#![expect(clippy::missing_panics_doc, reason = "a fuzz target reports a finding by panicking")]

use std::path::Path;

use doproxy_haproxy::HaProxy;

use crate::config::Config;

/// Checks that any text is either a configuration or an error with its file name.
pub fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Config::parse(&text, Path::new("doproxy.yml"), Path::new("/nowhere/doproxy.yml")) {
        Ok(mut config) => {
            // A template would be read from disk.
            config.haproxy.template = None;
            if let Ok(haproxy) = HaProxy::new(config.haproxy) {
                assert!(haproxy.render(&[]).is_ok(), "valid options render a configuration");
            }
        }
        Err(error) => assert!(error.to_string().starts_with("doproxy.yml"), "{error}"),
    }
}

#[cfg(test)]
mod tests {
    use doproxy_test_support::fuzzing;

    use super::*;

    const TARGETS: [fuzzing::Target; 1] = [("config", config)];

    #[test]
    fn every_corpus_input_is_handled() {
        fuzzing::run_corpora(&TARGETS);
    }

    #[test]
    fn arbitrary_inputs_are_handled() {
        fuzzing::run_arbitrary_inputs(&TARGETS);
    }
}
