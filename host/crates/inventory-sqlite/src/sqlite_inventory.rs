//! The inventory in one SQLite file: the effect of each transition on the droplets and on the operation journal.

use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use doproxy_core::domain::{
    CreateHistory, Droplet, DropletId, DropletName, FleetName, Money, Operation, OperationKind, OperationState, Pauses,
    Phase, Timestamp,
};
use doproxy_core::seams::{
    CreateIntent, DeleteCause, Inventory, InventoryError, Maintenance, PolicyState, Provenance, Snapshot, Transition,
};
use doproxy_support::failpoint;
use doproxy_support::sync::lock;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::backup::BackupSchedule;
use crate::error::SqliteError;
use crate::lock::WriteLock;
use crate::path::InventoryPath;

/// The key of the control loop's state.
const LOOP_STATE_KEY: &str = "loop_state";

/// The fleet's inventory in a SQLite file.
#[derive(Debug)]
pub struct SqliteInventory {
    path: InventoryPath,
    connection: Mutex<Connection>,
    /// The backup schedule. Only a process that holds the write lock makes backups.
    backup_schedule: Option<Mutex<BackupSchedule>>,
}

impl SqliteInventory {
    /// Opens the inventory at `path`, creating it or migrating its schema if necessary.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SqliteError> {
        let place = InventoryPath::resolve(path.as_ref())?;
        let connection = crate::schema::open(&place)?;
        Ok(Self { path: place, connection: Mutex::new(connection), backup_schedule: None })
    }

    /// Opens the inventory at `path` like [`open`](Self::open) and maintains a backup beside it, made on drop after a
    /// change, and every few minutes in a long-running process. For holders of the [`WriteLock`].
    pub fn open_with_backup(path: impl AsRef<Path>) -> Result<Self, SqliteError> {
        let mut inventory = Self::open(path)?;
        let schedule = BackupSchedule::new(&inventory.connection(), &inventory.path);
        inventory.backup_schedule = Some(Mutex::new(schedule));
        Ok(inventory)
    }

    /// Opens the inventory at `path`; `None` if it does not exist yet.
    pub fn open_existing(path: impl AsRef<Path>) -> Result<Option<Self>, SqliteError> {
        let path = path.as_ref();
        if path.exists() {
            return Self::open(path).map(Some);
        }
        if let Ok(place) = InventoryPath::resolve(path) {
            crate::backup::warn_if_lost(&place);
        }
        Ok(None)
    }

    /// Binds the inventory to `fleet`, or returns an error if it belongs to another fleet.
    pub fn bind_fleet(&self, fleet: &FleetName) -> Result<(), SqliteError> {
        let owner = self.write(|transaction| {
            transaction.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('fleet', ?1)", [fleet.as_str()])?;
            Ok(transaction
                .query_row("SELECT value FROM meta WHERE key = 'fleet'", [], |row| row.get::<_, String>(0))?)
        })?;
        if owner == fleet.as_str() {
            return Ok(());
        }
        Err(SqliteError::FleetMismatch {
            path: self.path.file().to_owned(),
            recorded: owner,
            configured: fleet.to_string(),
        })
    }

    /// Returns the phases that a droplet went through, oldest first. For inspection and tests.
    pub fn history(&self, droplet: &DropletName) -> Result<Vec<(Phase, Timestamp)>, SqliteError> {
        let connection = self.connection();
        crate::rows::history(&connection, droplet).map_err(|source| self.sqlite_error("read", source))
    }

    /// Returns the closed operations, oldest first. For inspection and tests.
    pub fn closed_operations(&self) -> Result<Vec<Operation>, SqliteError> {
        let connection = self.connection();
        crate::rows::operations(&connection, false).map_err(|source| self.sqlite_error("read", source))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic while holding the lock leaves a rolled-back transaction, not a broken connection.
        lock(&self.connection)
    }

    fn sqlite_error<E: From<SqliteError>>(&self, action: &'static str, source: rusqlite::Error) -> E {
        crate::schema::classify(&self.path, action, source).into()
    }

    /// Runs `change` in one transaction, which is either on disk when this returns `Ok` or has no effect.
    fn write<T, E: From<SqliteError>>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, TransactionError>,
    ) -> Result<T, E> {
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
            lock(backups).on_change(&connection, &self.path);
        }
        result.map_err(|refusal| match refusal {
            TransactionError::PreconditionFailed(why) => SqliteError::PreconditionFailed(why).into(),
            TransactionError::InMaintenance(maintenance) => SqliteError::InMaintenance(maintenance).into(),
            TransactionError::Sqlite(source) => self.sqlite_error("write", source),
        })
    }
}

impl Drop for SqliteInventory {
    fn drop(&mut self) {
        if let Some(backups) = &self.backup_schedule {
            let connection = self.connection();
            lock(backups).back_up_if_stale(&connection, &self.path);
        }
    }
}

