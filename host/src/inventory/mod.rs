//! What the fleet consists of and what is being done to it, durably: the seam, and the types that cross it.
//!
//! One implementation now, `sqlite`; etcd is to follow for several controllers.

pub mod sqlite;

use std::net::IpAddr;
use std::time::Duration;

use crate::model::{
    CreateHistory, Droplet, DropletId, DropletName, HourlyPrice, Money, Operation, OperationId, Pauses, Phase,
    Template, Timestamp,
};

/// A durable record of droplets and operations.
///
/// Whatever returns `Ok` is on disk. A change whose precondition does not hold is refused whole.
pub trait Inventory: Send + Sync {
    /// What went wrong, with the file and the remedy.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Every droplet that is not gone, in the order in which they were asked for, and every open operation.
    fn load(&self) -> impl Future<Output = Result<Snapshot, Self::Error>> + Send;

    /// Writes the intent to create one droplet for each draft, before anything is sent. All or none.
    fn begin_create(&self, drafts: &[CreateIntent])
    -> impl Future<Output = Result<Vec<Operation>, Self::Error>> + Send;

    /// Writes the intent to delete one droplet and moves it to `phase` (draining or deleting); one that serves drains in any
    /// case. When a delete is open for it, that one is returned; an open create of it is closed as failed with `reason`,
    /// and counts as a failed boot where that is the `cause`.
    fn begin_delete(
        &self,
        droplet: &DropletName,
        phase: Phase,
        cause: DeleteCause,
        reason: &str,
        at: Timestamp,
    ) -> impl Future<Output = Result<Operation, Self::Error>> + Send;

    /// Writes one step of an operation.
    fn record(&self, step: &Transition, at: Timestamp) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Takes a droplet that was made elsewhere into the fleet; `None` when its id is or was in it. Where its name is
    /// or was another's, the id is put behind the name. Answers the droplet as it was written.
    fn adopt(&self, droplet: &Droplet) -> impl Future<Output = Result<Option<Droplet>, Self::Error>> + Send;

    /// As [`Inventory::adopt`], in order to delete it: droplet and operation are written as one, so that it never counts
    /// towards the fleet.
    fn adopt_for_deletion(
        &self,
        droplet: &Droplet,
        reason: &str,
    ) -> impl Future<Output = Result<Option<Operation>, Self::Error>> + Send;

    /// What is remembered of a droplet at the API that is not in the fleet now.
    fn provenance(&self, id: DropletId, name: &str) -> impl Future<Output = Result<Provenance, Self::Error>> + Send;

    /// How creates went since `since`. One whose droplet somebody deleted while it came up says nothing about the next.
    fn creates_since(&self, since: Timestamp) -> impl Future<Output = Result<CreateHistory, Self::Error>> + Send;

    /// Whether the fleet is frozen.
    fn freeze(&self) -> impl Future<Output = Result<Option<Freeze>, Self::Error>> + Send;

    /// Freezes the fleet, or lifts that. While it is frozen, no intent to create or delete is taken.
    fn set_freeze(&self, freeze: Option<&Freeze>) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// What is paused.
    fn pauses(&self) -> impl Future<Output = Result<Pauses, Self::Error>> + Send;

