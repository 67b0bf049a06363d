//! Putting the configuration in its place, so that at every moment the file there is a whole one that HAProxy
//! accepts, and the one before is at hand.
//!
//! Beside `haproxy.cfg` there are
//! - `haproxy.cfg.last-good`, which booted and stood there before the present one;
//! - `haproxy.cfg.pending`, while it is not known whether HAProxy took a change, with the digest of that;
//! - `haproxy.cfg.installed`, the digests of what doproxy put there, by which a file that somebody else changed is
//!   found out;
//! - `haproxy.cfg.taken`, which of these the running worker was made equal to;
//! - `haproxy.cfg.edited`, `haproxy.cfg.edited.2` and so on, such files before they were replaced;
//! - for a moment `….new.PID`, from which each of these is renamed.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use sha2::{Digest as _, Sha256};

use super::HaProxyError;
use super::options::sibling;
use crate::failpoint::failpoint;

/// How many digests are remembered: the present configuration, the one before, and some that were not taken.
const MAX_DIGESTS: usize = 8;

/// The mode of a configuration that replaces none. It may hold passwords.
const DEFAULT_MODE: u32 = 0o640;

/// The configuration file and those beside it. All of its work is a few short system calls.
#[derive(Debug)]
pub(super) struct ConfigFile {
    path: PathBuf,
    last_good: PathBuf,
    pending: PathBuf,
    digests_path: PathBuf,
    loaded: PathBuf,
}

/// A file that is not in its place yet; removed when it does not get there.
#[derive(Debug)]
pub(super) struct StagedFile(PathBuf);

/// Where a file that somebody else changed is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ForeignEdit {
    pub(super) path: PathBuf,
    /// It was not kept before, so nobody was told yet.
    pub(super) is_new: bool,
}

impl ConfigFile {
    /// The place of `file`; where that is a link, the place that it leads to.
    pub(super) fn new(file: &Path) -> Self {
        let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        Self {
            last_good: sibling(&file, "last-good"),
            pending: sibling(&file, "pending"),
            digests_path: sibling(&file, "installed"),
            loaded: sibling(&file, "taken"),
            path: file,
        }
    }

    /// The configuration file itself.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration to go back to; `None` where there is none.
    pub(super) fn last_good(&self) -> Option<&Path> {
        self.last_good.exists().then_some(&self.last_good)
    }

