//! A toolchain and its invocation.

use crate::build::BuildError;

/// A prepared toolchain invocation that returns the component.
type BuildCommand = Box<dyn FnOnce() -> Result<Vec<u8>, BuildError>>;

/// A toolchain found on this machine.
pub(super) struct Tool {
    pub(super) version: String,
    pub(super) is_reproducible: bool,
    pub(super) build: BuildCommand,
}

impl Tool {
    pub(super) fn new(
        version: String,
        is_reproducible: bool,
        make: impl FnOnce() -> Result<Vec<u8>, BuildError> + 'static,
    ) -> Self {
        Self { version, is_reproducible, build: Box::new(make) }
    }
}
