//! The inventory in one SQLite file: droplets with their history, and the journal of operations.
//!
//! `place` finds the file, `store` opens it, keeps its schema and looks for damage, `sums` tells rows from what
//! was written, `backup` copies it, `lock` lets one process write at a time, `rows` reads and writes rows. What the
//! steps mean for a droplet's phase is decided here; which step to take is not.

mod backup;
mod checksums;
mod lock;
mod path;
mod rows;
mod schema;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use backup::BackupSchedule;
pub use backup::RecoveryHint;
pub use lock::{ServiceLock, WriteLock};
use path::InventoryPath;

use super::{CreateIntent, DeleteCause, Freeze, Inventory, PolicyState, Provenance, Snapshot, Transition};
use crate::failpoint;
use crate::model::{
    CreateHistory, Droplet, DropletId, DropletName, FleetName, Money, Operation, OperationKind, OperationState, Pauses,
    Phase, Timestamp,
};

/// Why the inventory cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The file cannot be opened or made.
    #[error("cannot open the inventory {path}: {reason}; check that the file and its folder may be written")]
    Open {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        reason: rusqlite::Error,
    },
    /// The folder that it is to be in is not there, or not to be used.
    #[error("cannot find the folder of the inventory {path}: {source}; make it, or name another `inventory`")]
    Folder {
        /// The database file, as it was named.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file cannot be made or looked at.
    #[error("cannot {action} the inventory {path}: {source}; check free space and permissions")]
    File {
        /// `make` or `read`.
        action: &'static str,
        /// The database file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no database, or a damaged one.
    #[error("the inventory {path} is damaged or not an inventory ({detail}), and nothing was done; {remedy}")]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
        /// What can be done about it.
        remedy: Box<RecoveryHint>,
    },
    /// A newer doproxy wrote it.
    #[error(
        "the inventory {path} has schema {found}, and this doproxy knows up to {known}; use the doproxy that wrote it, or a newer one"
    )]
    NewerSchema {
        /// The database file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// Another process is the service of this fleet.
    #[error("{holder} is the service of the fleet in {path} already, and there is one for a fleet; stop it first")]
    ServiceRunning {
        /// The database file.
        path: PathBuf,
        /// Who that is.
        holder: String,
    },
    /// It is the inventory of another fleet.
    #[error(
        "the inventory {path} is that of fleet {theirs}, and this is fleet {ours}: name another `inventory`, or set `fleet: {theirs}`"
    )]
    FleetMismatch {
        /// The database file.
        path: PathBuf,
        /// The fleet whose inventory it is.
        theirs: String,
        /// The fleet of the configuration.
        ours: String,
    },
    /// Another process writes to it.
    #[error("the inventory {path} is being changed by {holder}; waited {waited:?}, try again when it is done")]
    Locked {
        /// The database file.
        path: PathBuf,
        /// Command and process id of the other.
        holder: String,
        /// How long this process waited.
        waited: Duration,
    },
    /// Somebody froze the fleet.
    #[error("the fleet is frozen since {}: {}; `doproxy unfreeze` lifts it", .0.since, .0.reason)]
    Frozen(Freeze),
    /// The lock file cannot be used.
    #[error("cannot lock the inventory with {path}: {source}; check that its folder may be written")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A step whose precondition does not hold; the inventory is unchanged.
    #[error("the inventory refused a step: {0}; this is a fault in doproxy")]
    PreconditionFailed(String),
    /// Any other failure of SQLite.
    #[error("cannot {action} the inventory {path}: {reason}; check free space and permissions")]
    Sqlite {
        /// `read` or `write`.
        action: &'static str,
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        reason: rusqlite::Error,
    },
}

/// Under which key the loop's memory is kept.
const LOOP_STATE_KEY: &str = "loop_memory";

/// The fleet's inventory in a SQLite file.
#[derive(Debug)]
pub struct SqliteInventory {
    path: InventoryPath,
    connection: Mutex<Connection>,
    /// Of a process that has the write lock; only such a one makes backups.
    backup_schedule: Option<Mutex<BackupSchedule>>,
}

