//! Compiled components on disk. What lies here is run as machine code, so nobody else may write here, and nothing from
//! elsewhere is ever loaded as compiled.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::artifact::{self, CompileOutcome, CompiledComponent};
use super::engine::Engine;
use super::private_file::current_uid;
use super::{PluginError, private_file};

/// A directory that only this user can read or write.
#[derive(Debug)]
pub(super) struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// Makes the directory where it is missing, and refuses one that others have a hand in.
    pub(super) fn open(directory: PathBuf) -> Result<Self, PluginError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        match made.and_then(|()| check_directory(&directory)) {
            // Not by a name that could lead elsewhere tomorrow.
            Ok(None) => match directory.canonicalize() {
                Ok(directory) => Ok(Self { directory }),
                Err(error) => Err(PluginError::Cache { directory, reason: format!("cannot be used: {error}") }),
            },
            Ok(Some(reason)) => Err(PluginError::Cache { directory, reason }),
            Err(error) => Err(PluginError::Cache { directory, reason: format!("cannot be used: {error}") }),
        }
    }

    /// The compiled form of the component with this digest, if it is there and whole; at most `most` bytes.
    pub(super) fn get(&self, engine: &Engine, digest: &str, most: usize) -> Option<CompiledComponent> {
        let path = self.path(engine, digest);
        let frame = match private_file::read(&path, most.saturating_add(artifact::HEADER_LEN)) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::debug!("{} is not used: {error}", path.display());
                return None;
            }
        };
        if let Some(CompileOutcome::Code(compiled)) = artifact::read(frame) {
            return Some(compiled);
        }
        tracing::warn!("{} is not what was written there; the plugin is compiled again", path.display());
        None
    }

    /// Keeps a compiled component. That this fails costs time, not correctness.
    pub(super) fn put(&self, engine: &Engine, digest: &str, compiled: &CompiledComponent) {
        if let Err(error) = private_file::write(&self.path(engine, digest), compiled.frame()) {
            tracing::warn!("cannot keep a compiled plugin in {}: {error}", self.directory.display());
        }
    }

    fn path(&self, engine: &Engine, digest: &str) -> PathBuf {
        self.directory.join(format!("{digest}-{:016x}.code", engine.fingerprint()))
    }
}

fn check_directory(directory: &Path) -> io::Result<Option<String>> {
    let metadata = fs::symlink_metadata(directory)?;
    let mode = metadata.mode() & 0o777;
    Ok(if !metadata.is_dir() {
        Some("is not a directory; remove it, or name another one".to_owned())
    } else if metadata.uid() != current_uid() {
        Some(format!("belongs to user {}, not to {} who runs doproxy; name another one", metadata.uid(), current_uid()))
    } else if mode & 0o077 != 0 {
        Some(format!("can be used by others (mode {mode:03o}); its code would be run: remove {}", directory.display()))
    } else {
        let whole = directory.canonicalize()?;
        let mut parents = whole.ancestors().skip(1);
        parents.find_map(|parent| check_parent(parent).transpose()).transpose()?
    })
}

/// Whoever may write to a directory above may put another one in the place of the cache.
fn check_parent(parent: &Path) -> io::Result<Option<String>> {
    const STICKY: u32 = 0o1000;
    let metadata = fs::metadata(parent)?;
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o1777);
    let shown = parent.display();
    Ok(if owner != 0 && owner != current_uid() {
        Some(format!(
            "lies in {shown}, whose owner (user {owner}) could replace it; its code would be run: name another one with plugins.cache"
        ))
    } else if mode & 0o022 != 0 && mode & STICKY == 0 {
        Some(format!(
            "lies in {shown}, where others could replace it (mode {mode:03o}); its code would be run: `chmod go-w {shown}`, or name another one with plugins.cache"
        ))
    } else {
        None
    })
}
