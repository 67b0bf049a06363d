//! The durable state of the fleet and of the operations on it: the [`Inventory`] trait and the types that cross it.
//!
//! There is one implementation, `sqlite`; etcd is planned for several controllers.

use std::net::IpAddr;
use std::time::Duration;

use crate::domain::{
    CreateHistory, Droplet, DropletId, DropletName, HourlyPrice, Money, Operation, OperationId, Pauses, Phase,
    Template, Timestamp,
};

/// A durable record of droplets and operations.
///
/// Every change is on disk when its method returns `Ok`. A change whose precondition does not hold is rejected as a
/// whole.
pub trait Inventory: Send + Sync {
    /// The exclusive right to modify the fleet; released on drop.
    type Lock: std::fmt::Debug + Send + Sync + 'static;

    /// Acquires the exclusive right to modify the fleet without waiting. `command` is the name that other processes see
    /// while they wait. Fails with [`InventoryErrorKind::Locked`] if another process holds it.
    fn try_lock(&self, command: &str) -> impl Future<Output = Result<Self::Lock, InventoryError>> + Send;

    /// Loads every droplet that is not gone, in creation order, and every open operation.
    fn load(&self) -> impl Future<Output = Result<Snapshot, InventoryError>> + Send;

    /// Writes the intent to create one droplet per entry, before any request is sent. All or nothing.
    fn begin_create(
        &self,
        drafts: &[CreateIntent],
    ) -> impl Future<Output = Result<Vec<Operation>, InventoryError>> + Send;

    /// Writes the intent to delete one droplet and moves it to `phase` (draining or deleting); a serving droplet always
    /// drains. If a delete is already open for the droplet, returns that one. An open create of the droplet is closed
    /// as failed with `reason`, and counts as a failed boot if `cause` is [`DeleteCause::StartupTimeout`].
    fn begin_delete(
        &self,
        droplet: &DropletName,
        phase: Phase,
        cause: DeleteCause,
        reason: &str,
        at: Timestamp,
    ) -> impl Future<Output = Result<Operation, InventoryError>> + Send;

    /// Records one transition of an operation or its droplet.
    fn record(&self, step: &Transition, at: Timestamp) -> impl Future<Output = Result<(), InventoryError>> + Send;

    /// Adopts a droplet created outside doproxy; returns `None` if its ID already is in the fleet. If its name is or
    /// was used by another droplet, the ID is appended to the name. Returns the droplet as written.
    fn adopt(&self, droplet: &Droplet) -> impl Future<Output = Result<Option<Droplet>, InventoryError>> + Send;

    /// Adopts a droplet like [`Inventory::adopt`], but in order to delete it: droplet and operation are written
    /// together, so that it never counts towards the fleet size.
    fn adopt_for_deletion(
        &self,
        droplet: &Droplet,
        reason: &str,
    ) -> impl Future<Output = Result<Option<Operation>, InventoryError>> + Send;

    /// Looks up the history of a droplet that exists at the API but is not in the fleet.
    fn provenance(&self, id: DropletId, name: &str) -> impl Future<Output = Result<Provenance, InventoryError>> + Send;

    /// Returns the results of creates since `since`. A create whose droplet was deleted by an operator during startup
    /// does not count as a success or failure.
    fn creates_since(&self, since: Timestamp) -> impl Future<Output = Result<CreateHistory, InventoryError>> + Send;

    /// Returns the maintenance mode, if it is on.
    fn maintenance(&self) -> impl Future<Output = Result<Option<Maintenance>, InventoryError>> + Send;

    /// Turns maintenance mode on or off. While it is on, no intent to create or delete is accepted.
    fn set_maintenance(
        &self,
        maintenance: Option<&Maintenance>,
    ) -> impl Future<Output = Result<(), InventoryError>> + Send;

    /// Returns the current pauses.
    fn pauses(&self) -> impl Future<Output = Result<Pauses, InventoryError>> + Send;

    /// Replaces the pauses.
    fn set_pauses(&self, pauses: &Pauses) -> impl Future<Output = Result<(), InventoryError>> + Send;

    /// Protects a droplet from being selected for deletion by a policy or the guard, or removes the protection. Returns
    /// `false` if the droplet does not exist.
    fn set_protected(
        &self,
        droplet: &DropletName,
        protected: bool,
    ) -> impl Future<Output = Result<bool, InventoryError>> + Send;

    /// Returns the cost of the fleet's droplets, including those that are gone, from `since` until `now`: by the
    /// second, with at least the minimum charge for each.
    fn cost_between(
        &self,
        since: Timestamp,
        now: Timestamp,
    ) -> impl Future<Output = Result<Money, InventoryError>> + Send;

    /// Returns the times from request to serving of the most recent droplets that reached serving, newest first, at
    /// most `count`.
    fn boot_times(&self, count: u32) -> impl Future<Output = Result<Vec<Duration>, InventoryError>> + Send;

    /// Loads the last saved state of a policy.
    fn policy_state(&self, policy: &str) -> impl Future<Output = Result<Option<PolicyState>, InventoryError>> + Send;

    /// Loads the last saved state of the control loop, as text that only the loop interprets.
    fn load_loop_state(&self) -> impl Future<Output = Result<Option<String>, InventoryError>> + Send;

