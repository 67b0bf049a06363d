//! The controller: what turns wishes into droplets, and carries every operation to its end.
//!
//! A tick is `observe` → `decide` → `guard` → `act`; the first three are functions of plain data. `act` writes
//! operations into the inventory, and `advance` carries open operations on, one step for each droplet, from what is
//! seen and written and not from memory. So carrying on after a crash is the same code as carrying on.

mod circuit_breaker;
mod create;
mod elapsed;
mod error;
pub mod event;
pub mod guard;
pub mod import;
pub mod name_generator;
pub mod observe;
pub mod operations;
mod orphans;
pub mod policy_slot;
mod provider_catalog;
mod reconcile;
pub mod recover;
pub mod scaling_history;
pub mod service;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod tick;
pub mod user_data;

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

pub use error::ControllerError;
pub use event::{Event, EventSink};
pub use name_generator::NameGenerator;
pub use orphans::OrphanDroplet;
pub use reconcile::{ReconcileOutcome, servers};
pub use settings::{AddressKind, Deadlines, Settings};
pub use tick::{AutoscalerState, ScalingRules, Tick, TickInput};
pub use user_data::UserDataSource;

use crate::balancer::LoadBalancer;
use crate::clock::Clock;
use crate::cloud::CloudProvider;
use crate::inventory::Inventory;
use crate::model::{DropletId, OperationId, Timestamp};
use create::CreateAttempt;
use elapsed::ElapsedTimers;
use provider_catalog::ProviderCatalog;

/// The controller of one fleet. Whoever has one and changes things holds the inventory's write lock.
pub struct Controller<C, B, I> {
    cloud: C,
    balancer: B,
    inventory: I,
    settings: Settings,
    clock: Clock,
    events: EventSink,
    names: NameGenerator,
    /// What this process knows of requests that it sent, and the journal does not: lost without harm.
    create_attempts: Mutex<HashMap<OperationId, CreateAttempt>>,
    /// Droplets that the API has shown to this process.
    seen_droplets: Mutex<HashSet<DropletId>>,
    /// Droplets that nobody knows and that were reported, so that they are reported once.
    reported_orphans: Mutex<HashSet<DropletId>>,
    timers: ElapsedTimers,
    catalog: ProviderCatalog,
}

impl<C: CloudProvider, B: LoadBalancer, I: Inventory> Controller<C, B, I> {
    /// A controller over these three.
    pub fn new(
        cloud: C,
        balancer: B,
        inventory: I,
        settings: Settings,
        clock: Clock,
        names: NameGenerator,
        reporter: EventSink,
    ) -> Self {
        Self {
            cloud,
            balancer,
            inventory,
            settings,
            clock,
            events: reporter,
            names,
            create_attempts: Mutex::default(),
            seen_droplets: Mutex::default(),
            reported_orphans: Mutex::default(),
            timers: ElapsedTimers::default(),
            catalog: ProviderCatalog::default(),
        }
    }

    /// The cloud.
    pub fn cloud(&self) -> &C {
        &self.cloud
    }

    /// The balancer.
    pub fn balancer(&self) -> &B {
        &self.balancer
    }

    /// The inventory.
    pub fn inventory(&self) -> &I {
        &self.inventory
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn report(&self, event: &Event) {
        self.events.report(event);
    }
}
