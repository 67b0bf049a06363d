//! The SQLite database of the time-series store: file, schema and handling of corruption.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use doproxy_core::domain::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::store::error::TimeSeriesError;

/// Schema migrations. Each entry upgrades from the version that equals its index to the next one; entries never change
/// once released.
const MIGRATIONS: &[&str] = &[
    // The primary key starts with the time, so that a tick appends to one page and pruning frees whole pages at the
    // front.
    "
    CREATE TABLE series (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        labels TEXT NOT NULL,
        unit TEXT NOT NULL,
        ended INTEGER
    ) STRICT;
    CREATE UNIQUE INDEX one_open_series ON series (name, labels, unit) WHERE ended IS NULL;
    CREATE TABLE samples (
        at INTEGER NOT NULL,
        series INTEGER NOT NULL,
        value REAL NOT NULL,
        PRIMARY KEY (at, series)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE downsampled (
        at INTEGER NOT NULL,
        series INTEGER NOT NULL,
        mean REAL NOT NULL,
        max REAL NOT NULL,
        PRIMARY KEY (at, series)
    ) STRICT, WITHOUT ROWID;
    ",
    // The decision log and the components that made the decisions; the decision log module documents the columns.
    "
    CREATE TABLE records (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        keyframe INTEGER,
        base INTEGER,
        notable INTEGER NOT NULL,
        body BLOB NOT NULL
    ) STRICT;
    CREATE TABLE components (
        digest TEXT PRIMARY KEY,
        added INTEGER NOT NULL,
        size INTEGER NOT NULL,
        body BLOB NOT NULL
    ) STRICT;
    CREATE TABLE component_uses (
        keyframe INTEGER NOT NULL,
        digest TEXT NOT NULL,
        PRIMARY KEY (keyframe, digest)
    ) STRICT, WITHOUT ROWID;
    ",
];

/// SQLite application ID of a metrics database: `doph` in ASCII.
const APPLICATION_ID: i64 = 0x646f_7068;

/// Maximum wait for another process's lock; a tick must not be late because of it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Location of the samples.
#[derive(Debug)]
pub(super) enum Location {
    /// A file that this process writes.
    File(PathBuf),
    /// A file that this process only reads.
    ReadOnlyFile(PathBuf),
    /// The memory of this process.
    Memory,
}

/// An open database.
#[derive(Debug)]
pub(super) struct SqliteStore {
    pub(super) location: Location,
    pub(super) connection: Connection,
}

impl SqliteStore {
    /// Opens the file, creating it or migrating its schema if necessary.
    pub(super) fn open(path: &Path) -> Result<Self, TimeSeriesError> {
        let failed = |reason| TimeSeriesError::Open { path: path.to_owned(), reason };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        migrate(&mut connection, path)?;
        let tune = || {
            connection.pragma_update(None, "cell_size_check", true)?;
            connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
            // A power failure may lose the last ticks, but leaves earlier data intact.
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.query_row("PRAGMA journal_size_limit = 4194304", [], |_| Ok(()))
        };
        tune().map_err(failed)?;
        Ok(Self { location: Location::File(path.to_owned()), connection })
    }

    /// Opens an existing file read-only; another process may write to it at the same time.
    pub(super) fn open_read_only(path: &Path) -> Result<Self, TimeSeriesError> {
        let failed = |reason| TimeSeriesError::Open { path: path.to_owned(), reason };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        match detect_owner(&connection).map_err(failed)? {
            DatabaseOwner::Own(version) if version <= MIGRATIONS.len() => {}
            DatabaseOwner::Own(found) => {
                return Err(TimeSeriesError::UnsupportedVersion {
                    path: path.to_owned(),
                    found,
                    known: MIGRATIONS.len(),
                });
            }
            DatabaseOwner::Empty | DatabaseOwner::Foreign => {
                return Err(TimeSeriesError::ForeignDatabase { path: path.to_owned() });
            }
        }
        Ok(Self { location: Location::ReadOnlyFile(path.to_owned()), connection })
    }

    /// Creates a database that exists only in this process.
    pub(super) fn in_memory() -> Self {
        let made = Connection::open_in_memory().and_then(|mut connection| {
            apply_migrations(&mut connection, 0)?;
            Ok(connection)
        });
        // No files or input are involved, so this can only fail when out of memory.
        let connection = made.expect("memory for an empty database");
        Self { location: Location::Memory, connection }
    }

    /// Returns a human-readable location.
    pub(super) fn location(&self) -> String {
        match &self.location {
            Location::File(path) | Location::ReadOnlyFile(path) => path.display().to_string(),
            Location::Memory => "in memory".to_owned(),
        }
    }
}

/// The program that created a database.
enum DatabaseOwner {
    Empty,
    Own(usize),
    Foreign,
}

fn detect_owner(connection: &Connection) -> rusqlite::Result<DatabaseOwner> {
    let application: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if application == APPLICATION_ID {
        return Ok(DatabaseOwner::Own(usize::try_from(version).unwrap_or(usize::MAX)));
    }
    let things: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(if application == 0 && version == 0 && things == 0 { DatabaseOwner::Empty } else { DatabaseOwner::Foreign })
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), TimeSeriesError> {
    let failed = |reason| TimeSeriesError::Open { path: path.to_owned(), reason };
    match detect_owner(connection).map_err(failed)? {
        DatabaseOwner::Empty => apply_migrations(connection, 0).map_err(failed),
        DatabaseOwner::Own(version) if version == MIGRATIONS.len() => Ok(()),
        DatabaseOwner::Own(version) if version < MIGRATIONS.len() => {
            apply_migrations(connection, version).map_err(failed)
        }
        DatabaseOwner::Own(found) => {
            Err(TimeSeriesError::UnsupportedVersion { path: path.to_owned(), found, known: MIGRATIONS.len() })
        }
        DatabaseOwner::Foreign => Err(TimeSeriesError::ForeignDatabase { path: path.to_owned() }),
    }
}

fn apply_migrations(connection: &mut Connection, found: usize) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for migration in MIGRATIONS.iter().skip(found) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    transaction.commit()
}

/// Reports whether the file itself is corrupt, so that a new file would work.
pub(super) fn is_corruption(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        // The statements are correct, so an unspecific SQLite error means that the schema was altered.
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown | ErrorCode::TypeMismatch) => {
            true
        }
        Some(_) => false,
        None => matches!(
            error,
            rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::Utf8Error(..)
        ),
    }
}

/// Renames a corrupt file along with SQLite's auxiliary files, and returns the new name.
pub(super) fn move_aside(path: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = beside(&format!(".damaged-{}", now.0));
    std::fs::rename(path, &aside)?;
    for log in ["-wal", "-shm"] {
        let mut name = aside.clone().into_os_string();
        name.push(log);
        match std::fs::rename(beside(log), name) {
            // A leftover log would be applied to the new file.
            Err(error) if error.kind() != io::ErrorKind::NotFound => std::fs::remove_file(beside(log))?,
            _ => {}
        }
    }
    Ok(aside)
}