    /// What is there now; `None` where there is nothing.
    pub(super) fn read(&self) -> Result<Option<Vec<u8>>, HaProxyError> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file_error("read", &self.path)(error)),
        }
    }

    /// The text of the configuration that has this digest: the present one or the one before.
    pub(super) fn text_with_digest(&self, wanted: &str) -> Option<String> {
        let texts = [&self.path, &self.last_good].into_iter().filter_map(|path| fs::read(path).ok());
        texts.filter(|bytes| digest(bytes) == wanted).find_map(|bytes| String::from_utf8(bytes).ok())
    }

    /// When the configuration was put in its place, or changed there.
    pub(super) fn changed_at(&self) -> Option<SystemTime> {
        let metadata = fs::metadata(&self.path).ok()?;
        let seconds = u64::try_from(metadata.ctime()).ok()?;
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds + 1))
    }

    /// What was noted of the running worker.
    pub(super) fn read_loaded(&self) -> Option<String> {
        fs::read_to_string(&self.loaded).ok()
    }

    /// Notes something of the running worker. Where that is lost, one reload more makes up for it.
    pub(super) fn write_loaded(&self, text: &str) -> Result<(), HaProxyError> {
        write_state(&self.loaded, text).inspect_err(|_| {
            // Nothing is better than what was true before.
            let _ = fs::remove_file(&self.loaded);
        })
    }

    /// Whether there is a change of which it is not known that HAProxy took it.
    pub(super) fn is_pending(&self) -> bool {
        // Where it cannot be seen, one reload too many does no harm.
        self.pending.try_exists().unwrap_or(true)
    }

    /// Whether doproxy put these bytes there, and nobody has changed them since.
    pub(super) fn is_managed(&self, bytes: &[u8]) -> bool {
        self.digests().contains(&digest(bytes))
    }

    /// Whether doproxy ever put anything there.
    pub(super) fn has_digests(&self) -> bool {
        !self.digests().is_empty()
    }

    /// Whether these bytes are those of which it is not known that HAProxy took them.
    pub(super) fn is_unconfirmed(&self, bytes: &[u8]) -> bool {
        fs::read_to_string(&self.pending).is_ok_and(|untried| untried.trim_end() == digest(bytes))
    }

    /// Writes `text` beside the file, to the disk, with the owner and the mode that the file has.
    pub(super) fn write_candidate(&self, text: &str) -> Result<StagedFile, HaProxyError> {
        self.stage(&self.path, text.as_bytes())
    }

    /// Keeps a file that somebody else changed, beside those that were kept before.
    pub(super) fn save_foreign_edit(&self, bytes: &[u8]) -> Result<ForeignEdit, HaProxyError> {
        let mut number = 1;
        loop {
            let suffix = if number == 1 { "edited".to_owned() } else { format!("edited.{number}") };
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

    /// Keeps what boots, and was there before, as what a failed change goes back to.
    pub(super) fn save_last_good(&self, bytes: &[u8]) -> Result<(), HaProxyError> {
        if fs::read(&self.last_good).is_ok_and(|kept| kept == bytes) {
            return Ok(());
        }
        // A copy and no link: who edits the file in its place must not change both, and others than root may not
        // link to a file of root's.
        self.write_atomically(&self.last_good, bytes)
    }

    /// Puts the candidate, whose text is `text`, in its place. On an error the file is as it was.
    pub(super) fn install(&self, candidate: &StagedFile, text: &str) -> Result<(), HaProxyError> {
        self.record_digest(text.as_bytes())?;
        self.write_atomically(&self.pending, format!("{}\n", digest(text.as_bytes())).as_bytes())?;
        self.rename(&candidate.0, &self.path)
    }

    /// Remembers, over a crash too, that HAProxy is to read once more what is there and was taken before.
    pub(super) fn mark_pending(&self) -> Result<(), HaProxyError> {
        self.write_atomically(&self.pending, b"the same once more\n")
    }

    /// HAProxy took what is there. Where a loss of power brings the mark back, that costs one reload.
    pub(super) fn clear_pending(&self) -> Result<(), HaProxyError> {
        failpoint("forget the pending change", || remove(&self.pending)).map_err(file_error("remove", &self.pending))
    }

    /// Puts the last good configuration back. Needs no room on the disk.
    pub(super) fn roll_back(&self) -> Result<(), HaProxyError> {
        let bytes = fs::read(&self.last_good).map_err(file_error("read", &self.last_good))?;
        self.rename(&self.last_good, &self.path)?;
        // The good one is in its place: that there is no second one of it is no failure.
        if let Err(error) = self.save_last_good(&bytes) {
            tracing::warn!("{error}");
        }
        Ok(())
    }

    /// Removes what processes left that ended in the middle of their work.
    pub(super) fn remove_stale_files(&self) {
        let Some(name) = self.path.file_name().and_then(|name| name.to_str()) else { return };
        for entry in fs::read_dir(self.directory()).into_iter().flatten().flatten() {
            let found = entry.file_name();
            let rest = found.to_str().and_then(|found| found.strip_prefix(name)?.strip_prefix('.'));
            let pid = rest.and_then(|rest| {
                let pid = rest.strip_prefix("new.").or_else(|| Some(rest.rsplit_once(".new.")?.1))?;
                pid.parse::<i32>().ok().filter(|pid| *pid > 0)
            });
            // One of our own id is left over by a process that had it before.
            if pid.is_some_and(|pid| pid.unsigned_abs() == std::process::id() || process_has_ended(pid))
                && let Err(error) = failpoint("remove a draft of a process that ended", || remove(&entry.path()))
            {
                tracing::warn!("{}", file_error("remove", &entry.path())(error));
            }
        }
    }

    fn digests(&self) -> Vec<String> {
        // Where it cannot be read, a copy too many is kept.
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
        let draft = StagedFile(sibling(path, &format!("new.{}", std::process::id())));
        let write = || -> io::Result<()> {
            // Left over by a process of the same id.
            remove(&draft.0)?;
            let mut file = failpoint("create a draft", || {
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft.0)
            })?;
            copy_permissions(&file, &self.path)?;
            failpoint("write a draft", || file.write_all(bytes))?;
            failpoint("sync a draft", || file.sync_all())
        };
        write().map_err(file_error("write", path))?;
        Ok(draft)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), HaProxyError> {
        failpoint("rename into place", || fs::rename(from, to)).map_err(file_error("write", to))?;
        let directory = self.directory();
        let synced =
            failpoint("sync the directory", || File::open(directory).and_then(|directory| directory.sync_all()));
        // It is in its place. After a loss of power it may be the one before again, which is whole as well.
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
        // Gone already where it was put in its place.
        let _ = fs::remove_file(&self.0);
    }
}

