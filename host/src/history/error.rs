//! Why the history cannot be read or written. None of it is a reason for a tick to fail.

use std::path::PathBuf;

use crate::model::Timestamp;

/// Why the history cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TimeSeriesError {
    /// The file cannot be opened or made.
    #[error("cannot open the history {}: {reason}; check that the file and its folder may be written", path.display())]
    Open {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        reason: rusqlite::Error,
    },
    /// A newer doproxy wrote it.
    #[error(
        "the history {} has schema {found}, and this doproxy knows up to {known}; use the doproxy that wrote it, or name another `history`",
        path.display()
    )]
    UnsupportedVersion {
        /// The database file.
        path: PathBuf,
        /// Its schema version.
        found: usize,
        /// The newest that this program knows.
        known: usize,
    },
    /// It is another program's database, or the inventory.
    #[error("{} is a database, and no history; name another `history`", path.display())]
    ForeignDatabase {
        /// The database file.
        path: PathBuf,
    },
    /// It was opened to be looked at.
    #[error("the history is only looked at, and nothing is written to it")]
    ReadOnly,
    /// Samples that somebody asks for are not there, or not all of them.
    #[error(
        "the history has {found} of {wanted} samples of {name} from {from} to {to}; the others are older than `metrics.retention`, or the history was moved away since"
    )]
    MissingSamples {
        /// The series.
        name: String,
        /// All were later than this.
        from: Timestamp,
        /// The newest of them.
        to: Timestamp,
        /// How many there were.
        wanted: u32,
        /// How many there are.
        found: usize,
    },
    /// Any other failure of SQLite.
    #[error("cannot {action} the history {place}: {reason}; check free space and permissions")]
    Sqlite {
        /// `read` or `write`.
        action: &'static str,
        /// Where it is.
        place: String,
        /// What SQLite said.
        reason: rusqlite::Error,
    },
}