    /// Pauses, or lifts that.
    fn set_pauses(&self, pauses: &Pauses) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Protects a droplet from being chosen for deletion by a policy or by the guard, or lifts that. `false` where there
    /// is no such droplet.
    fn set_protected(
        &self,
        droplet: &DropletName,
        protected: bool,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// What the droplets of the fleet, those that are gone among them, have cost from `since` until `now`: by the second,
    /// each at least its minimum charge.
    fn cost_between(&self, since: Timestamp, now: Timestamp)
    -> impl Future<Output = Result<Money, Self::Error>> + Send;

    /// From request to serving, of the last droplets that came to serve, newest first; at most `count`.
    fn boot_times(&self, count: u32) -> impl Future<Output = Result<Vec<Duration>, Self::Error>> + Send;

    /// What a policy remembered last.
    fn policy_state(&self, policy: &str) -> impl Future<Output = Result<Option<PolicyState>, Self::Error>> + Send;

    /// What the loop remembered last, as text that only it reads.
    fn load_loop_state(&self) -> impl Future<Output = Result<Option<String>, Self::Error>> + Send;

    /// Keeps what the loop and its policies (by name) remember. All or nothing.
    fn save_state(
        &self,
        loop_memory: &str,
        policies: &[(String, PolicyState)],
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The number that the next droplet gets.
    fn next_index(&self) -> impl Future<Output = Result<u32, Self::Error>> + Send;
}

/// Why a droplet is deleted, as far as that says something about the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteCause {
    /// Somebody wants it gone.
    Requested,
    /// It did not come up in time.
    StartupTimeout,
}

/// What the inventory holds at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// Droplets that are not gone, in order of [`Droplet::index`].
    pub droplets: Vec<Droplet>,
    /// Operations that are open, oldest first.
    pub operations: Vec<Operation>,
    /// When a create was last begun.
    pub last_scale_out: Option<Timestamp>,
    /// When a delete was last begun.
    pub last_scale_in: Option<Timestamp>,
}

impl Snapshot {
    /// The droplet of that name.
    pub fn droplet(&self, name: &DropletName) -> Option<&Droplet> {
        self.droplets.iter().find(|droplet| droplet.name == *name)
    }
}

/// Nothing is to be changed until somebody lifts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// Since when.
    pub since: Timestamp,
    /// Why, in the operator's words.
    pub reason: String,
}

/// What the history of a fleet says of a droplet that is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provenance {
    /// Neither its id nor its name was ever in it.
    Unknown,
    /// The id left the fleet then: it was deleted, or had vanished.
    Former,
    /// A request for a droplet of this name was sent, and this id is not the one that was taken.
    Requested {
        /// The name as it was asked for.
        name: DropletName,
    },
}

/// What a policy remembers from one tick to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyState {
    /// What tells apart the components and configurations whose memory this can be.
    pub identity: String,
    /// Ticks that it has decided on.
    pub ticks: u64,
    /// Opaque; at most 64 KiB.
    pub state: Vec<u8>,
}

/// The intent to create one droplet.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateIntent {
    /// Unique over the whole history.
    pub name: DropletName,
    /// Its number in the fleet.
    pub index: u32,
    /// What it is made of.
    pub template: Template,
    /// What it costs.
    pub hourly_price: HourlyPrice,
    /// SHA-256 of the user data that it is given, in hex.
    pub body_digest: String,
    /// Given to the user-data generator.
    pub user_data_params: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// One durable step of an operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Transition {
    /// The request to create is about to be sent for these operations.
    Sending {
        /// The operations whose droplets one request asks for.
        operations: Vec<OperationId>,
    },
    /// The request was certainly not carried out: for each operation, when a request before it was sent of which that
    /// is not known.
    Rejected {
        /// The operations, and their `sent_at` of before.
        operations: Vec<(OperationId, Option<Timestamp>)>,
    },
    /// The droplets exist: each goes to `booting` with its id.
    Created {
        /// Name and id of each.
        droplets: Vec<(DropletName, DropletId)>,
    },
    /// The droplet has its address: it goes to `warming`.
    AddressAssigned {
        /// Which droplet.
        droplet: DropletName,
        /// Where it listens.
        address: IpAddr,
    },
    /// The droplet has another address.
    AddressChanged {
        /// Which droplet.
        droplet: DropletName,
        /// Where it listens now.
        address: IpAddr,
    },
    /// The droplet goes to another phase. `serving` closes its create, `gone` closes whatever is open for it.
    PhaseChanged {
        /// Which droplet.
        droplet: DropletName,
        /// Where to.
        phase: Phase,
    },
    /// The create was refused, or its droplet never showed up: the operation is closed as failed and the droplet is gone.
    CreateFailed {
        /// The operation.
        operation: OperationId,
        /// Why.
        reason: String,
    },
}