impl SqliteInventory {
    /// Opens the inventory at `path`, and makes it or brings its schema up to date where needed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, InventoryError> {
        let place = InventoryPath::resolve(path.as_ref())?;
        let connection = schema::open(&place)?;
        Ok(Self { path: place, connection: Mutex::new(connection), backup_schedule: None })
    }

    /// Opens the inventory at `path` as [`open`](Self::open) does, and keeps a backup beside it: made when this is
    /// dropped after a change, and every few minutes in a process that goes on. For holders of the [`WriteLock`].
    pub fn open_with_backup(path: impl AsRef<Path>) -> Result<Self, InventoryError> {
        let mut inventory = Self::open(path)?;
        let schedule = BackupSchedule::new(&inventory.connection(), &inventory.path);
        inventory.backup_schedule = Some(Mutex::new(schedule));
        Ok(inventory)
    }

    /// Opens the inventory at `path`; `None` where there is none yet.
    pub fn open_existing(path: impl AsRef<Path>) -> Result<Option<Self>, InventoryError> {
        let path = path.as_ref();
        if path.exists() {
            return Self::open(path).map(Some);
        }
        if let Ok(place) = InventoryPath::resolve(path) {
            backup::warn_if_lost(&place);
        }
        Ok(None)
    }

    /// Makes this the inventory of `fleet`, or refuses where it is another's.
    pub fn bind_fleet(&self, fleet: &FleetName) -> Result<(), InventoryError> {
        let owner = self.write(|transaction| {
            transaction.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('fleet', ?1)", [fleet.as_str()])?;
            Ok(transaction
                .query_row("SELECT value FROM meta WHERE key = 'fleet'", [], |row| row.get::<_, String>(0))?)
        })?;
        if owner == fleet.as_str() {
            return Ok(());
        }
        Err(InventoryError::FleetMismatch { path: self.path.file().to_owned(), theirs: owner, ours: fleet.to_string() })
    }

    /// The phases that a droplet went through, oldest first. For people and tests.
    pub fn history(&self, droplet: &DropletName) -> Result<Vec<(Phase, Timestamp)>, InventoryError> {
        let connection = self.connection();
        rows::history(&connection, droplet).map_err(|source| self.sqlite_error("read", source))
    }

    /// The operations that are closed, oldest first. For people and tests.
    pub fn closed_operations(&self) -> Result<Vec<Operation>, InventoryError> {
        let connection = self.connection();
        rows::operations(&connection, false).map_err(|source| self.sqlite_error("read", source))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic while the lock was held leaves a rolled-back transaction, not a broken connection.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sqlite_error(&self, action: &'static str, source: rusqlite::Error) -> InventoryError {
        schema::classify(&self.path, action, source)
    }

    /// Runs `change` in one transaction that is on disk when this returns `Ok`, or not there at all.
    fn write<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, TransactionError>,
    ) -> Result<T, InventoryError> {
        let mut connection = self.connection();
        let changes = connection.total_changes();
        let result = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(TransactionError::from)
            .and_then(|transaction| {
                let value = change(&transaction)?;
                failpoint::failpoint("inventory commit", || transaction.commit())?;
                Ok(value)
            });
        if let Some(backups) = self.backup_schedule.as_ref().filter(|_| connection.total_changes() != changes) {
            backups.lock().unwrap_or_else(PoisonError::into_inner).on_change(&connection, &self.path);
        }
        result.map_err(|refusal| match refusal {
            TransactionError::PreconditionFailed(why) => InventoryError::PreconditionFailed(why),
            TransactionError::Frozen(freeze) => InventoryError::Frozen(freeze),
            TransactionError::Sqlite(source) => self.sqlite_error("write", source),
        })
    }
}

impl Drop for SqliteInventory {
    fn drop(&mut self) {
        if let Some(backups) = &self.backup_schedule {
            let connection = self.connection();
            backups.lock().unwrap_or_else(PoisonError::into_inner).back_up_if_stale(&connection, &self.path);
        }
    }
}

/// Why a change is rolled back.
enum TransactionError {
    PreconditionFailed(String),
    Frozen(Freeze),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for TransactionError {
    fn from(source: rusqlite::Error) -> Self {
        Self::Sqlite(source)
    }
}

fn reject<T>(why: String) -> Result<T, TransactionError> {
    Err(TransactionError::PreconditionFailed(why))
}

impl Inventory for SqliteInventory {
    type Error = InventoryError;

