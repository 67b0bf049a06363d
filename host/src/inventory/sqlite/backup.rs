//! The copy of the inventory beside it, for the day on which the inventory itself is damaged.
//!
//! It is made by SQLite's own means, looked at as a whole, and only then takes the place of the one before, so what is
//! named as a backup is one. Droplets that were made since are found by their tag when it is brought back.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::time::Instant;

use super::path::{InventoryPath, remove_database};
use super::{checksums, schema};

/// How old the backup may get while a process keeps changing the inventory. When it is done with it, the backup is
/// made in any case.
const BACKUP_INTERVAL: Duration = Duration::from_mins(5);

/// The table to which rows are only ever added: more of them are a later state.
const HISTORY_TABLE: &str = "phases";

/// When the inventory of this process is backed up.
#[derive(Debug)]
pub(super) struct BackupSchedule {
    is_stale: bool,
    last_attempt: Instant,
}

impl BackupSchedule {
    /// From the moment at which a process opens the inventory in order to change it.
    pub(super) fn new(connection: &Connection, place: &InventoryPath) -> Self {
        // A process that was killed leaves a backup that is behind.
        Self { is_stale: !has_same_content(connection, &place.backup()), last_attempt: Instant::now() }
    }

    /// The inventory changed.
    pub(super) fn on_change(&mut self, connection: &Connection, place: &InventoryPath) {
        self.is_stale = true;
        if self.last_attempt.elapsed() >= BACKUP_INTERVAL {
            self.back_up_if_stale(connection, place);
        }
    }

    /// Makes a backup unless the last one is as good.
    pub(super) fn back_up_if_stale(&mut self, connection: &Connection, place: &InventoryPath) {
        if !self.is_stale {
            return;
        }
        self.last_attempt = Instant::now();
        match create_backup(connection, place) {
            Ok(()) => self.is_stale = false,
            // What was asked for is done and on disk, and the backup before is still there.
            Err(error) => tracing::warn!(
                "cannot back up the inventory to {}: {error}; check free space and permissions",
                place.backup().display()
            ),
        }
    }
}

/// Why there is no new backup.
#[derive(Debug, thiserror::Error)]
enum BackupError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    File(#[from] std::io::Error),
    #[error("the copy is not what it was made from ({0})")]
    Damaged(String),
}

fn create_backup(connection: &Connection, place: &InventoryPath) -> Result<(), BackupError> {
    let new = place.sibling(".backup.new");
    remove_database(&new)?;
    let made = copy(connection, place, &new).and_then(|()| Ok(replace_backup(connection, place, &new)?));
    if made.is_err() {
        // The disk may be full of it.
        let _ = remove_database(&new);
    }
    made
}

fn copy(connection: &Connection, place: &InventoryPath, new: &Path) -> Result<(), BackupError> {
    // From the beginning no more people may read it than may read the inventory.
    drop(OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?);
    fs::set_permissions(new, fs::metadata(place.file())?.permissions())?;
    let mut copy = Connection::open_with_flags(new, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // It is written to the disk as a whole at the end.
    copy.pragma_update(None, "synchronous", "OFF")?;
    match Backup::new(connection, &mut copy)?.step(-1)? {
        StepResult::Done => {}
        other => return Err(BackupError::Damaged(format!("{other:?}"))),
    }
    // A file that is on its own, without a log beside it.
    copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    if let Some(detail) = schema::verify(&mut copy)? {
        return Err(BackupError::Damaged(detail));
    }
    copy.close().map_err(|(_, source)| source.into())
}

fn replace_backup(connection: &Connection, place: &InventoryPath, new: &Path) -> Result<(), std::io::Error> {
    let backup = place.backup();
    if is_ahead(&backup, connection) {
        // Somebody put an older inventory back, or began a new one: what the backup knows may still be wanted.
        let aside = place.sibling(".backup.ahead");
        tracing::warn!(
            "the backup {} knows more than the inventory does; it is kept as {}",
            backup.display(),
            aside.display()
        );
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

/// Says so where an inventory was, and is not any more: an empty fleet would look as if all were well.
pub(super) fn warn_if_lost(place: &InventoryPath) {
    if let BackupState::Intact { path, age, .. } = inspect_backup(place.backup()) {
        let (file, path) = (place.file().display(), path.display());
        let age = format_age(age);
        tracing::warn!(
            "there is no inventory {file}, and there is a backup of it ({age} old): `cp {path} {file}` brings it back"
        );
    }
}

/// What can be done about a damaged inventory.
#[derive(Debug)]
pub struct RecoveryHint {
    inventory: PathBuf,
    backup: BackupState,
}

#[derive(Debug)]
enum BackupState {
    Missing,
    Damaged(PathBuf),
    Intact { path: PathBuf, age: Duration, bytes: u64 },
}

/// What can be done about a damaged inventory: there is a good backup, or there is none.
pub(super) fn recovery_hint(place: &InventoryPath) -> RecoveryHint {
    RecoveryHint { inventory: place.file().to_owned(), backup: inspect_backup(place.backup()) }
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

impl fmt::Display for RecoveryHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.inventory.display();
        // A log without its database would be taken for that of the next one.
        let move_away = format!("mv {file} {file}.damaged; rm -f {file}-wal {file}-shm");
        let rebuild = "and let `doproxy recover --adopt` rebuild it from the API, by the fleet's tag";
        match &self.backup {
            BackupState::Intact { path, age, bytes } => {
                let path = path.display();
                write!(
                    f,
                    "its last backup is whole: {path}, made {} ago, {} KiB. Move the damaged file away with `{move_away}`, then either bring the backup back with `cp {path} {file}`, or leave it {rebuild}",
                    format_age(*age),
                    bytes.div_ceil(1024),
                )
            }
            BackupState::Damaged(path) => {
                let path = path.display();
                write!(
                    f,
                    "its last backup {path} is damaged too. Move both away with `{move_away}; mv {path} {path}.damaged` {rebuild}"
                )
            }
            BackupState::Missing => write!(f, "there is no backup. Move the file away with `{move_away}` {rebuild}"),
        }
    }
}

/// A duration in its largest unit.
fn format_age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86400),
    }
}
