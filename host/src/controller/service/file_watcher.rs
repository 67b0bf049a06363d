//! Files that may change: looked at now and then, by what the file system says of them.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What tells apart a file and the same file changed: device and inode, size, and both times to the nanosecond. `None` for
/// one that is not there.
type FileStamp = Option<(u64, u64, u64, i64, i64, i64, i64)>;

/// Files, as they were looked at last.
#[derive(Debug, Default)]
pub(super) struct FileWatcher(HashMap<PathBuf, FileStamp>);

impl FileWatcher {
    /// Whether a file is another than when it was looked at last. One that is looked at for the first time is not.
    pub(super) fn has_changed(&mut self, file: &Path) -> bool {
        let now = stamp(file);
        match self.0.insert(file.to_owned(), now) {
            None => false,
            Some(before) => before != now,
        }
    }

    /// Looks at a file that was not looked at before; what happens to it from now on is a change.
    pub(super) fn track(&mut self, file: &Path) {
        self.0.entry(file.to_owned()).or_insert_with(|| stamp(file));
    }

    /// Looks at nothing but these from now on.
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
    fn a_file_that_is_written_replaced_or_removed_has_changed() {
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
    fn a_file_changes_from_the_first_look_on() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.wasm");
        let mut watched = FileWatcher::default();

        watched.track(&file);
        std::fs::write(&file, "one").unwrap();
        watched.track(&file);

        assert!(watched.has_changed(&file));
    }
}
