//! One writer at a time: a lock file beside the database, held for the whole of a changing command.
//!
//! SQLite's own lock guards a transaction; this one guards the command around it, so that two
//! processes do not carry on the same operation. The kernel frees it when the process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::InventoryError;
use super::path::InventoryPath;

/// How often the lock is tried while another process has it.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// How long a holder may take to note its name.
const HOLDER_GRACE: Duration = Duration::from_millis(500);
/// What a holder without a name is called.
const UNKNOWN_HOLDER: &str = "another process";

/// The right to change the inventory; it ends when this is dropped.
#[derive(Debug)]
pub struct WriteLock {
    file: File,
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        // So that the next holder is not taken for this one. The kernel frees the lock itself.
        let _ = self.file.set_len(0);
    }
}

/// The right to be the service of a fleet; it ends when this is dropped. It is apart from [`WriteLock`], which the service
/// takes and lets go all the time, so that commands by hand get their turn.
#[derive(Debug)]
pub struct ServiceLock {
    _file: File,
}

impl ServiceLock {
    /// Takes it, or says who has it.
    pub fn acquire(inventory: &Path) -> Result<Self, InventoryError> {
        let place = InventoryPath::resolve(inventory)?;
        let path = place.sibling(".service");
        let failed = |source| InventoryError::Lock { path: path.clone(), source };
        let mut file = open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(source)) => return Err(failed(source)),
            Err(TryLockError::WouldBlock) => {
                let holder = read_holder(&mut file).unwrap_or_else(|| UNKNOWN_HOLDER.to_owned());
                return Err(InventoryError::ServiceRunning { path: place.file().to_owned(), holder });
            }
        }
        write_holder(&mut file, "run");
        Ok(Self { _file: file })
    }
}

impl WriteLock {
    /// Takes the lock of the inventory at `inventory`, and waits at most `patience` for another process to be done.
    /// `waiting_for` is told once who that is.
    pub async fn acquire(
        inventory: &Path,
        patience: Duration,
        command: &str,
        mut waiting_for: impl FnMut(&str),
    ) -> Result<Self, InventoryError> {
        let place = InventoryPath::resolve(inventory)?;
        let path = place.sibling(".lock");
        let failed = |source| InventoryError::Lock { path: path.clone(), source };
        let mut file = open(&path).map_err(failed)?;
        let started = Instant::now();
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(source)) => return Err(failed(source)),
                Err(TryLockError::WouldBlock) => {
                    let holder = read_holder(&mut file);
                    let waited = started.elapsed();
                    if waited >= patience {
                        let holder = holder.unwrap_or_else(|| UNKNOWN_HOLDER.to_owned());
                        return Err(InventoryError::Locked { path: place.file().to_owned(), holder, waited: patience });
                    }
                    // Between the other's lock and its note is a moment.
                    if !told && (holder.is_some() || waited >= HOLDER_GRACE) {
                        waiting_for(holder.as_deref().unwrap_or(UNKNOWN_HOLDER));
                        told = true;
                    }
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
            }
        }
        write_holder(&mut file, command);
        Ok(Self { file })
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)
}

/// Who holds the lock is a courtesy to the next one: a full disk must not keep us from working.
fn write_holder(file: &mut File, command: &str) {
    let note = format!("doproxy {command} (process {})\n", std::process::id());
    let written =
        file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).and_then(|_| file.write_all(note.as_bytes()));
    if let Err(error) = written {
        tracing::debug!(%error, "cannot note the holder in the lock file");
    }
}

/// Who holds the lock, where that is noted.
fn read_holder(file: &mut File) -> Option<String> {
    let mut note = String::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(200).read_to_string(&mut note));
    let note: String = note.trim().chars().filter(|c| !c.is_control()).collect();
    (read.is_ok() && !note.is_empty()).then_some(note)
}