/// Writes a small file whose loss does no harm, in one step.
pub(super) fn write_state(path: &Path, text: &str) -> Result<(), HaProxyError> {
    let new = sibling(path, "new");
    let written = failpoint("write the state file", || fs::write(&new, text).and_then(|()| fs::rename(&new, path)));
    written.map_err(|error| {
        let _ = fs::remove_file(&new);
        file_error("write", path)(error)
    })
}

/// Gives `file` the owner, the group and the mode of the one at `path`, as far as that is allowed.
fn copy_permissions(file: &File, path: &Path) -> io::Result<()> {
    let Ok(old) = fs::metadata(path) else { return file.set_permissions(Permissions::from_mode(DEFAULT_MODE)) };
    // Only root may give a file away; others may still give it to a group that they are in. Where neither is
    // allowed, the new file is as good as they can make it.
    let _ = fchown(file, Some(old.uid()), Some(old.gid())).or_else(|_| fchown(file, None, Some(old.gid())));
    file.set_permissions(Permissions::from_mode(old.mode() & 0o777))
}

fn process_has_ended(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)
}

/// What a configuration is known by.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
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
    fn the_configuration_of_before_comes_back() {
        let (dir, place) = config_file();
        install(&place, "good");
        place.clear_pending().unwrap();
        place.save_last_good(b"good").unwrap();
        install(&place, "bad");

        place.roll_back().unwrap();

        assert_eq!(place.read().unwrap().as_deref(), Some(&b"good"[..]));
        assert!(place.is_pending() && !place.is_unconfirmed(b"good"));
        let expected = ["haproxy.cfg", "haproxy.cfg.installed", "haproxy.cfg.last-good", "haproxy.cfg.pending"];
        assert_eq!(names(&dir), expected);
    }

    #[test]
    fn an_edit_in_its_place_does_not_reach_the_last_good_one() {
        let (dir, place) = config_file();
        install(&place, "good");
        place.save_last_good(b"good").unwrap();
        place.roll_back().unwrap();

        fs::write(dir.path().join("haproxy.cfg"), "edited").unwrap();

        assert_eq!(fs::read_to_string(place.last_good().unwrap()).unwrap(), "good");
    }

    #[test]
    fn what_was_never_taken_is_told_from_what_was() {
        let (_dir, place) = config_file();
        install(&place, "good");
        place.clear_pending().unwrap();
        install(&place, "crashed before the reload");

        assert!(place.is_unconfirmed(b"crashed before the reload"));
        assert!(!place.is_unconfirmed(b"good"));
        assert!(
            place.is_managed(b"good") && place.is_managed(b"crashed before the reload") && !place.is_managed(b"edited")
        );
    }

    #[test]
    fn each_edit_is_kept_once() {
        let (dir, place) = config_file();

        let kept = ["first", "second", "first"].map(|edit| place.save_foreign_edit(edit.as_bytes()).unwrap());

        assert_eq!(kept.each_ref().map(|edit| edit.is_new), [true, true, false]);
        assert_eq!(kept[0].path, kept[2].path);
        assert_eq!(fs::read_to_string(&kept[1].path).unwrap(), "second");
        assert_eq!(names(&dir), ["haproxy.cfg.edited", "haproxy.cfg.edited.2"]);
    }

    #[test]
    fn what_a_process_left_that_ended_is_removed_and_what_is_anothers_stays() {
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
    fn the_mode_of_the_file_is_kept() {
        let (dir, place) = config_file();
        fs::write(dir.path().join("haproxy.cfg"), "old").unwrap();
        fs::set_permissions(dir.path().join("haproxy.cfg"), Permissions::from_mode(0o604)).unwrap();

        install(&place, "new");

        assert_eq!(fs::metadata(dir.path().join("haproxy.cfg")).unwrap().mode() & 0o777, 0o604);
    }

    #[test]
    fn a_candidate_that_is_not_installed_leaves_no_trace() {
        let (dir, place) = config_file();

        drop(place.write_candidate("refused").unwrap());

        assert_eq!(names(&dir), Vec::<String>::new());
    }

    #[test]
    fn a_link_stays_a_link() {
        let (dir, _) = config_file();
        fs::write(dir.path().join("real.cfg"), "old").unwrap();
        let link = dir.path().join("link.cfg");
        std::os::unix::fs::symlink(dir.path().join("real.cfg"), &link).unwrap();

        install(&ConfigFile::new(&link), "new");

        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(dir.path().join("real.cfg")).unwrap(), "new");
    }
}
