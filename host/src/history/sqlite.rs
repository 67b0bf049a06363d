//! The database behind the history: its file, its schema, and what becomes of a damaged one.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::TimeSeriesError;
use crate::model::Timestamp;

/// Each entry brings the schema from its index to the next version; entries are never changed once released.
const MIGRATIONS: &[&str] = &[
    // Samples are ordered by time first: a tick appends to one page, and forgetting takes whole pages from the front.
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
    // Records of ticks, and the components that decided; `crate::record` says what the columns are.
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

/// What marks a database as a history: `doph` in ASCII.
const APPLICATION_ID: i64 = 0x646f_7068;

/// How long another process is waited for. A tick must not be late for it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Where the samples are.
#[derive(Debug)]
pub(super) enum Location {
    /// In a file, which this process writes.
    File(PathBuf),
    /// In a file, which this process looks at.
    ReadOnlyFile(PathBuf),
    /// In the memory of this process.
    Memory,
}

/// An open database.
#[derive(Debug)]
pub(super) struct SqliteStore {
    pub(super) location: Location,
    pub(super) connection: Connection,
}

impl SqliteStore {
    /// Opens the file, and makes it or brings its schema up to date where needed.
    pub(super) fn open(path: &Path) -> Result<Self, TimeSeriesError> {
        let failed = |reason| TimeSeriesError::Open { path: path.to_owned(), reason };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        migrate(&mut connection, path)?;
        let tune = || {
            connection.pragma_update(None, "cell_size_check", true)?;
            connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
            // A power cut may take the last ticks, and leaves what was before them whole.
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.query_row("PRAGMA journal_size_limit = 4194304", [], |_| Ok(()))
        };
        tune().map_err(failed)?;
        Ok(Self { location: Location::File(path.to_owned()), connection })
    }

    /// Opens a file that is there, to look at it while another process may write.
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

    /// A database that is gone with this process.
    pub(super) fn in_memory() -> Self {
        let made = Connection::open_in_memory().and_then(|mut connection| {
            apply_migrations(&mut connection, 0)?;
            Ok(connection)
        });
        // Neither files nor input come into it: what can fail is that there is no memory.
        let connection = made.expect("memory for an empty database");
        Self { location: Location::Memory, connection }
    }

    /// Where it is, for people.
    pub(super) fn location(&self) -> String {
        match &self.location {
            Location::File(path) | Location::ReadOnlyFile(path) => path.display().to_string(),
            Location::Memory => "in memory".to_owned(),
        }
    }
}

/// Whose a database is.
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

/// Whether the file itself is at fault, so that another one would work.
pub(super) fn is_corruption(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        // Our statements are right: where SQLite has no other word, the schema is not what it was.
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

/// Gives a damaged file, with what SQLite keeps beside it, another name; answers that name.
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
            // A log that stayed would be taken for that of the new file.
            Err(error) if error.kind() != io::ErrorKind::NotFound => std::fs::remove_file(beside(log))?,
            _ => {}
        }
    }
    Ok(aside)
}
