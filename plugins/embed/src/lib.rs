//! The first-party plugins, as components compiled by the build script.

/// A built-in plugin.
#[derive(Debug, Clone, Copy)]
pub struct Embedded {
    /// Its name, as in `builtin:NAME`.
    pub name: &'static str,
    /// The component.
    pub component: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plugin_is_a_component() {
        assert!(!ALL.is_empty());
        for plugin in ALL {
            assert_eq!(plugin.component.get(..8), Some(&b"\0asm\x0d\0\x01\0"[..]), "{}", plugin.name);
        }
    }
}
