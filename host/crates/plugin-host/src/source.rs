//! Reading components embedded in this binary or stored in files. Plugins from registries are read by `resolver`.

use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use doproxy_plugin_registry::Reference;
use nix::fcntl::OFlag;

use crate::error::{Limit, LoadError};

/// Returns the names of the built-in plugins.
pub fn builtins() -> impl Iterator<Item = &'static str> {
    doproxy_plugins::ALL.iter().map(|plugin| plugin.name)
}

/// Reads at most `most` bytes of the component that a reference points to.
pub(super) fn read(reference: &Reference, most: usize) -> Result<Cow<'static, [u8]>, LoadError> {
    match reference {
        Reference::Builtin(name) => doproxy_plugins::ALL
            .iter()
            .find(|plugin| plugin.name == name)
            .map(|plugin| Cow::Borrowed(plugin.component))
            .ok_or_else(|| unknown_builtin(name)),
        Reference::File(path) => read_file(path, most).map(Cow::Owned),
        // Unreachable: registry references are handled elsewhere.
        Reference::Oci(_) => Err(LoadError::NotAFile),
    }
}

fn read_file(path: &Path, most: usize) -> Result<Vec<u8>, LoadError> {
    // Opening a pipe without a writer would block.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(LoadError::NotAFile);
    }
    let mut bytes = Vec::new();
    // One extra byte detects files that are too large, of any size, and files that grow while being read.
    let one_more = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    file.take(one_more).read_to_end(&mut bytes)?;
    if bytes.len() > most { Err(LoadError::TooLarge(Limit::Component(most))) } else { Ok(bytes) }
}

fn unknown_builtin(name: &str) -> LoadError {
    let suggestion = doproxy_support::suggest(name, builtins()).map(str::to_owned);
    LoadError::UnknownBuiltin { suggestion, known: builtins().collect() }
}
