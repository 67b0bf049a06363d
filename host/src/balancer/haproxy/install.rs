//! Putting the configuration in its place, so that at every moment the file there is a whole one that HAProxy
//! accepts, and the one before is at hand.
//!
//! Beside `haproxy.cfg` there are `haproxy.cfg.last-good`, the configuration that a process was last seen to have
//! taken before the present one; `haproxy.cfg.pending` while it is not known whether HAProxy took the present one,
//! also after a crash; and for a moment `haproxy.cfg.new.PID`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use super::HaProxyError;
use super::options::beside;

/// The configuration file and those beside it. All of its work is a few short system calls.
#[derive(Debug)]
pub(super) struct Place {
    file: PathBuf,
    last_good: PathBuf,
    pending: PathBuf,
}

/// A file that is not in its place yet; removed when it does not get there.
#[derive(Debug)]
pub(super) struct Candidate(PathBuf);

impl Place {
    /// The place of `file`; where that is a link, the place that it leads to.
    pub(super) fn new(file: &Path) -> Self {
        let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        Self { last_good: beside(&file, "last-good"), pending: beside(&file, "pending"), file }
    }

    /// What is there now; `None` where there is nothing.
    pub(super) fn read(&self) -> Result<Option<Vec<u8>>, HaProxyError> {
        match fs::read(&self.file) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &self.file)(error)),
        }
    }

    /// Whether it is not known that HAProxy took what is there.
    pub(super) fn is_pending(&self) -> bool {
        self.pending.exists()
    }

    /// Writes `text` beside the file, to the disk, with the owner that the file has.
    pub(super) fn write_candidate(&self, text: &str) -> Result<Candidate, HaProxyError> {
        let candidate = Candidate(beside(&self.file, &format!("new.{}", std::process::id())));
        // Ours alone: left over by a process of the same id.
        remove(&candidate.0).map_err(failed("remove", &candidate.0))?;
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&candidate.0)?;
            if let Ok(old) = fs::metadata(&self.file) {
                // Only root may give a file away; for others the new file is as good as they can make it.
                let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
            }
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(failed("write", &candidate.0))?;
        Ok(candidate)
    }

    /// Keeps what is there as the last good one, and puts the candidate in its place.
    pub(super) fn install(&self, candidate: &Candidate) -> Result<(), HaProxyError> {
        if !self.is_pending() {
            self.keep_as_last_good()?;
        }
        self.mark_pending()?;
        fs::rename(&candidate.0, &self.file).map_err(failed("write", &self.file))?;
        self.sync_directory()
    }

    /// Remembers, over a crash too, that HAProxy may not have taken what is there.
    pub(super) fn mark_pending(&self) -> Result<(), HaProxyError> {
        let marked = File::create(&self.pending).and_then(|file| file.sync_all());
        marked.map_err(failed("write", &self.pending))?;
        self.sync_directory()
    }

    /// HAProxy took what is there.
    pub(super) fn settle(&self) -> Result<(), HaProxyError> {
        remove(&self.pending).map_err(failed("remove", &self.pending))
    }

    /// Puts the last good configuration back; `false` where there is none, and nothing is done.
    pub(super) fn roll_back(&self) -> Result<bool, HaProxyError> {
        if !self.last_good.exists() {
            return Ok(false);
        }
        let link = beside(&self.file, &format!("new.{}", std::process::id()));
        remove(&link)
            .and_then(|()| fs::hard_link(&self.last_good, &link))
            .and_then(|()| fs::rename(&link, &self.file))
            // Renaming one link of a file over another does nothing, and leaves both.
            .and_then(|()| remove(&link))
            .map_err(failed("write", &self.file))?;
        self.sync_directory()?;
        Ok(true)
    }

    fn keep_as_last_good(&self) -> Result<(), HaProxyError> {
        let link = beside(&self.last_good, "new");
        let kept = remove(&link).and_then(|()| match fs::hard_link(&self.file, &link) {
            Ok(()) => fs::rename(&link, &self.last_good).and_then(|()| remove(&link)),
            // Nothing was there before, so nothing may be rolled back to.
            Err(error) if error.kind() == io::ErrorKind::NotFound => remove(&self.last_good),
            Err(error) => Err(error),
        });
        kept.map_err(failed("write", &self.last_good))
    }

    fn sync_directory(&self) -> Result<(), HaProxyError> {
        let directory = self.file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("write", directory))
    }
}

impl Candidate {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        // Gone already where it was installed.
        let _ = fs::remove_file(&self.0);
    }
}

/// Writes a small file whose loss does no harm.
pub(super) fn write_state(path: &Path, text: &str) -> Result<(), HaProxyError> {
    let new = beside(path, "new");
    fs::write(&new, text).and_then(|()| fs::rename(&new, path)).map_err(failed("write", path))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HaProxyError {
    let path = path.to_owned();
    move |source| HaProxyError::File { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Place) {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(&dir.path().join("haproxy.cfg"));
        (dir, place)
    }

    fn install(place: &Place, text: &str) {
        place.install(&place.write_candidate(text).unwrap()).unwrap();
    }

    fn names(dir: &tempfile::TempDir) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_configuration_of_before_comes_back() {
        let (dir, place) = place();
        for text in ["one", "two"] {
            install(&place, text);
            place.settle().unwrap();
        }
        install(&place, "three");

        assert!(place.roll_back().unwrap());

        assert_eq!(place.read().unwrap().as_deref(), Some(&b"two"[..]));
        assert!(place.is_pending());
        assert_eq!(names(&dir), ["haproxy.cfg", "haproxy.cfg.last-good", "haproxy.cfg.pending"]);
    }

    #[test]
    fn a_configuration_that_was_never_taken_does_not_become_the_last_good_one() {
        let (_dir, place) = place();
        install(&place, "good");
        place.settle().unwrap();
        install(&place, "crashed before the reload");
        install(&place, "the next");

        assert!(place.roll_back().unwrap());

        assert_eq!(place.read().unwrap().as_deref(), Some(&b"good"[..]));
    }

    #[test]
    fn the_only_configuration_is_never_removed() {
        let (dir, place) = place();
        install(&place, "first");

        assert!(!place.roll_back().unwrap());

        assert_eq!(names(&dir), ["haproxy.cfg", "haproxy.cfg.pending"]);
    }

    #[test]
    fn a_candidate_that_is_not_installed_leaves_no_trace() {
        let (dir, place) = place();

        drop(place.write_candidate("refused").unwrap());

        assert_eq!(names(&dir), Vec::<String>::new());
    }

    #[test]
    fn a_link_stays_a_link() {
        let (dir, _) = place();
        fs::write(dir.path().join("real.cfg"), "old").unwrap();
        let link = dir.path().join("link.cfg");
        std::os::unix::fs::symlink(dir.path().join("real.cfg"), &link).unwrap();

        install(&Place::new(&link), "new");

        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(dir.path().join("real.cfg")).unwrap(), "new");
    }
}
