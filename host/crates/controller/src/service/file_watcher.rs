//! Detects changed files by polling their metadata.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The identity of a file's content: device, inode, size, and both timestamps with nanoseconds. `None` if the file does
/// not exist.
type FileStamp = Option<(u64, u64, u64, i64, i64, i64, i64)>;

/// Watched files with the stamps of the last check.
#[derive(Debug, Default)]
pub(super) struct FileWatcher(HashMap<PathBuf, FileStamp>);

impl FileWatcher {
    /// Reports whether a file changed since the last check. The first check of a file reports no change.
    pub(super) fn has_changed(&mut self, file: &Path) -> bool {
        let now = stamp(file);
        match self.0.insert(file.to_owned(), now) {
            None => false,
            Some(before) => before != now,
        }
    }

    /// Starts to watch a file if it is not watched yet; later modifications count as changes.
    pub(super) fn track(&mut self, file: &Path) {
        self.0.entry(file.to_owned()).or_insert_with(|| stamp(file));
    }

    /// Stops watching all files that the predicate rejects.
    pub(super) fn retain(&mut self, is_wanted: impl Fn(&Path) -> bool) {
        self.0.retain(|file, _| is_wanted(file));
    }
}

fn stamp(file: &Path) -> FileStamp {
    let meta = std::fs::metadata(file).ok()?;
    Some((meta.dev(), meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_replaced_or_removed_file_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("doproxy.yml");
        std::fs::write(&file, "one").unwrap();
        let mut watched = FileWatcher::default();

        assert!(!watched.has_changed(&file));
        assert!(!watched.has_changed(&file));
        std::fs::write(&file, "three").unwrap();
        assert!(watched.has_changed(&file));
        let other = dir.path().join("other");
        std::fs::write(&other, "three").unwrap();
        std::fs::rename(&other, &file).unwrap();
        assert!(watched.has_changed(&file));
        std::fs::remove_file(&file).unwrap();
        assert!(watched.has_changed(&file));
        assert!(!watched.has_changed(&file));
    }

    #[test]
    fn tracked_file_changes_after_first_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.wasm");
        let mut watched = FileWatcher::default();

        watched.track(&file);
        std::fs::write(&file, "one").unwrap();
        watched.track(&file);

        assert!(watched.has_changed(&file));
    }
}
