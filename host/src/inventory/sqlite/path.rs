//! Where the inventory really is, and the files beside it.
//!
//! A lock, a backup and a write-ahead log belong to the file itself and not to a name of it: whoever comes through a
//! link must find the same ones.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::InventoryError;
use crate::failpoint;

/// More links than this lead in a circle.
const MAX_LINKS: usize = 40;

/// The real place of an inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InventoryPath {
    file: PathBuf,
    folder: PathBuf,
}

impl InventoryPath {
    /// The place that `path` leads to, whether there is a file yet or not. Its folder has to be there.
    pub(super) fn resolve(path: &Path) -> Result<Self, InventoryError> {
        resolve(path).map_err(|source| InventoryError::Folder { path: path.to_owned(), source })
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file whose name has `suffix` after it.
    pub(super) fn sibling(&self, suffix: &str) -> PathBuf {
        with_suffix(&self.file, suffix)
    }

    pub(super) fn backup(&self) -> PathBuf {
        self.sibling(".backup")
    }

    /// Makes a file that is whole the one at `to`, so that a crash leaves the old one or the new one.
    pub(super) fn install(&self, new: &Path, to: &Path) -> io::Result<()> {
        failpoint::failpoint("inventory install", || {
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
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no name of a file"));
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if let Ok(target) = fs::read_link(&path) {
            path = folder.join(target);
        } else {
            // It is no link, or not there yet.
            let folder = fs::canonicalize(folder)?;
            return Ok(InventoryPath { file: folder.join(name), folder });
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "its links lead in a circle"))
}

/// The file whose name has `suffix` after it.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removes a database and what SQLite keeps beside it; nothing where there is none.
pub(super) fn remove_database(path: &Path) -> io::Result<()> {
    // The logs go first: alone they would be taken for those of the next file of this name.
    remove_logs(path)?;
    remove(path)
}

/// Removes what SQLite keeps beside a database.
pub(super) fn remove_logs(path: &Path) -> io::Result<()> {
    for suffix in ["-wal", "-shm", "-journal"] {
        remove(&with_suffix(path, suffix))?;
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