    /// Saves the states of the loop and of its policies (by name). All or nothing.
    fn save_state(
        &self,
        loop_state: &str,
        policies: &[(String, PolicyState)],
    ) -> impl Future<Output = Result<(), InventoryError>> + Send;

    /// Returns the index of the next droplet.
    fn next_index(&self) -> impl Future<Output = Result<u32, InventoryError>> + Send;
}

/// An error of an inventory: its kind, on which callers act, and the adapter's own message with place and remedy.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct InventoryError {
    /// The kind of error.
    pub kind: InventoryErrorKind,
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// The kinds of errors that callers handle differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InventoryErrorKind {
    /// Another process changed the same data. Nothing was changed, and the operation can be retried.
    Conflict,
    /// The fleet is in maintenance mode. Nothing was changed.
    InMaintenance(Maintenance),
    /// Another process holds the write lock.
    Locked {
        /// Command and process ID of the holder.
        holder: String,
    },
    /// The inventory belongs to another fleet.
    FleetMismatch,
    /// The stored data is damaged; nothing was changed.
    Corrupt,
    /// This process is no longer allowed to write: another one took over.
    LostLeadership,
    /// The inventory did not respond; nothing was changed.
    Unreachable,
    /// A write may or may not have been applied.
    UnknownOutcome,
    /// Any other error; the message has the remedy.
    Other,
}

impl InventoryError {
    /// Creates an error of `kind` with the adapter's own error.
    pub fn new(kind: InventoryErrorKind, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { kind, source: source.into() }
    }
}

/// The cause of a deletion, as far as it says something about the next create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteCause {
    /// Requested by a policy, the guard or an operator.
    Requested,
    /// The droplet did not start in time.
    StartupTimeout,
}

/// The contents of the inventory at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// Droplets that are not gone, in order of [`Droplet::index`].
    pub droplets: Vec<Droplet>,
    /// Open operations, oldest first.
    pub operations: Vec<Operation>,
    /// The start of the last create.
    pub last_scale_out: Option<Timestamp>,
    /// The start of the last delete.
    pub last_scale_in: Option<Timestamp>,
}

impl Snapshot {
    /// Returns the droplet with that name.
    pub fn droplet(&self, name: &DropletName) -> Option<&Droplet> {
        self.droplets.iter().find(|droplet| droplet.name == *name)
    }
}

/// Maintenance mode: nothing is changed until an operator turns it off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// The time at which it started.
    pub since: Timestamp,
    /// The reason given by the operator.
    pub reason: String,
}

/// The history of a droplet that is not in the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provenance {
    /// Neither its ID nor its name was ever in the fleet.
    Unknown,
    /// A droplet with this ID was in the fleet: it was deleted, or found missing.
    Former,
    /// A create request for this name was sent, but the fleet's droplet of this name has a different ID.
    Requested {
        /// The name in the request.
        name: DropletName,
    },
}

/// The state that a policy carries from one tick to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyState {
    /// Identifies the components and configurations that can use this state.
    pub identity: String,
    /// Number of ticks that the policy has decided.
    pub ticks: u64,
    /// Opaque state, at most 64 KiB.
    pub state: Vec<u8>,
}

/// The intent to create one droplet.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateIntent {
    /// The name, unique over the whole history.
    pub name: DropletName,
    /// The index in the fleet.
    pub index: u32,
    /// The template.
    pub template: Template,
    /// The price.
    pub hourly_price: HourlyPrice,
    /// SHA-256 of the droplet's user data, in hex.
    pub body_digest: String,
    /// The parameters for the user-data generator.
    pub user_data_params: Option<String>,
    /// The time of the intent.
    pub at: Timestamp,
}

/// A durable transition of an operation or its droplet.
#[derive(Debug, Clone, PartialEq)]
pub enum Transition {
    /// The create request for these operations is about to be sent.
    Sending {
        /// The operations whose droplets are created by one request.
        operations: Vec<OperationId>,
    },
    /// The request was certainly not carried out: restores, for each operation, the time of an earlier request whose
    /// outcome is unknown.
    Rejected {
        /// The operations and their previous `sent_at`.
        operations: Vec<(OperationId, Option<Timestamp>)>,
    },
    /// The droplets exist: each moves to `booting` with its ID.
    Created {
        /// The name and ID of each.
        droplets: Vec<(DropletName, DropletId)>,
    },
    /// The droplet received its address: it moves to `warming`.
    AddressAssigned {
        /// The droplet.
        droplet: DropletName,
        /// The address that it listens on.
        address: IpAddr,
    },
    /// The droplet's address changed.
    AddressChanged {
        /// The droplet.
        droplet: DropletName,
        /// The new address.
        address: IpAddr,
    },
    /// The droplet moves to another phase. `serving` closes its create, `gone` closes every open operation for it.
    PhaseChanged {
        /// The droplet.
        droplet: DropletName,
        /// The new phase.
        phase: Phase,
    },
    /// The create was rejected, or its droplet never appeared: the operation is closed as failed and the droplet is
    /// gone.
    CreateFailed {
        /// The operation.
        operation: OperationId,
        /// The reason.
        reason: String,
    },
}
