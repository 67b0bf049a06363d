//! The backup of the inventory, kept beside it in case the inventory itself gets damaged.
//!
//! SQLite's backup API copies the database, the copy is verified as a whole, and only then replaces the previous
//! backup, so every file named as a backup is valid. After a restore, droplets created since the backup are found by
//! their tag.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::time::Instant;

use crate::path::{InventoryPath, remove_database};
use crate::recovery_hint::{BackupState, RecoveryHint, format_age};
use crate::{checksums, schema};

/// Maximum age of the backup while a process keeps changing the inventory. When the process has finished, it always
/// makes a backup.
const BACKUP_INTERVAL: Duration = Duration::from_mins(5);

/// The append-only table: more rows mean a later state.
const HISTORY_TABLE: &str = "phases";

/// The backup schedule of this process.
#[derive(Debug)]
pub(super) struct BackupSchedule {
    is_stale: bool,
    last_attempt: Instant,
}

impl BackupSchedule {
    /// Starts the schedule when a process opens the inventory in order to change it.
    pub(super) fn new(connection: &Connection, place: &InventoryPath) -> Self {
        // A killed process leaves a stale backup.
        Self { is_stale: !has_same_content(connection, &place.backup()), last_attempt: Instant::now() }
    }

    /// Handles a change of the inventory.
    pub(super) fn on_change(&mut self, connection: &Connection, place: &InventoryPath) {
        self.is_stale = true;
        if self.last_attempt.elapsed() >= BACKUP_INTERVAL {
            self.back_up_if_stale(connection, place);
        }
    }

    /// Makes a backup unless the last one is current.
    pub(super) fn back_up_if_stale(&mut self, connection: &Connection, place: &InventoryPath) {
        if !self.is_stale {
            return;
        }
        self.last_attempt = Instant::now();
        match create_backup(connection, place) {
            Ok(()) => self.is_stale = false,
            // The requested change is complete and on disk, and the previous backup still exists.
            Err(error) => tracing::warn!(
                "cannot back up the inventory to {}: {error}; check free space and permissions",
                place.backup().display()
            ),
        }
    }
}

/// The cause of a failed backup.
#[derive(Debug, thiserror::Error)]
enum BackupError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    File(#[from] std::io::Error),
    #[error("the copy differs from its source ({0})")]
    Damaged(String),
}

fn create_backup(connection: &Connection, place: &InventoryPath) -> Result<(), BackupError> {
    let new = place.sibling(".backup.new");
    remove_database(&new)?;
    let made = copy(connection, place, &new).and_then(|()| Ok(replace_backup(connection, place, &new)?));
    if made.is_err() {
        // The partial copy may have filled the disk.
        let _ = remove_database(&new);
    }
    made
}

fn copy(connection: &Connection, place: &InventoryPath, new: &Path) -> Result<(), BackupError> {
    // From the start, the copy must not be readable by more users than the inventory.
    drop(OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?);
    fs::set_permissions(new, fs::metadata(place.file())?.permissions())?;
    let mut copy = Connection::open_with_flags(new, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // The copy is written to disk as a whole at the end.
    copy.pragma_update(None, "synchronous", "OFF")?;
    match Backup::new(connection, &mut copy)?.step(-1)? {
        StepResult::Done => {}
        other => return Err(BackupError::Damaged(format!("{other:?}"))),
    }
    // A self-contained file without a log beside it.
    copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    if let Some(detail) = schema::verify(&mut copy)? {
        return Err(BackupError::Damaged(detail));
    }
    copy.close().map_err(|(_, source)| source.into())
}

fn replace_backup(connection: &Connection, place: &InventoryPath, new: &Path) -> Result<(), std::io::Error> {
    let backup = place.backup();
    if is_ahead(&backup, connection) {
        // An operator has restored an older inventory or started a new one: the backup's additional content may still
        // be needed.
        let aside = place.sibling(".backup.ahead");
        tracing::warn!("the backup {} is ahead of the inventory; keeping it as {}", backup.display(), aside.display());
        fs::rename(&backup, &aside)?;
    }
    place.install(new, &backup)
}

fn has_same_content(connection: &Connection, backup: &Path) -> bool {
    let of_backup = open(backup).and_then(|backup| checksums::stored(&backup));
    matches!((of_backup, checksums::stored(connection)), (Ok(of_backup), Ok(of_inventory)) if of_backup == of_inventory)
}

fn is_ahead(backup: &Path, connection: &Connection) -> bool {
    let of_backup = open(backup).and_then(|backup| checksums::stored_row_count(&backup, HISTORY_TABLE));
    matches!((of_backup, checksums::stored_row_count(connection, HISTORY_TABLE)), (Ok(of_backup), Ok(of_inventory)) if of_backup > of_inventory)
}

fn open(backup: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(backup, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Warns if the inventory is missing but a backup exists: otherwise an empty fleet would look healthy.
pub(super) fn warn_if_lost(place: &InventoryPath) {
    if let BackupState::Intact { path, age, .. } = inspect_backup(place.backup()) {
        let (file, path) = (place.file().display(), path.display());
        let age = format_age(age);
        tracing::warn!(
            "the inventory {file} is missing, but a backup exists ({age} old); run `cp {path} {file}` to restore it"
        );
    }
}

/// Returns the remedy for a damaged inventory, depending on the state of the backup.
pub(super) fn recovery_hint(place: &InventoryPath) -> RecoveryHint {
    RecoveryHint::new(place.file().to_owned(), inspect_backup(place.backup()))
}

fn inspect_backup(path: PathBuf) -> BackupState {
    let Ok(found) = fs::metadata(&path) else { return BackupState::Missing };
    let is_good = open(&path).and_then(|mut backup| schema::verify(&mut backup));
    match is_good {
        Ok(None) => {
            let age = found.modified().ok().and_then(|made| SystemTime::now().duration_since(made).ok());
            BackupState::Intact { path, age: age.unwrap_or_default(), bytes: found.len() }
        }
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::CannotOpen) => BackupState::Missing,
        Ok(Some(_)) | Err(_) => BackupState::Damaged(path),
    }
}
