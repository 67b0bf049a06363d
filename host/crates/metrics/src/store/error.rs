//! Errors of reading and writing the metrics database. None of them fails a tick.

use std::path::PathBuf;

use doproxy_core::domain::Timestamp;

/// An error of reading or writing the metrics database.
#[derive(Debug, thiserror::Error)]
pub enum TimeSeriesError {
    /// The file cannot be opened or created.
    #[error("failed to open metrics database {}: {reason}; make the file and its directory writable", path.display())]
    Open {
        /// Path of the database file.
        path: PathBuf,
        /// Error reported by SQLite.
        reason: rusqlite::Error,
    },
    /// A newer version of doproxy wrote the file.
    #[error(
        "metrics database {} has schema version {found}, but this doproxy supports versions up to {known}; use the doproxy that wrote it, or set another `metrics.database`",
        path.display()
    )]
    UnsupportedVersion {
        /// Path of the database file.
        path: PathBuf,
        /// Schema version of the file.
        found: usize,
        /// Newest schema version that this program supports.
        known: usize,
    },
    /// The file is the inventory, or the database of another program.
    #[error("{} is a database, but not a metrics database; set another `metrics.database`", path.display())]
    ForeignDatabase {
        /// Path of the database file.
        path: PathBuf,
    },
    /// The database was opened read-only.
    #[error("metrics database is opened read-only")]
    ReadOnly,
    /// Some or all of the requested samples do not exist.
    #[error(
        "metrics database has {found} of {expected} samples of {name} from {from} to {to}; the others are older than `metrics.retention`, or the database has been replaced since"
    )]
    MissingSamples {
        /// Name of the series.
        name: String,
        /// Start of the window (exclusive).
        from: Timestamp,
        /// Time of the newest sample in the window.
        to: Timestamp,
        /// Number of samples when the reference was created.
        expected: u32,
        /// Number of samples found.
        found: usize,
    },
    /// Any other SQLite failure.
    #[error("failed to {action} metrics database {place}: {reason}; check free space and permissions")]
    Sqlite {
        /// `read` or `write`.
        action: &'static str,
        /// Location of the database.
        place: String,
        /// Error reported by SQLite.
        reason: rusqlite::Error,
    },
}
