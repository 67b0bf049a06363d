//! Compiled components on disk. What lies here is run as machine code, so nobody else may write here, and nothing from
//! elsewhere is ever loaded as compiled.

use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use wasmtime::component::Component;

use super::PluginError;
use super::engine::Engine;

/// A directory that only this user can read or write.
#[derive(Debug)]
pub(super) struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// Makes the directory where it is missing, and refuses one that others have a hand in.
    pub(super) fn open(directory: PathBuf) -> Result<Self, PluginError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        match made.and_then(|()| unfit(&directory)) {
            Ok(None) => Ok(Self { directory }),
            Ok(Some(reason)) => Err(PluginError::Cache { directory, reason }),
            Err(error) => Err(PluginError::Cache { directory, reason: format!("cannot be used: {error}") }),
        }
    }

    /// The compiled form of the component with this digest, if it is there and fits this engine.
    pub(super) fn get(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.path(engine, digest);
        // Also each file: a directory that was open to others once may hold what they put there.
        if !fs::symlink_metadata(&path).is_ok_and(|metadata| is_own(&metadata)) {
            return None;
        }
        #[expect(unsafe_code, reason = "the one place that trusts compiled code")]
        // SAFETY: the file was written by `put` of an engine with the same fingerprint: the directory belongs to this
        // user alone, as `open` has seen to, and a file gets its name only when it is whole.
        let component = unsafe { Component::deserialize_file(engine.wasmtime(), &path) };
        component
            .inspect_err(|error| {
                tracing::debug!("cannot use {}, so the plugin is compiled again: {error:#}", path.display());
            })
            .ok()
    }

    /// Keeps a compiled component. That this fails costs time, not correctness.
    pub(super) fn put(&self, engine: &Engine, digest: &str, component: &Component) {
        let path = self.path(engine, digest);
        let written = component.serialize().map_err(io::Error::other).and_then(|code| self.write(&path, &code));
        if let Err(error) = written {
            tracing::warn!("cannot keep a compiled plugin in {}: {error}", self.directory.display());
        }
    }

    fn write(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(code)?;
        // Or a name could outlive a power cut that its bytes did not.
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }

    fn path(&self, engine: &Engine, digest: &str) -> PathBuf {
        self.directory.join(format!("{digest}-{:016x}.cwasm", engine.fingerprint()))
    }
}

/// Whether nobody but this user could have written a file.
fn is_own(metadata: &fs::Metadata) -> bool {
    let owner = nix::unistd::geteuid().as_raw();
    metadata.is_file() && metadata.uid() == owner && metadata.mode() & 0o022 == 0 && metadata.nlink() == 1
}

fn unfit(directory: &Path) -> io::Result<Option<String>> {
    let metadata = fs::symlink_metadata(directory)?;
    let owner = nix::unistd::geteuid().as_raw();
    let mode = metadata.mode() & 0o777;
    Ok(if !metadata.is_dir() {
        Some("is not a directory; remove it, or name another one".to_owned())
    } else if metadata.uid() != owner {
        Some(format!("belongs to user {}, not to {owner} who runs doproxy; name another one", metadata.uid()))
    } else if mode & 0o077 != 0 {
        Some(format!("can be used by others (mode {mode:03o}); its code would be run: remove {}", directory.display()))
    } else {
        None
    })
}