    async fn load(&self) -> Result<Snapshot, InventoryError> {
        let mut connection = self.connection();
        let read = |connection: &mut Connection| {
            // One transaction, so that droplets and operations are of the same moment.
            let transaction = connection.transaction()?;
            let (last_scale_out, last_scale_in) = rows::last_scaling(&transaction)?;
            Ok(Snapshot {
                droplets: rows::droplets(&transaction)?,
                operations: rows::operations(&transaction, true)?,
                last_scale_out,
                last_scale_in,
            })
        };
        read(&mut connection).map_err(|source| self.sqlite_error("read", source))
    }

    async fn begin_create(&self, drafts: &[CreateIntent]) -> Result<Vec<Operation>, InventoryError> {
        self.write(|transaction| {
            reject_when_frozen(transaction)?;
            drafts
                .iter()
                .map(|draft| {
                    rows::insert_droplet(
                        transaction,
                        &Droplet {
                            name: draft.name.clone(),
                            index: draft.index,
                            id: None,
                            phase: Phase::Requested,
                            phase_since: draft.at,
                            created_at: draft.at,
                            template: draft.template.clone(),
                            hourly_price: draft.hourly_price,
                            address: None,
                            protected: false,
                        },
                    )?;
                    Ok(rows::insert_operation(
                        transaction,
                        OperationKind::Create,
                        &draft.name,
                        draft.at,
                        Some(&draft.body_digest),
                        draft.user_data_params.as_deref(),
                    )?)
                })
                .collect()
        })
    }

    async fn begin_delete(
        &self,
        droplet: &DropletName,
        phase: Phase,
        cause: DeleteCause,
        reason: &str,
        at: Timestamp,
    ) -> Result<Operation, InventoryError> {
        self.write(|transaction| {
            reject_when_frozen(transaction)?;
            let open = rows::open_operations_of(transaction, droplet)?;
            if let Some(delete) = open.iter().find(|operation| operation.kind == OperationKind::Delete) {
                return Ok(delete.clone());
            }
            for create in open {
                rows::close_operation(
                    transaction,
                    create.id,
                    &OperationState::Failed { reason: reason.to_owned() },
                    at,
                )?;
                if cause == DeleteCause::StartupTimeout {
                    rows::mark_as_failed_boot(transaction, create.id)?;
                }
            }
            // It may have come to serve since whoever asks for this has looked.
            let serves = rows::phase_of(transaction, droplet)? == Some(Phase::Serving);
            let phase = if serves { Phase::Draining } else { phase };
            transition_to(transaction, droplet, phase, at)?;
            Ok(rows::insert_operation(transaction, OperationKind::Delete, droplet, at, None, None)?)
        })
    }

    async fn record(&self, step: &Transition, at: Timestamp) -> Result<(), InventoryError> {
        self.write(|transaction| match step {
            Transition::Sending { operations } => {
                reject_when_frozen(transaction)?;
                for operation in operations {
                    let changed = transaction.execute(
                        "UPDATE operations SET sent_at = ?2 WHERE id = ?1 AND kind = 'create' AND state = 'open'",
                        params![operation.0, at.0],
                    )?;
                    if changed != 1 {
                        return reject(format!("operation {operation} is no open create"));
                    }
                }
                Ok(())
            }
            Transition::Rejected { operations } => {
                for (operation, sent_before) in operations {
                    transaction.execute(
                        "UPDATE operations SET sent_at = ?2 WHERE id = ?1 AND kind = 'create' AND state = 'open'",
                        params![operation.0, sent_before.map(|at| at.0)],
                    )?;
                }
                Ok(())
            }
            Transition::Created { droplets } => {
                for (name, id) in droplets {
                    set_cloud_id(transaction, name, *id)?;
                    transition_to(transaction, name, Phase::Booting, at)?;
                }
                Ok(())
            }
            Transition::AddressChanged { droplet, address } => Ok(rows::set_address(transaction, droplet, *address)?),
            Transition::AddressAssigned { droplet, address } => {
                rows::set_address(transaction, droplet, *address)?;
                transition_to(transaction, droplet, Phase::Warming, at)
            }
            Transition::PhaseChanged { droplet, phase } => {
                transition_to(transaction, droplet, *phase, at)?;
                close_finished_operations(transaction, droplet, *phase, at)
            }
            Transition::CreateFailed { operation, reason } => {
                let Some(name) = rows::droplet_of(transaction, *operation)? else {
                    return reject(format!("there is no operation {operation}"));
                };
                rows::close_operation(transaction, *operation, &OperationState::Failed { reason: reason.clone() }, at)?;
                transition_to(transaction, &name, Phase::Gone, at)
            }
        })
    }

