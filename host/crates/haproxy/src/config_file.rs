//! Installs the configuration so that at every moment the file is complete and accepted by HAProxy, and the previous
//! version is available.
//!
//! Files beside `haproxy.cfg`:
//! - `haproxy.cfg.last-good`, the previous valid configuration;
//! - `haproxy.cfg.pending`, present until HAProxy is known to have loaded an update, with the digest of that update;
//! - `haproxy.cfg.digests`, the digests of the files that doproxy installed, used to detect edits made outside
//!   doproxy;
//! - `haproxy.cfg.loaded`, which of these the running worker has loaded;
//! - `haproxy.cfg.replaced`, `haproxy.cfg.replaced.2` and so on, copies of externally edited files that doproxy replaced;
//! - briefly `….new.PID`, from which each of these is renamed.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doproxy_support::failpoint;
use doproxy_support::file::remove_if_exists;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use sha2::{Digest as _, Sha256};

use crate::error::HaProxyError;
use crate::options::sibling;

/// Maximum number of recorded digests: the current configuration, the previous one, and some that HAProxy did not load.
const MAX_DIGESTS: usize = 8;

/// The mode of a new configuration file. It may contain passwords.
const DEFAULT_MODE: u32 = 0o640;

/// The configuration file and the files beside it. Every operation is a few short system calls.
#[derive(Debug)]
pub(super) struct ConfigFile {
    path: PathBuf,
    last_good: PathBuf,
    pending: PathBuf,
    digests_path: PathBuf,
    loaded: PathBuf,
}

/// A file that is not yet in place; removed on drop if it was not renamed.
#[derive(Debug)]
pub(super) struct StagedFile(PathBuf);

/// The saved copy of a file that was edited outside doproxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ForeignEdit {
    pub(super) path: PathBuf,
    /// `true` if the edit had not been saved before, so that it has not been reported yet.
    pub(super) is_new: bool,
}

impl ConfigFile {
    /// Returns the configuration file at `file`; a symbolic link is resolved to its target.
    pub(super) fn new(file: &Path) -> Self {
        let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        Self {
            last_good: sibling(&file, "last-good"),
            pending: sibling(&file, "pending"),
            digests_path: sibling(&file, "digests"),
            loaded: sibling(&file, "loaded"),
            path: file,
        }
    }

    /// Returns the path of the configuration file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the configuration to roll back to; `None` if none exists.
    pub(super) fn last_good(&self) -> Option<&Path> {
        self.last_good.exists().then_some(&self.last_good)
    }

