//! On-disk cache of compiled components. Its content is executed as machine code, so no other user may have write
//! access, and compiled code from any other source is never loaded.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use doproxy_support::{current_uid, private_file};

use crate::compile::artifact;
use crate::compile::artifact::{CompileOutcome, CompiledComponent};
use crate::engine::Engine;
use crate::error::PluginError;

/// A directory that only the current user can read and write.
#[derive(Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// Creates the directory if it is missing, and rejects one that other users can access.
    pub(crate) fn open(directory: PathBuf) -> Result<Self, PluginError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        match made.and_then(|()| check_directory(&directory)) {
            // Resolve symbolic links now, so that the path cannot point elsewhere later.
            Ok(None) => match directory.canonicalize() {
                Ok(directory) => Ok(Self { directory }),
                Err(error) => Err(PluginError::Cache { directory, reason: format!("cannot be used: {error}") }),
            },
            Ok(Some(reason)) => Err(PluginError::Cache { directory, reason }),
            Err(error) => Err(PluginError::Cache { directory, reason: format!("cannot be used: {error}") }),
        }
    }

    /// Returns the compiled form of the component with this digest if it is cached and intact; reads at most `most`
    /// bytes.
    pub(crate) fn get(&self, engine: &Engine, digest: &str, most: usize) -> Option<CompiledComponent> {
        let path = self.path(engine, digest);
        let frame = match private_file::read(&path, most.saturating_add(artifact::HEADER_LEN)) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::debug!("ignoring cached code at {}: {error}", path.display());
                return None;
            }
        };
        if let Some(CompileOutcome::Code(compiled)) = artifact::read(frame) {
            return Some(compiled);
        }
        tracing::warn!("{} failed its integrity check; recompiling the plugin", path.display());
        None
    }

    /// Stores a compiled component. A failure costs time, not correctness.
    pub(crate) fn put(&self, engine: &Engine, digest: &str, compiled: &CompiledComponent) {
        if let Err(error) = private_file::write(&self.path(engine, digest), compiled.frame()) {
            tracing::warn!("failed to cache a compiled plugin in {}: {error}", self.directory.display());
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
        Some("is not a directory; remove it or configure a different one".to_owned())
    } else if metadata.uid() != current_uid() {
        Some(format!(
            "belongs to user {}, but doproxy runs as user {}; configure a different one",
            metadata.uid(),
            current_uid()
        ))
    } else if mode & 0o077 != 0 {
        Some(format!(
            "is accessible to other users (mode {mode:03o}) who could inject code; remove {}",
            directory.display()
        ))
    } else {
        let whole = directory.canonicalize()?;
        let mut parents = whole.ancestors().skip(1);
        parents.find_map(|parent| check_parent(parent).transpose()).transpose()?
    })
}

/// Checks the parent directories: any user with write access to one of them could replace the cache.
fn check_parent(parent: &Path) -> io::Result<Option<String>> {
    const STICKY: u32 = 0o1000;
    let metadata = fs::metadata(parent)?;
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o1777);
    let shown = parent.display();
    Ok(if owner != 0 && owner != current_uid() {
        Some(format!(
            "is inside {shown}, whose owner (user {owner}) could replace it and inject code; configure a different one with plugins.cache"
        ))
    } else if mode & 0o022 != 0 && mode & STICKY == 0 {
        Some(format!(
            "is inside {shown}, where other users could replace it (mode {mode:03o}) and inject code; run `chmod go-w {shown}` or configure a different one with plugins.cache"
        ))
    } else {
        None
    })
}
