//! Component parsing for the fuzzer: every check that runs before compilation.

#![expect(clippy::missing_panics_doc, reason = "a fuzz target reports findings by panicking")]

use crate::component_info::ComponentInterface;

/// Parses the bytes as a plugin; they are accepted, or rejected with an error.
pub fn component(bytes: &[u8]) {
    if let Err(error) = ComponentInterface::parse(bytes) {
        let output = error.to_string();
        assert!(!output.contains(|c: char| c.is_control() && c != '\n'), "{output:?}");
        assert!(output.len() < 4096, "{output:?}");
    }
}

#[cfg(test)]
mod tests {
    use doproxy_test_support::fuzzing;

    use super::*;

    const TARGETS: [fuzzing::Target; 1] = [("component", component)];

    #[test]
    fn every_corpus_input_is_handled() {
        fuzzing::run_corpora(&TARGETS);
    }

    #[test]
    fn arbitrary_inputs_are_handled() {
        fuzzing::run_arbitrary_inputs(&TARGETS);
    }
}