/// The reason for rolling back a change.
enum TransactionError {
    PreconditionFailed(String),
    InMaintenance(Maintenance),
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
    type Lock = WriteLock;

    async fn try_lock(&self, command: &str) -> Result<WriteLock, InventoryError> {
        Ok(WriteLock::acquire(self.path.file(), Duration::ZERO, command, |_| {}).await?)
    }

    async fn load(&self) -> Result<Snapshot, InventoryError> {
        let mut connection = self.connection();
        let read = |connection: &mut Connection| {
            // One transaction, so that droplets and operations are consistent with each other.
            let transaction = connection.transaction()?;
            let (last_scale_out, last_scale_in) = crate::rows::last_scaling(&transaction)?;
            Ok(Snapshot {
                droplets: crate::rows::droplets(&transaction)?,
                operations: crate::rows::operations(&transaction, true)?,
                last_scale_out,
                last_scale_in,
            })
        };
        read(&mut connection).map_err(|source| self.sqlite_error("read", source))
    }

    async fn begin_create(&self, drafts: &[CreateIntent]) -> Result<Vec<Operation>, InventoryError> {
        self.write(|transaction| {
            reject_in_maintenance(transaction)?;
            drafts
                .iter()
                .map(|intent| {
                    crate::rows::insert_droplet(
                        transaction,
                        &Droplet {
                            name: intent.name.clone(),
                            index: intent.index,
                            id: None,
                            phase: Phase::Requested,
                            phase_since: intent.at,
                            created_at: intent.at,
                            template: intent.template.clone(),
                            hourly_price: intent.hourly_price,
                            address: None,
                            protected: false,
                        },
                    )?;
                    Ok(crate::rows::insert_operation(
                        transaction,
                        OperationKind::Create,
                        &intent.name,
                        intent.at,
                        Some(&intent.body_digest),
                        intent.user_data_params.as_deref(),
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
            reject_in_maintenance(transaction)?;
            let open = crate::rows::open_operations_of(transaction, droplet)?;
            if let Some(delete) = open.iter().find(|operation| operation.kind == OperationKind::Delete) {
                return Ok(delete.clone());
            }
            for create in open {
                crate::rows::close_operation(
                    transaction,
                    create.id,
                    &OperationState::Failed { reason: reason.to_owned() },
                    at,
                )?;
                if cause == DeleteCause::StartupTimeout {
                    crate::rows::mark_as_failed_boot(transaction, create.id)?;
                }
            }
            // It may have reached serving since the caller last read it.
            let serves = crate::rows::phase_of(transaction, droplet)? == Some(Phase::Serving);
            let phase = if serves { Phase::Draining } else { phase };
            transition_to(transaction, droplet, phase, at)?;
            Ok(crate::rows::insert_operation(transaction, OperationKind::Delete, droplet, at, None, None)?)
        })
    }

    async fn record(&self, step: &Transition, at: Timestamp) -> Result<(), InventoryError> {
        self.write(|transaction| match step {
            Transition::Sending { operations } => {
                reject_in_maintenance(transaction)?;
                for operation in operations {
                    let changed = transaction.execute(
                        "UPDATE operations SET sent_at = ?2 WHERE id = ?1 AND kind = 'create' AND state = 'open'",
                        params![operation.0, at.0],
                    )?;
                    if changed != 1 {
                        return reject(format!("operation {operation} is not an open create"));
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
            Transition::AddressChanged { droplet, address } => {
                Ok(crate::rows::set_address(transaction, droplet, *address)?)
            }
            Transition::AddressAssigned { droplet, address } => {
                crate::rows::set_address(transaction, droplet, *address)?;
                transition_to(transaction, droplet, Phase::Warming, at)
            }
            Transition::PhaseChanged { droplet, phase } => {
                transition_to(transaction, droplet, *phase, at)?;
                close_finished_operations(transaction, droplet, *phase, at)
            }
            Transition::CreateFailed { operation, reason } => {
                let Some(name) = crate::rows::droplet_of(transaction, *operation)? else {
                    return reject(format!("operation {operation} does not exist"));
                };
                crate::rows::close_operation(
                    transaction,
                    *operation,
                    &OperationState::Failed { reason: reason.clone() },
                    at,
                )?;
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
            let operation =
                crate::rows::insert_operation(transaction, OperationKind::Delete, &adopted.name, at, None, None)?;
            transaction.execute("UPDATE operations SET reason = ?2 WHERE id = ?1", params![operation.id.0, reason])?;
            Ok(Some(operation))
        })
    }

    async fn provenance(&self, id: DropletId, name: &str) -> Result<Provenance, InventoryError> {
        let connection = self.connection();
        crate::rows::provenance(&connection, id, name).map_err(|source| self.sqlite_error("read", source))
    }

    async fn creates_since(&self, since: Timestamp) -> Result<CreateHistory, InventoryError> {
        let connection = self.connection();
        crate::rows::creates_since(&connection, since).map_err(|source| self.sqlite_error("read", source))
    }

    async fn maintenance(&self) -> Result<Option<Maintenance>, InventoryError> {
        let connection = self.connection();
        crate::rows::maintenance(&connection).map_err(|source| self.sqlite_error("read", source))
    }

    async fn set_maintenance(&self, maintenance: Option<&Maintenance>) -> Result<(), InventoryError> {
        self.write(|transaction| Ok(crate::rows::set_maintenance(transaction, maintenance)?))
    }

    async fn pauses(&self) -> Result<Pauses, InventoryError> {
        let connection = self.connection();
        crate::rows::pauses(&connection).map_err(|source| self.sqlite_error("read", source))
    }

    async fn set_pauses(&self, pauses: &Pauses) -> Result<(), InventoryError> {
        self.write(|transaction| Ok(crate::rows::set_pauses(transaction, pauses)?))
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
        crate::rows::cost_between(&connection, since, now).map_err(|source| self.sqlite_error("read", source))
    }

    async fn boot_times(&self, count: u32) -> Result<Vec<Duration>, InventoryError> {
        let connection = self.connection();
        crate::rows::boot_times(&connection, count).map_err(|source| self.sqlite_error("read", source))
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
        crate::rows::meta(&connection, LOOP_STATE_KEY).map_err(|source| self.sqlite_error("read", source))
    }

    async fn save_state(&self, loop_state: &str, policies: &[(String, PolicyState)]) -> Result<(), InventoryError> {
        self.write(|transaction| {
            crate::rows::set_meta(transaction, LOOP_STATE_KEY, loop_state)?;
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

/// Rejects intents in maintenance mode, even if another process has just turned it on.
fn reject_in_maintenance(transaction: &Transaction<'_>) -> Result<(), TransactionError> {
    crate::rows::maintenance(transaction)?
        .map_or(Ok(()), |maintenance| Err(TransactionError::InMaintenance(maintenance)))
}

fn adopt(transaction: &Transaction<'_>, droplet: &Droplet) -> Result<Option<Droplet>, TransactionError> {
    reject_in_maintenance(transaction)?;
    let known = |condition: &str, value: &dyn rusqlite::ToSql| {
        transaction.query_row(&format!("SELECT EXISTS (SELECT 1 FROM droplets WHERE {condition})"), [value], |row| {
            row.get::<_, bool>(0)
        })
    };
    if known("phase <> 'gone' AND cloud_id = ?1", &droplet.id.map(|id| id.0))? {
        return Ok(None);
    }
    // A droplet that left the fleet may return; its history keeps its name.
    transaction.execute("UPDATE droplets SET cloud_id = NULL WHERE cloud_id = ?1", [droplet.id.map(|id| id.0)])?;
    let mut droplet = droplet.clone();
    if let Some(id) = droplet.id
        && known("name = ?1", &droplet.name.as_str())?
    {
        droplet.name = DropletName::parse(format!("{}-{id}", droplet.name))
            .map_err(|error| TransactionError::PreconditionFailed(error.to_string()))?;
    }
    crate::rows::insert_droplet(transaction, &droplet)?;
    Ok(Some(droplet))
}

fn set_cloud_id(transaction: &Transaction<'_>, name: &DropletName, id: DropletId) -> Result<(), TransactionError> {
    let changed = transaction.execute(
        "UPDATE droplets SET cloud_id = ?2 WHERE name = ?1 AND phase = 'requested' AND cloud_id IS NULL",
        params![name.as_str(), id.0],
    )?;
    if changed == 1 { Ok(()) } else { reject(format!("{name} is not waiting for an ID")) }
}

/// Moves a droplet to another phase, if the transition is allowed, and adds it to the droplet's history.
fn transition_to(
    transaction: &Transaction<'_>,
    name: &DropletName,
    phase: Phase,
    at: Timestamp,
) -> Result<(), TransactionError> {
    let Some(current) = crate::rows::phase_of(transaction, name)? else {
        return reject(format!("droplet {name} does not exist"));
    };
    if current == phase {
        return Ok(());
    }
    if !current.can_transition_to(phase) {
        return reject(format!("{name} cannot change from {current} to {phase}"));
    }
    crate::rows::set_phase(transaction, name, phase, at)?;
    Ok(())
}

fn close_finished_operations(
    transaction: &Transaction<'_>,
    droplet: &DropletName,
    phase: Phase,
    at: Timestamp,
) -> Result<(), TransactionError> {
    for operation in crate::rows::open_operations_of(transaction, droplet)? {
        let state = match (operation.kind, phase) {
            (OperationKind::Create, Phase::Serving) | (OperationKind::Delete, Phase::Gone) => OperationState::Done,
            (OperationKind::Create, Phase::Gone) => OperationState::Failed { reason: "the droplet is gone".to_owned() },
            _ => continue,
        };
        crate::rows::close_operation(transaction, operation.id, &state, at)?;
    }
    Ok(())
}
