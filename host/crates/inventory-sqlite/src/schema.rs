//! Opens the database file: creation, pragmas, schema migrations and damage detection.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use nix::unistd::{AccessFlags, access};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::error::SqliteError;
use crate::path::{InventoryPath, remove_database, remove_logs};
use crate::{backup, checksums};

/// Each entry migrates the schema from its index to the next version; entries never change once released.
const MIGRATIONS: [&str; 4] = [
    "
    CREATE TABLE droplets (
        name TEXT PRIMARY KEY,
        fleet_index INTEGER NOT NULL UNIQUE,
        cloud_id INTEGER UNIQUE,
        phase TEXT NOT NULL,
        phase_since INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        size TEXT NOT NULL,
        region TEXT NOT NULL,
        image TEXT NOT NULL,
        tags TEXT NOT NULL,
        hourly_price_micro_dollars INTEGER NOT NULL,
        address TEXT,
        protected INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX droplets_alive ON droplets (fleet_index) WHERE phase <> 'gone';
    CREATE TABLE phases (
        droplet TEXT NOT NULL REFERENCES droplets (name),
        phase TEXT NOT NULL,
        at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX phases_of_droplet ON phases (droplet);
    CREATE TABLE operations (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL CHECK (kind IN ('create', 'delete')),
        droplet TEXT NOT NULL REFERENCES droplets (name),
        started_at INTEGER NOT NULL,
        sent_at INTEGER,
        body_digest TEXT,
        user_data_params TEXT,
        state TEXT NOT NULL CHECK (state IN ('open', 'done', 'failed')),
        reason TEXT,
        ended_at INTEGER
    ) STRICT;
    CREATE UNIQUE INDEX one_open_operation_of_a_kind ON operations (droplet, kind) WHERE state = 'open';
    CREATE TABLE meta (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT;
    CREATE TABLE policies (
        name TEXT PRIMARY KEY,
        identity TEXT NOT NULL,
        ticks INTEGER NOT NULL,
        state BLOB NOT NULL
    ) STRICT;
",
    "
    CREATE TABLE table_sums (
        name TEXT PRIMARY KEY,
        rows INTEGER NOT NULL,
        sum INTEGER NOT NULL
    ) STRICT;
",
    "
    CREATE INDEX droplets_left ON droplets (phase_since) WHERE phase = 'gone';
    CREATE INDEX phases_serving ON phases (at) WHERE phase = 'serving';
",
    // Earlier failures cannot be classified as timeouts in retrospect: each one keeps counting.
    "
    ALTER TABLE operations ADD COLUMN ran_out_of_time INTEGER NOT NULL DEFAULT 0;
    UPDATE operations SET ran_out_of_time = 1 WHERE kind = 'create' AND state = 'failed';
",
];

/// The current schema version.
#[expect(clippy::cast_possible_wrap, reason = "a handful of migrations")]
const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// `PRAGMA synchronous` as a number: a commit is on disk when it returns.
const SYNCHRONOUS_FULL: i64 = 2;

/// Opens the database with full durability, verifies it and migrates its schema. Creates it if it does not exist.
pub(super) fn open(place: &InventoryPath) -> Result<Connection, SqliteError> {
    if !exists(place)? {
        create(place)?;
    }
    let failed = |source| classify(place, "open", source);
    // SQLite treats an empty file as a new database; an inventory is never empty, so its content was lost.
    if is_empty(place)? {
        return Err(corrupt(place, "the file is empty"));
    }
    let mut connection =
        Connection::open_with_flags(place.file(), OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(failed)?;
    set_pragmas(&connection).map_err(failed)?;
    verify(&mut connection).map_err(failed)?.map_or(Ok(()), |detail| Err(corrupt(place, detail)))?;
    migrate(&mut connection, place)?;
    checksums::install_triggers(&connection).map_err(failed)?;
    Ok(connection)
}

/// Creates a new database under a temporary name, complete and on disk, and then renames it, so that a crash cannot
/// leave a partial one.
fn create(place: &InventoryPath) -> Result<(), SqliteError> {
    let failed = |source| SqliteError::File { action: "make", path: place.file().to_owned(), source };
    // Two processes may find it missing at the same time; the lock ends on drop.
    let folder = File::open(place.folder()).map_err(failed)?;
    folder.lock().map_err(failed)?;
    if exists(place)? {
        return Ok(());
    }
    backup::warn_if_lost(place);
    // Left behind by a crash, or when an operator moved the database away: neither belongs to the new one.
    let new = place.sibling(".new");
    remove_database(&new).and_then(|()| remove_logs(place.file())).map_err(failed)?;
    let made = create_database(&new).map_err(|reason| SqliteError::Open { path: place.file().to_owned(), reason });
    let made = made.and_then(|()| place.install(&new, place.file()).map_err(failed));
    if made.is_err() {
        // The partial file is useless, and the disk may be full.
        let _ = remove_database(&new);
    }
    made
}

fn create_database(new: &Path) -> rusqlite::Result<()> {
    let mut connection = Connection::open_with_flags(
        new,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    apply_migrations(&transaction, 0)?;
    transaction.commit()?;
    connection.close().map_err(|(_, source)| source)
}

fn exists(place: &InventoryPath) -> Result<bool, SqliteError> {
    place.file().try_exists().map_err(read_error(place))
}

fn is_empty(place: &InventoryPath) -> Result<bool, SqliteError> {
    std::fs::metadata(place.file()).map(|found| found.is_file() && found.len() == 0).map_err(read_error(place))
}

fn read_error(place: &InventoryPath) -> impl FnOnce(io::Error) -> SqliteError {
    |source| SqliteError::File { action: "read", path: place.file().to_owned(), source }
}

fn set_pragmas(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(10))?;
    // Reports damage where it is first encountered, instead of returning a wrong row.
    connection.pragma_update(None, "cell_size_check", true)?;
    // Switching a database to WAL mode can fail silently, so the resulting mode is queried and checked.
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(open_error(format!("the file system does not support a write-ahead log (journal mode is {mode})")));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    let synchronous: i64 = connection.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
    if synchronous != SYNCHRONOUS_FULL {
        return Err(open_error(format!("commits would not be on disk (synchronous is {synchronous})")));
    }
    connection.pragma_update(None, "foreign_keys", true)
}

fn open_error(why: String) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN), Some(why))
}

/// Verifies the whole file and returns a description of the damage; `None` if it is intact.
pub(super) fn verify(connection: &mut Connection) -> rusqlite::Result<Option<String>> {
    // One transaction, so that rows and checksums are consistent with each other.
    let transaction = connection.transaction()?;
    let result: String = transaction.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if result != "ok" {
        return Ok(Some(result.replace('\n', "; ")));
    }
    checksums::find_mismatch(&transaction)
}

fn migrate(connection: &mut Connection, place: &InventoryPath) -> Result<(), SqliteError> {
    let failed = |source| classify(place, "write", source);
    if version(connection).map_err(failed)? == SCHEMA_VERSION {
        return Ok(());
    }
    // Another process may migrate at the same time: the version inside the transaction is authoritative.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let found = version(&transaction).map_err(failed)?;
    if found > SCHEMA_VERSION {
        return Err(SqliteError::NewerSchema { path: place.file().to_owned(), found, known: SCHEMA_VERSION });
    }
    if found < 1 {
        return Err(corrupt(place, "the database does not contain an inventory"));
    }
    apply_migrations(&transaction, found).map_err(failed)?;
    transaction.commit().map_err(failed)
}

fn apply_migrations(connection: &Connection, found: i64) -> rusqlite::Result<()> {
    if found == SCHEMA_VERSION {
        return Ok(());
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        connection.execute_batch(migration)?;
    }
    connection.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    checksums::write(connection)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Distinguishes a damaged file from any other failure.
pub(super) fn classify(place: &InventoryPath, action: &'static str, reason: rusqlite::Error) -> SqliteError {
    let path = place.file().to_owned();
    if is_damage(place, &reason) {
        corrupt(place, reason.to_string())
    } else if action == "open" {
        SqliteError::Open { path, reason }
    } else {
        SqliteError::Sqlite { action, path, reason }
    }
}

fn is_damage(place: &InventoryPath, source: &rusqlite::Error) -> bool {
    match source.sqlite_error_code() {
        // The statements are correct: if SQLite has no more specific code, the schema or the format has been altered.
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown | ErrorCode::TypeMismatch) => {
            true
        }
        // If the header declares a future format, SQLite refuses to write regardless of permissions.
        Some(ErrorCode::ReadOnly) => is_writable(place.file()) && is_writable(place.folder()),
        Some(_) => false,
        None => matches!(
            source,
            rusqlite::Error::SqlInputError { .. }
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnName(_)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::QueryReturnedNoRows
                | rusqlite::Error::Utf8Error(..)
        ),
    }
}

fn is_writable(path: &Path) -> bool {
    access(path, AccessFlags::W_OK).is_ok()
}

fn corrupt(place: &InventoryPath, detail: impl Into<String>) -> SqliteError {
    SqliteError::Corrupt {
        path: place.file().to_owned(),
        detail: detail.into(),
        hint: Box::new(backup::recovery_hint(place)),
    }
}
