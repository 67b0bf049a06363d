//! Files that are this user's alone: read only where nobody else could have written them, written whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::fcntl::OFlag;

/// What files are called until they are whole.
const TEMP_PREFIX: &str = ".unfinished-";

/// After so long nobody is writing one any more.
const STALE_AFTER: Duration = Duration::from_hours(1);

/// The bytes of a file that nobody but this user could have written, at most `most` of them. Not mapped: it could be
/// changed while it is looked at.
pub(super) fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let metadata = file.metadata()?;
    // Also each file: a directory that was open to others once may hold what they put there.
    if !is_private(&metadata) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "others could have written it"));
    }
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    if metadata.len() > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes a file whole, in place of what was there.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(TEMP_PREFIX).tempfile_in(directory)?;
    file.write_all(bytes)?;
    // Or a name could outlive a power cut that its bytes did not.
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Removes what a process that was killed left unfinished in a directory. That this fails costs room, not correctness.
pub(super) fn remove_stale(directory: &Path) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(TEMP_PREFIX)) {
        let changed = entry.metadata().and_then(|metadata| metadata.modified());
        let age = changed.ok().and_then(|changed| SystemTime::now().duration_since(changed).ok());
        if age.is_some_and(|age| age > STALE_AFTER) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether nobody but this user could have written a file.
fn is_private(metadata: &fs::Metadata) -> bool {
    metadata.is_file() && metadata.uid() == current_uid() && metadata.mode() & 0o022 == 0 && metadata.nlink() == 1
}

/// The user who runs this process.
pub(super) fn current_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}