    /// Reads the current file; `None` if it does not exist.
    pub(super) fn read(&self) -> Result<Option<Vec<u8>>, HaProxyError> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file_error("read", &self.path)(error)),
        }
    }

    /// Returns the text of the configuration with this digest, searching the current and the previous one.
    pub(super) fn text_with_digest(&self, expected: &str) -> Option<String> {
        let texts = [&self.path, &self.last_good].into_iter().filter_map(|path| fs::read(path).ok());
        texts.filter(|bytes| digest(bytes) == expected).find_map(|bytes| String::from_utf8(bytes).ok())
    }

    /// Returns the time at which the configuration was installed or last changed.
    pub(super) fn changed_at(&self) -> Option<SystemTime> {
        let metadata = fs::metadata(&self.path).ok()?;
        let seconds = u64::try_from(metadata.ctime()).ok()?;
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds + 1))
    }

    /// Reads the record of what the running worker has loaded.
    pub(super) fn read_loaded(&self) -> Option<String> {
        fs::read_to_string(&self.loaded).ok()
    }

    /// Records what the running worker has loaded. Losing the record costs one additional reload.
    pub(super) fn write_loaded(&self, text: &str) -> Result<(), HaProxyError> {
        write_state(&self.loaded, text).inspect_err(|_| {
            // No record is better than an outdated one.
            let _ = fs::remove_file(&self.loaded);
        })
    }

    /// Reports whether an update is installed that HAProxy is not known to have loaded.
    pub(super) fn is_pending(&self) -> bool {
        // If this cannot be determined, an unnecessary reload does no harm.
        self.pending.try_exists().unwrap_or(true)
    }

    /// Reports whether doproxy installed these bytes, which means that the file has not been edited since.
    pub(super) fn is_managed(&self, bytes: &[u8]) -> bool {
        self.digests().contains(&digest(bytes))
    }

    /// Reports whether doproxy has ever installed a configuration here.
    pub(super) fn has_digests(&self) -> bool {
        !self.digests().is_empty()
    }

    /// Reports whether these bytes are the update that HAProxy is not known to have loaded.
    pub(super) fn is_unconfirmed(&self, bytes: &[u8]) -> bool {
        fs::read_to_string(&self.pending).is_ok_and(|untried| untried.trim_end() == digest(bytes))
    }

    /// Writes `text` to disk beside the file, with the file's owner and mode.
    pub(super) fn write_candidate(&self, text: &str) -> Result<StagedFile, HaProxyError> {
        self.stage(&self.path, text.as_bytes())
    }

    /// Saves a file that was edited outside doproxy, beside earlier ones.
    pub(super) fn save_foreign_edit(&self, bytes: &[u8]) -> Result<ForeignEdit, HaProxyError> {
        let mut number = 1;
        loop {
            let suffix = if number == 1 { "replaced".to_owned() } else { format!("replaced.{number}") };
            let path = sibling(&self.path, &suffix);
            match fs::read(&path) {
                Ok(kept) if kept == bytes => return Ok(ForeignEdit { path, is_new: false }),
                Ok(_) => number += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.write_atomically(&path, bytes)?;
                    return Ok(ForeignEdit { path, is_new: true });
                }
                Err(error) => return Err(file_error("read", &path)(error)),
            }
        }
    }

    /// Saves the previous valid configuration as the rollback target.
    pub(super) fn save_last_good(&self, bytes: &[u8]) -> Result<(), HaProxyError> {
        if fs::read(&self.last_good).is_ok_and(|kept| kept == bytes) {
            return Ok(());
        }
        // A copy and not a hard link: an edit of the installed file must not change both, and users other than root may
        // not link to root's files.
        self.write_atomically(&self.last_good, bytes)
    }

    /// Installs the candidate, whose text is `text`. On error the file is unchanged.
    pub(super) fn install(&self, candidate: &StagedFile, text: &str) -> Result<(), HaProxyError> {
        self.record_digest(text.as_bytes())?;
        self.write_atomically(&self.pending, format!("{}\n", digest(text.as_bytes())).as_bytes())?;
        self.rename(&candidate.0, &self.path)
    }

    /// Marks the installed configuration, which HAProxy had already loaded, for another reload; the mark survives a
    /// crash.
    pub(super) fn mark_pending(&self) -> Result<(), HaProxyError> {
        self.write_atomically(&self.pending, b"the same once more\n")
    }

    /// Clears the pending mark after HAProxy has loaded the file. If a power failure restores the mark, that costs one
    /// reload.
    pub(super) fn clear_pending(&self) -> Result<(), HaProxyError> {
        failpoint("clear the pending change", || remove_if_exists(&self.pending))
            .map_err(file_error("remove", &self.pending))
    }

    /// Restores the last good configuration. Works even on a full disk.
    pub(super) fn roll_back(&self) -> Result<(), HaProxyError> {
        let bytes = fs::read(&self.last_good).map_err(file_error("read", &self.last_good))?;
        self.rename(&self.last_good, &self.path)?;
        // The good configuration is installed; failing to keep a second copy of it is not an error.
        if let Err(error) = self.save_last_good(&bytes) {
            tracing::warn!("{error}");
        }
        Ok(())
    }

    /// Removes staged files left behind by processes that crashed.
    pub(super) fn remove_stale_files(&self) {
        let Some(name) = self.path.file_name().and_then(|name| name.to_str()) else { return };
        for entry in fs::read_dir(self.directory()).into_iter().flatten().flatten() {
            let found = entry.file_name();
            let rest = found.to_str().and_then(|found| found.strip_prefix(name)?.strip_prefix('.'));
            let pid = rest.and_then(|rest| {
                let pid = rest.strip_prefix("new.").or_else(|| Some(rest.rsplit_once(".new.")?.1))?;
                pid.parse::<i32>().ok().filter(|pid| *pid > 0)
            });
            // A file with this process's own ID was left by an earlier process with the same ID.
            if pid.is_some_and(|pid| pid.unsigned_abs() == std::process::id() || process_has_ended(pid))
                && let Err(error) =
                    failpoint("remove a staged file of a dead process", || remove_if_exists(&entry.path()))
            {
                tracing::warn!("{}", file_error("remove", &entry.path())(error));
            }
        }
    }

    fn digests(&self) -> Vec<String> {
        // If the digests cannot be read, the result is an unnecessary copy.
        fs::read_to_string(&self.digests_path).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    fn record_digest(&self, bytes: &[u8]) -> Result<(), HaProxyError> {
        let new = digest(bytes);
        let mut digests = self.digests();
        digests.retain(|old| *old != new);
        digests.insert(0, new);
        digests.truncate(MAX_DIGESTS);
        self.write_atomically(&self.digests_path, (digests.join("\n") + "\n").as_bytes())
    }

    fn write_atomically(&self, path: &Path, bytes: &[u8]) -> Result<(), HaProxyError> {
        self.rename(&self.stage(path, bytes)?.0, path)
    }

    fn stage(&self, path: &Path, bytes: &[u8]) -> Result<StagedFile, HaProxyError> {
        let staged = StagedFile(sibling(path, &format!("new.{}", std::process::id())));
        let write = || -> io::Result<()> {
            // Left behind by an earlier process with the same ID.
            remove_if_exists(&staged.0)?;
            let mut file = failpoint("create a staged file", || {
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged.0)
            })?;
            copy_permissions(&file, &self.path)?;
            failpoint("write a staged file", || file.write_all(bytes))?;
            failpoint("sync a staged file", || file.sync_all())
        };
        write().map_err(file_error("write", path))?;
        Ok(staged)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), HaProxyError> {
        failpoint("rename into place", || fs::rename(from, to)).map_err(file_error("write", to))?;
        let directory = self.directory();
        let synced =
            failpoint("sync the directory", || File::open(directory).and_then(|directory| directory.sync_all()));
        // The file is in place. After a power failure it may be the previous one again, which is complete as well.
        if let Err(error) = synced {
            tracing::warn!("{}", file_error("sync", directory)(error));
        }
        Ok(())
    }

    fn directory(&self) -> &Path {
        self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }
}

