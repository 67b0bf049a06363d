//! Opening the database file: pragmas, schema migrations, and telling damage from other failures.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::InventoryError;

/// Each entry brings the schema from its index to the next version; entries are never changed once released.
const MIGRATIONS: [&str; 1] = ["
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
"];

/// The schema version that this program writes.
#[expect(clippy::cast_possible_wrap, reason = "a handful of migrations")]
const SCHEMA: i64 = MIGRATIONS.len() as i64;

/// Opens the database at `path` with full durability, and brings its schema up to date.
pub(super) fn open(path: &Path) -> Result<Connection, InventoryError> {
    let mut connection =
        Connection::open(path).map_err(|source| InventoryError::Open { path: path.to_owned(), source })?;
    prepare(&mut connection).map_err(|source| classify(path, "open", source))?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(10))?;
    // Opening a database in WAL mode that is not one yet can fail silently: what is there is asked for, and checked.
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
            Some(format!("the file system does not support a write-ahead log (journal mode is {mode})")),
        ));
    }
    // A commit is on disk when it returns.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(())
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), InventoryError> {
    let failed = |source| classify(path, "write", source);
    if version(connection).map_err(failed)? == SCHEMA {
        return Ok(());
    }
    // Another process may migrate at the same time: what counts is the version inside the transaction.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let found = version(&transaction).map_err(failed)?;
    if found > SCHEMA {
        return Err(InventoryError::Newer { path: path.to_owned(), found, known: SCHEMA });
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(migration).map_err(failed)?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA).map_err(failed)?;
    transaction.commit().map_err(failed)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Tells a damaged file from any other failure.
pub(super) fn classify(path: &Path, action: &'static str, source: rusqlite::Error) -> InventoryError {
    let path = path.to_owned();
    let damaged = matches!(source.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        || matches!(source, rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..))
        || source.to_string().contains("no such table");
    if damaged {
        InventoryError::Corrupt { path, detail: source.to_string() }
    } else if action == "open" {
        InventoryError::Open { path, source }
    } else {
        InventoryError::Sqlite { action, path, source }
    }
}
