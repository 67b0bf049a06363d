//! The real path of the inventory, and the files beside it.
//!
//! A lock, a backup and a write-ahead log belong to the file itself and not to one of its names: a process that opens
//! it through a link must find the same ones.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use doproxy_support::failpoint;
use doproxy_support::file::{remove_if_exists, with_suffix};

use crate::error::SqliteError;

/// Maximum number of links to follow; more than this form a cycle.
const MAX_LINKS: usize = 40;

/// The resolved path of an inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InventoryPath {
    file: PathBuf,
    folder: PathBuf,
}

impl InventoryPath {
    /// Resolves `path`, whether or not the file exists yet. Its folder must exist.
    pub(super) fn resolve(path: &Path) -> Result<Self, SqliteError> {
        resolve(path).map_err(|source| SqliteError::Folder { path: path.to_owned(), source })
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the path of the file with `suffix` appended.
    pub(super) fn sibling(&self, suffix: &str) -> PathBuf {
        with_suffix(&self.file, suffix)
    }

    pub(super) fn backup(&self) -> PathBuf {
        self.sibling(".backup")
    }

    /// Moves a complete file to `to`, so that a crash leaves either the old or the new one.
    pub(super) fn install(&self, new: &Path, to: &Path) -> io::Result<()> {
        failpoint("inventory install", || {
            File::open(new)?.sync_all()?;
            fs::rename(new, to)?;
            File::open(&self.folder)?.sync_all()
        })
    }
}

fn resolve(path: &Path) -> io::Result<InventoryPath> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Some(name) = path.file_name() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file name"));
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if let Ok(target) = fs::read_link(&path) {
            path = folder.join(target);
        } else {
            // Not a link, or it does not exist yet.
            let folder = fs::canonicalize(folder)?;
            return Ok(InventoryPath { file: folder.join(name), folder });
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "symbolic links form a cycle"))
}

/// Removes a database and SQLite's files beside it; a no-op if they do not exist.
pub(super) fn remove_database(path: &Path) -> io::Result<()> {
    // The logs go first: alone they would be applied to the next file of this name.
    remove_logs(path)?;
    remove_if_exists(path)
}

/// Removes SQLite's files beside a database.
pub(super) fn remove_logs(path: &Path) -> io::Result<()> {
    for suffix in ["-wal", "-shm", "-journal"] {
        remove_if_exists(&with_suffix(path, suffix))?;
    }
    Ok(())
}
