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

use super::place::{Place, remove_database};
use super::{store, sums};

/// How old the backup may get while a process keeps changing the inventory. When it is done with it, the backup is
/// made in any case.
const EVERY: Duration = Duration::from_mins(5);

/// The table to which rows are only ever added: more of them are a later state.
const HISTORY: &str = "phases";

/// When the inventory of this process is backed up.
#[derive(Debug)]
pub(super) struct Schedule {
    is_behind: bool,
    last: Instant,
}

impl Schedule {
    /// From the moment at which a process opens the inventory in order to change it.
    pub(super) fn of(connection: &Connection, place: &Place) -> Self {
        // A process that was killed leaves a backup that is behind.
        Self { is_behind: !has_same_content(connection, &place.backup()), last: Instant::now() }
    }

    /// The inventory changed.
    pub(super) fn changed(&mut self, connection: &Connection, place: &Place) {
        self.is_behind = true;
        if self.last.elapsed() >= EVERY {
            self.catch_up(connection, place);
        }
    }

    /// Makes a backup unless the last one is as good.
    pub(super) fn catch_up(&mut self, connection: &Connection, place: &Place) {
        if !self.is_behind {
            return;
        }
        self.last = Instant::now();
        match make(connection, place) {
            Ok(()) => self.is_behind = false,
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

fn make(connection: &Connection, place: &Place) -> Result<(), BackupError> {
    let new = place.beside(".backup.new");
    remove_database(&new)?;
    let made = copy(connection, place, &new).and_then(|()| Ok(replace(connection, place, &new)?));
    if made.is_err() {
        // The disk may be full of it.
        let _ = remove_database(&new);
    }
    made
}

fn copy(connection: &Connection, place: &Place, new: &Path) -> Result<(), BackupError> {
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
    if let Some(detail) = store::verify(&mut copy)? {
        return Err(BackupError::Damaged(detail));
    }
    copy.close().map_err(|(_, source)| source.into())
}

fn replace(connection: &Connection, place: &Place, new: &Path) -> Result<(), std::io::Error> {
    let backup = place.backup();
    if knows_more(&backup, connection) {
        // Somebody put an older inventory back, or began a new one: what the backup knows may still be wanted.
        let aside = place.beside(".backup.ahead");
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
    let of_backup = open(backup).and_then(|backup| sums::written(&backup));
    matches!((of_backup, sums::written(connection)), (Ok(of_backup), Ok(of_inventory)) if of_backup == of_inventory)
}

fn knows_more(backup: &Path, connection: &Connection) -> bool {
    let of_backup = open(backup).and_then(|backup| sums::rows_of(&backup, HISTORY));
    matches!((of_backup, sums::rows_of(connection, HISTORY)), (Ok(of_backup), Ok(of_inventory)) if of_backup > of_inventory)
}

fn open(backup: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(backup, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Says so where an inventory was, and is not any more: an empty fleet would look as if all were well.
pub(super) fn warn_of_lost(place: &Place) {
    if let Found::Good { path, age, .. } = find(place.backup()) {
        let (file, path) = (place.file().display(), path.display());
        let age = words(age);
        tracing::warn!(
            "there is no inventory {file}, and there is a backup of it ({age} old): `cp {path} {file}` brings it back"
        );
    }
}

/// What can be done about a damaged inventory.
#[derive(Debug)]
pub struct Remedy {
    inventory: PathBuf,
    backup: Found,
}

#[derive(Debug)]
enum Found {
    Nothing,
    Damaged(PathBuf),
    Good { path: PathBuf, age: Duration, bytes: u64 },
}

/// What can be done about a damaged inventory: there is a good backup, or there is none.
pub(super) fn remedy(place: &Place) -> Remedy {
    Remedy { inventory: place.file().to_owned(), backup: find(place.backup()) }
}

fn find(path: PathBuf) -> Found {
    let Ok(found) = fs::metadata(&path) else { return Found::Nothing };
    let is_good = open(&path).and_then(|mut backup| store::verify(&mut backup));
    match is_good {
        Ok(None) => {
            let age = found.modified().ok().and_then(|made| SystemTime::now().duration_since(made).ok());
            Found::Good { path, age: age.unwrap_or_default(), bytes: found.len() }
        }
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::CannotOpen) => Found::Nothing,
        Ok(Some(_)) | Err(_) => Found::Damaged(path),
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.inventory.display();
        // A log without its database would be taken for that of the next one.
        let move_away = format!("mv {file} {file}.damaged; rm -f {file}-wal {file}-shm");
        let rebuild = "and let `doproxy recover --adopt` rebuild it from the API, by the fleet's tag";
        match &self.backup {
            Found::Good { path, age, bytes } => {
                let path = path.display();
                write!(
                    f,
                    "its last backup is whole: {path}, made {} ago, {} KiB. Move the damaged file away with `{move_away}`, then either bring the backup back with `cp {path} {file}`, or leave it {rebuild}",
                    words(*age),
                    bytes.div_ceil(1024),
                )
            }
            Found::Damaged(path) => {
                let path = path.display();
                write!(
                    f,
                    "its last backup {path} is damaged too. Move both away with `{move_away}; mv {path} {path}.damaged` {rebuild}"
                )
            }
            Found::Nothing => write!(f, "there is no backup. Move the file away with `{move_away}` {rebuild}"),
        }
    }
}

/// A duration in its largest unit.
fn words(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86400),
    }
}