impl StagedFile {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        // The file no longer exists if it was renamed into place.
        let _ = fs::remove_file(&self.0);
    }
}

/// Writes a small file atomically; losing it does no harm.
pub(super) fn write_state(path: &Path, text: &str) -> Result<(), HaProxyError> {
    let new = sibling(path, "new");
    let written = failpoint("write the state file", || fs::write(&new, text).and_then(|()| fs::rename(&new, path)));
    written.map_err(|error| {
        let _ = fs::remove_file(&new);
        file_error("write", path)(error)
    })
}

/// Gives `file` the owner, group and mode of the one at `path`, as far as permissions allow.
fn copy_permissions(file: &File, path: &Path) -> io::Result<()> {
    let Ok(old) = fs::metadata(path) else { return file.set_permissions(Permissions::from_mode(DEFAULT_MODE)) };
    // Only root may change a file's owner; other users may still assign a group that they belong to. If neither is
    // permitted, the new file keeps this process's owner and group.
    let _ = fchown(file, Some(old.uid()), Some(old.gid())).or_else(|_| fchown(file, None, Some(old.gid())));
    file.set_permissions(Permissions::from_mode(old.mode() & 0o777))
}

fn process_has_ended(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)
}

/// Returns the digest that identifies a configuration.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn file_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HaProxyError {
    let path = path.to_owned();
    move |source| HaProxyError::File { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_file() -> (tempfile::TempDir, ConfigFile) {
        let dir = tempfile::tempdir().unwrap();
        let place = ConfigFile::new(&dir.path().join("haproxy.cfg"));
        (dir, place)
    }

    fn install(place: &ConfigFile, text: &str) {
        place.install(&place.write_candidate(text).unwrap(), text).unwrap();
    }

    fn names(dir: &tempfile::TempDir) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn roll_back_restores_previous_configuration() {
        let (dir, place) = config_file();
        install(&place, "good");
        place.clear_pending().unwrap();
        place.save_last_good(b"good").unwrap();
        install(&place, "bad");

        place.roll_back().unwrap();

        assert_eq!(place.read().unwrap().as_deref(), Some(&b"good"[..]));
        assert!(place.is_pending() && !place.is_unconfirmed(b"good"));
        let expected = ["haproxy.cfg", "haproxy.cfg.digests", "haproxy.cfg.last-good", "haproxy.cfg.pending"];
        assert_eq!(names(&dir), expected);
    }

    #[test]
    fn edit_does_not_reach_last_good_copy() {
        let (dir, place) = config_file();
        install(&place, "good");
        place.save_last_good(b"good").unwrap();
        place.roll_back().unwrap();

        fs::write(dir.path().join("haproxy.cfg"), "foreign edit").unwrap();

        assert_eq!(fs::read_to_string(place.last_good().unwrap()).unwrap(), "good");
    }

    #[test]
    fn unconfirmed_update_is_distinguished_from_loaded_one() {
        let (_dir, place) = config_file();
        install(&place, "good");
        place.clear_pending().unwrap();
        install(&place, "crashed before the reload");

        assert!(place.is_unconfirmed(b"crashed before the reload"));
        assert!(!place.is_unconfirmed(b"good"));
        assert!(
            place.is_managed(b"good")
                && place.is_managed(b"crashed before the reload")
                && !place.is_managed(b"foreign edit")
        );
    }

    #[test]
    fn each_edit_is_saved_once() {
        let (dir, place) = config_file();

        let kept = ["first", "second", "first"].map(|edit| place.save_foreign_edit(edit.as_bytes()).unwrap());

        assert_eq!(kept.each_ref().map(|edit| edit.is_new), [true, true, false]);
        assert_eq!(kept[0].path, kept[2].path);
        assert_eq!(fs::read_to_string(&kept[1].path).unwrap(), "second");
        assert_eq!(names(&dir), ["haproxy.cfg.replaced", "haproxy.cfg.replaced.2"]);
    }

    #[test]
    fn clean_up_removes_only_files_of_dead_processes() {
        let (dir, place) = config_file();
        let ended = std::process::Command::new("true").spawn().map(|mut child| {
            child.wait().unwrap();
            child.id()
        });
        let ended = ended.unwrap();
        let left = [format!("haproxy.cfg.new.{ended}"), format!("haproxy.cfg.last-good.new.{ended}")];
        // Process 1 always runs.
        let others = ["haproxy.cfg.new.1", "haproxy.cfg.new.txt", "haproxy.cfg.new.0", "other.cfg.new.999"];
        for name in left.iter().map(String::as_str).chain(others) {
            fs::write(dir.path().join(name), "").unwrap();
        }

        place.remove_stale_files();

        assert_eq!(names(&dir), ["haproxy.cfg.new.0", "haproxy.cfg.new.1", "haproxy.cfg.new.txt", "other.cfg.new.999"]);
    }

    #[test]
    fn file_mode_is_preserved() {
        let (dir, place) = config_file();
        fs::write(dir.path().join("haproxy.cfg"), "old").unwrap();
        fs::set_permissions(dir.path().join("haproxy.cfg"), Permissions::from_mode(0o604)).unwrap();

        install(&place, "new");

        assert_eq!(fs::metadata(dir.path().join("haproxy.cfg")).unwrap().mode() & 0o777, 0o604);
    }

    #[test]
    fn uninstalled_candidate_leaves_no_trace() {
        let (dir, place) = config_file();

        drop(place.write_candidate("refused").unwrap());

        assert_eq!(names(&dir), Vec::<String>::new());
    }

    #[test]
    fn symlink_is_preserved() {
        let (dir, _) = config_file();
        fs::write(dir.path().join("real.cfg"), "old").unwrap();
        let link = dir.path().join("link.cfg");
        std::os::unix::fs::symlink(dir.path().join("real.cfg"), &link).unwrap();

        install(&ConfigFile::new(&link), "new");

        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(dir.path().join("real.cfg")).unwrap(), "new");
    }
}
