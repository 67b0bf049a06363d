//! Private files of the current user: read only if no other user could have written them, and written atomically.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::fcntl::OFlag;

/// Name prefix of unfinished files.
const TEMP_PREFIX: &str = ".unfinished-";

/// Age after which an unfinished file is considered abandoned.
const STALE_AFTER: Duration = Duration::from_hours(1);

/// Reads at most `most` bytes of a file that only the current user could have written. The file is not memory-mapped,
/// because it could change during use.
pub fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let metadata = file.metadata()?;
    // Check each file too: a directory that was once writable by other users may still contain their files.
    if !is_private(&metadata) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "other users could have written the file"));
    }
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    if metadata.len() > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is too large"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Replaces a file atomically.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(TEMP_PREFIX).tempfile_in(directory)?;
    file.write_all(bytes)?;
    // Without the sync, the new name could survive a power failure that its content did not.
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Removes unfinished files left in a directory by killed processes. A failure costs disk space, not correctness.
pub fn remove_stale(directory: &Path) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(TEMP_PREFIX)) {
        let changed = entry.metadata().and_then(|metadata| metadata.modified());
        let age = changed.ok().and_then(|changed| SystemTime::now().duration_since(changed).ok());
        if age.is_some_and(|age| age > STALE_AFTER) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Reports whether only the current user could have written a file.
fn is_private(metadata: &fs::Metadata) -> bool {
    metadata.is_file() && metadata.uid() == current_uid() && metadata.mode() & 0o022 == 0 && metadata.nlink() == 1
}

/// Returns the effective user ID of this process.
pub fn current_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}