    async fn adopt(&self, droplet: &Droplet) -> Result<Option<Droplet>, InventoryError> {
        self.write(|transaction| adopt(transaction, droplet))
    }

    async fn adopt_for_deletion(&self, droplet: &Droplet, reason: &str) -> Result<Option<Operation>, InventoryError> {
        self.write(|transaction| {
            let at = droplet.phase_since;
            let Some(adopted) = adopt(transaction, &Droplet { phase: Phase::Deleting, ..droplet.clone() })? else {
                return Ok(None);
            };
            let operation = rows::insert_operation(transaction, OperationKind::Delete, &adopted.name, at, None, None)?;
            transaction.execute("UPDATE operations SET reason = ?2 WHERE id = ?1", params![operation.id.0, reason])?;
            Ok(Some(operation))
        })
    }

    async fn provenance(&self, id: DropletId, name: &str) -> Result<Provenance, InventoryError> {
        let connection = self.connection();
        rows::provenance(&connection, id, name).map_err(|source| self.sqlite_error("read", source))
    }

    async fn creates_since(&self, since: Timestamp) -> Result<CreateHistory, InventoryError> {
        let connection = self.connection();
        rows::creates_since(&connection, since).map_err(|source| self.sqlite_error("read", source))
    }

    async fn freeze(&self) -> Result<Option<Freeze>, InventoryError> {
        let connection = self.connection();
        rows::freeze(&connection).map_err(|source| self.sqlite_error("read", source))
    }

    async fn set_freeze(&self, freeze: Option<&Freeze>) -> Result<(), InventoryError> {
        self.write(|transaction| Ok(rows::set_freeze(transaction, freeze)?))
    }

    async fn pauses(&self) -> Result<Pauses, InventoryError> {
        let connection = self.connection();
        rows::pauses(&connection).map_err(|source| self.sqlite_error("read", source))
    }

    async fn set_pauses(&self, pauses: &Pauses) -> Result<(), InventoryError> {
        self.write(|transaction| Ok(rows::set_pauses(transaction, pauses)?))
    }

    async fn set_protected(&self, droplet: &DropletName, protected: bool) -> Result<bool, InventoryError> {
        self.write(|transaction| {
            let changed = transaction.execute(
                "UPDATE droplets SET protected = ?2 WHERE name = ?1 AND phase <> 'gone'",
                params![droplet.as_str(), protected],
            )?;
            Ok(changed == 1)
        })
    }

    async fn cost_between(&self, since: Timestamp, now: Timestamp) -> Result<Money, InventoryError> {
        let connection = self.connection();
        rows::cost_between(&connection, since, now).map_err(|source| self.sqlite_error("read", source))
    }

    async fn boot_times(&self, count: u32) -> Result<Vec<Duration>, InventoryError> {
        let connection = self.connection();
        rows::boot_times(&connection, count).map_err(|source| self.sqlite_error("read", source))
    }

    async fn policy_state(&self, policy: &str) -> Result<Option<PolicyState>, InventoryError> {
        let connection = self.connection();
        connection
            .query_row("SELECT identity, ticks, state FROM policies WHERE name = ?1", [policy], |row| {
                Ok(PolicyState { identity: row.get(0)?, ticks: row.get(1)?, state: row.get(2)? })
            })
            .optional()
            .map_err(|source| self.sqlite_error("read", source))
    }

    async fn load_loop_state(&self) -> Result<Option<String>, InventoryError> {
        let connection = self.connection();
        rows::meta(&connection, LOOP_STATE_KEY).map_err(|source| self.sqlite_error("read", source))
    }

