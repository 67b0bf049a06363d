//! Ensures a single writer: a lock file beside the database, held for the entire duration of a modifying command.
//!
//! SQLite's own lock guards a transaction; this one guards the command around it, so that two processes do not work on
//! the same operation. The kernel releases it when the process ends, even after a crash.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::SqliteError;
use crate::path::InventoryPath;

/// Interval between attempts while another process holds the lock.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Time that a holder may take to write its name.
const HOLDER_GRACE: Duration = Duration::from_millis(500);
/// The name of a holder that has not written one.
const UNKNOWN_HOLDER: &str = "another process";

/// The exclusive right to change the inventory; released on drop.
#[derive(Debug)]
pub struct WriteLock {
    file: File,
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        // Clears the holder's name, so that it is not attributed to the next holder. The kernel releases the lock
        // itself.
        let _ = self.file.set_len(0);
    }
}

/// The exclusive right to be the service of a fleet; released on drop. It is separate from [`WriteLock`], which the
/// service repeatedly acquires and releases so that manual commands get their turn.
#[derive(Debug)]
pub struct ServiceLock {
    _file: File,
}

impl ServiceLock {
    /// Acquires the lock, or returns an error that names the holder.
    pub fn acquire(inventory: &Path) -> Result<Self, SqliteError> {
        let place = InventoryPath::resolve(inventory)?;
        let path = place.sibling(".service");
        let failed = |source| SqliteError::Lock { path: path.clone(), source };
        let mut file = open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(source)) => return Err(failed(source)),
            Err(TryLockError::WouldBlock) => {
                let holder = read_holder(&mut file).unwrap_or_else(|| UNKNOWN_HOLDER.to_owned());
                return Err(SqliteError::ServiceRunning { path: place.file().to_owned(), holder });
            }
        }
        write_holder(&mut file, "run");
        Ok(Self { _file: file })
    }
}

impl WriteLock {
    /// Acquires the lock of the inventory at `inventory`, waiting at most `patience` for another process. `waiting_for`
    /// is called once with the name of the holder.
    pub async fn acquire(
        inventory: &Path,
        patience: Duration,
        command: &str,
        mut waiting_for: impl FnMut(&str),
    ) -> Result<Self, SqliteError> {
        let place = InventoryPath::resolve(inventory)?;
        let path = place.sibling(".lock");
        let failed = |source| SqliteError::Lock { path: path.clone(), source };
        let mut file = open(&path).map_err(failed)?;
        let started = Instant::now();
        let mut reported = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(source)) => return Err(failed(source)),
                Err(TryLockError::WouldBlock) => {
                    let holder = read_holder(&mut file);
                    let waited = started.elapsed();
                    if waited >= patience {
                        let holder = holder.unwrap_or_else(|| UNKNOWN_HOLDER.to_owned());
                        return Err(SqliteError::Locked { path: place.file().to_owned(), holder, waited: patience });
                    }
                    // The holder writes its name a moment after it acquires the lock.
                    if !reported && (holder.is_some() || waited >= HOLDER_GRACE) {
                        waiting_for(holder.as_deref().unwrap_or(UNKNOWN_HOLDER));
                        reported = true;
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

/// Writes the holder's name. It only helps the next process, so a full disk must not prevent the work.
fn write_holder(file: &mut File, command: &str) {
    let note = format!("doproxy {command} (process {})\n", std::process::id());
    let written =
        file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).and_then(|_| file.write_all(note.as_bytes()));
    if let Err(error) = written {
        tracing::debug!(%error, "failed to write the holder to the lock file");
    }
}

/// Reads the holder's name, if it was written.
fn read_holder(file: &mut File) -> Option<String> {
    let mut note = String::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(200).read_to_string(&mut note));
    let note: String = note.trim().chars().filter(|c| !c.is_control()).collect();
    (read.is_ok() && !note.is_empty()).then_some(note)
}
