//! Errors of the SQLite inventory, with the file and the remedy.

use std::path::PathBuf;
use std::time::Duration;

use doproxy_core::seams::{InventoryError, InventoryErrorKind, Maintenance};

use crate::recovery_hint::RecoveryHint;

/// An error while reading or writing the inventory.
#[derive(Debug, thiserror::Error)]
pub enum SqliteError {
    /// The file cannot be opened or created.
    #[error("cannot open the inventory {path}: {reason}; check that the file and its folder are writable")]
    Open {
        /// The database file.
        path: PathBuf,
        /// SQLite's error.
        reason: rusqlite::Error,
    },
    /// The folder for the file does not exist or cannot be used.
    #[error("cannot find the folder of the inventory {path}: {source}; create it, or set another `inventory`")]
    Folder {
        /// The database file, as configured.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The file cannot be created or read.
    #[error("cannot {action} the inventory {path}: {source}; check free space and permissions")]
    File {
        /// `make` or `read`.
        action: &'static str,
        /// The database file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The file is not a database, or is damaged.
    #[error("the inventory {path} is damaged or not an inventory ({detail}); nothing was changed; {hint}")]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// The damage.
        detail: String,
        /// The remedy.
        hint: Box<RecoveryHint>,
    },
    /// A newer doproxy wrote the file.
    #[error(
        "the inventory {path} has schema version {found} but this doproxy supports only up to {known}; use the doproxy version that wrote it, or a newer one"
    )]
    NewerSchema {
        /// The database file.
        path: PathBuf,
        /// The file's schema version.
        found: i64,
        /// The newest version that this program supports.
        known: i64,
    },
    /// Another process already runs the service of this fleet.
    #[error(
        "{holder} is already running the service of the fleet in {path}, and only one can run at a time; stop it first"
    )]
    ServiceRunning {
        /// The database file.
        path: PathBuf,
        /// The process that runs it.
        holder: String,
    },
    /// The inventory belongs to another fleet.
    #[error(
        "the inventory {path} belongs to fleet {recorded}, not to fleet {configured}; set another `inventory`, or set `fleet: {recorded}`"
    )]
    FleetMismatch {
        /// The database file.
        path: PathBuf,
        /// The fleet that the inventory belongs to.
        recorded: String,
        /// The fleet in the configuration.
        configured: String,
    },
    /// Another process holds the write lock.
    #[error("the inventory {path} is locked by {holder}; gave up after {waited:?}, retry once it has finished")]
    Locked {
        /// The database file.
        path: PathBuf,
        /// Command and process ID of the holder.
        holder: String,
        /// The time that this process waited.
        waited: Duration,
    },
    /// An operator has turned on maintenance mode.
    #[error("the fleet is in maintenance mode (since {}: {}); run `doproxy maintenance off` to resume", .0.since, .0.reason)]
    InMaintenance(Maintenance),
    /// The lock file cannot be used.
    #[error("cannot lock the inventory with {path}: {source}; check that its folder is writable")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A transition whose precondition does not hold; the inventory is unchanged.
    #[error("the inventory rejected a transition: {0}; this is a fault in doproxy")]
    PreconditionFailed(String),
    /// Any other SQLite error.
    #[error("cannot {action} the inventory {path}: {reason}; check free space and permissions")]
    Sqlite {
        /// `read` or `write`.
        action: &'static str,
        /// The database file.
        path: PathBuf,
        /// SQLite's error.
        reason: rusqlite::Error,
    },
}

impl From<SqliteError> for InventoryError {
    fn from(error: SqliteError) -> Self {
        let kind = match &error {
            SqliteError::PreconditionFailed(_) => InventoryErrorKind::Conflict,
            SqliteError::InMaintenance(maintenance) => InventoryErrorKind::InMaintenance(maintenance.clone()),
            SqliteError::Locked { holder, .. } => InventoryErrorKind::Locked { holder: holder.clone() },
            SqliteError::Corrupt { .. } => InventoryErrorKind::Corrupt,
            SqliteError::FleetMismatch { .. } => InventoryErrorKind::FleetMismatch,
            _ => InventoryErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