    async fn save_state(&self, loop_memory: &str, policies: &[(String, PolicyState)]) -> Result<(), InventoryError> {
        self.write(|transaction| {
            rows::set_meta(transaction, LOOP_STATE_KEY, loop_memory)?;
            for (name, state) in policies {
                transaction.execute(
                    "INSERT OR REPLACE INTO policies (name, identity, ticks, state) VALUES (?1, ?2, ?3, ?4)",
                    params![name, state.identity, state.ticks, state.state],
                )?;
            }
            Ok(())
        })
    }

    async fn next_index(&self) -> Result<u32, InventoryError> {
        let connection = self.connection();
        connection
            .query_row("SELECT coalesce(max(fleet_index) + 1, 0) FROM droplets", [], |row| row.get(0))
            .map_err(|source| self.sqlite_error("read", source))
    }
}

/// No intent is taken while the fleet is frozen, whoever froze it meanwhile.
fn reject_when_frozen(transaction: &Transaction<'_>) -> Result<(), TransactionError> {
    rows::freeze(transaction)?.map_or(Ok(()), |freeze| Err(TransactionError::Frozen(freeze)))
}

fn adopt(transaction: &Transaction<'_>, droplet: &Droplet) -> Result<Option<Droplet>, TransactionError> {
    reject_when_frozen(transaction)?;
    let known = |condition: &str, value: &dyn rusqlite::ToSql| {
        transaction.query_row(&format!("SELECT EXISTS (SELECT 1 FROM droplets WHERE {condition})"), [value], |row| {
            row.get::<_, bool>(0)
        })
    };
    if known("phase <> 'gone' AND cloud_id = ?1", &droplet.id.map(|id| id.0))? {
        return Ok(None);
    }
    // One that left the fleet may come back; its history keeps its name.
    transaction.execute("UPDATE droplets SET cloud_id = NULL WHERE cloud_id = ?1", [droplet.id.map(|id| id.0)])?;
    let mut droplet = droplet.clone();
    if let Some(id) = droplet.id
        && known("name = ?1", &droplet.name.as_str())?
    {
        droplet.name = DropletName::parse(format!("{}-{id}", droplet.name))
            .map_err(|error| TransactionError::PreconditionFailed(error.to_string()))?;
    }
    rows::insert_droplet(transaction, &droplet)?;
    Ok(Some(droplet))
}

fn set_cloud_id(transaction: &Transaction<'_>, name: &DropletName, id: DropletId) -> Result<(), TransactionError> {
    let changed = transaction.execute(
        "UPDATE droplets SET cloud_id = ?2 WHERE name = ?1 AND phase = 'requested' AND cloud_id IS NULL",
        params![name.as_str(), id.0],
    )?;
    if changed == 1 { Ok(()) } else { reject(format!("{name} is not waiting for an id")) }
}

/// Moves a droplet to another phase, where life allows it, and writes that into its history.
fn transition_to(
    transaction: &Transaction<'_>,
    name: &DropletName,
    phase: Phase,
    at: Timestamp,
) -> Result<(), TransactionError> {
    let Some(current) = rows::phase_of(transaction, name)? else {
        return reject(format!("there is no droplet {name}"));
    };
    if current == phase {
        return Ok(());
    }
    if !current.can_transition_to(phase) {
        return reject(format!("{name} is {current} and cannot become {phase}"));
    }
    rows::set_phase(transaction, name, phase, at)?;
    Ok(())
}

fn close_finished_operations(
    transaction: &Transaction<'_>,
    droplet: &DropletName,
    phase: Phase,
    at: Timestamp,
) -> Result<(), TransactionError> {
    for operation in rows::open_operations_of(transaction, droplet)? {
        let state = match (operation.kind, phase) {
            (OperationKind::Create, Phase::Serving) | (OperationKind::Delete, Phase::Gone) => OperationState::Done,
            (OperationKind::Create, Phase::Gone) => OperationState::Failed { reason: "the droplet is gone".to_owned() },
            _ => continue,
        };
        rows::close_operation(transaction, operation.id, &state, at)?;
    }
    Ok(())
}
