//! The remedy for a damaged inventory.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The remedy for a damaged inventory.
#[derive(Debug)]
pub struct RecoveryHint {
    inventory: PathBuf,
    backup: BackupState,
}

/// The state of the backup.
#[derive(Debug)]
pub(super) enum BackupState {
    Missing,
    Damaged(PathBuf),
    Intact { path: PathBuf, age: Duration, bytes: u64 },
}

impl RecoveryHint {
    /// Returns the remedy for the damaged `inventory`, depending on the state of its backup.
    pub(super) fn new(inventory: PathBuf, backup: BackupState) -> Self {
        Self { inventory, backup }
    }
}

impl fmt::Display for RecoveryHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.inventory.display();
        // SQLite would apply a leftover log to the next database of that name.
        let move_away = format!("mv {file} {file}.damaged; rm -f {file}-wal {file}-shm");
        let rebuild = "and run `doproxy recover --adopt` to rebuild it from the API by the fleet's tag";
        match &self.backup {
            BackupState::Intact { path, age, bytes } => {
                let path = path.display();
                write!(
                    f,
                    "its last backup is intact: {path}, made {} ago, {} KiB. Move the damaged file away with `{move_away}`, then either restore the backup with `cp {path} {file}`, or do not restore it {rebuild}",
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

/// Formats a duration in its largest unit.
pub(super) fn format_age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86400),
    }
}
