//! Components, for the fuzzer: what is looked at before anything is compiled.

#![expect(clippy::missing_panics_doc, reason = "to panic is how a fuzz target says what it found")]

use super::component_info::ComponentInterface;

/// Bytes are a plugin, or no plugin for a reason.
pub fn component(bytes: &[u8]) {
    if let Err(error) = ComponentInterface::parse(bytes) {
        let said = error.to_string();
        assert!(!said.contains(|c: char| c.is_control() && c != '\n'), "{said:?}");
        assert!(said.len() < 4096, "{said:?}");
    }
}
