//! The controller: turns desired state into droplets and drives every operation to completion.
//!
//! A tick is observe → decide → guard → act; the first three steps are pure functions. The last one journals operations
//! in the inventory, and `reconcile` moves each open operation one step per droplet, based on observed and stored state
//! instead of process memory. Resuming after a crash therefore runs the same code as normal operation.

mod circuit_breaker;
mod create;
mod elapsed;
mod error;
pub mod evaluate;
pub mod event;
pub mod guard;
pub mod import;
pub mod name_generator;
pub mod observe;
pub mod operations;
mod orphans;
mod platform;
pub mod policy_slot;
mod provider_catalog;
mod reconcile;
pub mod recover;
pub mod scaling_history;
pub mod select;
pub mod service;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod tick;
pub mod user_data;

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

pub use error::ControllerError;
pub use evaluate::ScalingRules;
pub use event::{Event, EventSink};
pub use name_generator::NameGenerator;
pub use orphans::OrphanDroplet;
pub use platform::Platform;
pub use reconcile::{ReconcileOutcome, servers};
pub use settings::Settings;
pub use tick::{AutoscalerState, Tick, TickInput};
pub use user_data::UserDataSource;

use crate::clock::Clock;
use crate::model::{DropletId, OperationId, Timestamp};
use create::CreateAttempt;
use elapsed::ElapsedTimers;
use provider_catalog::ProviderCatalog;

/// The controller of one fleet. A caller that modifies the fleet must hold the inventory's write lock.
pub struct Controller<P: Platform> {
    cloud: P::Cloud,
    balancer: P::Balancer,
    inventory: P::Inventory,
    settings: Settings,
    clock: Clock,
    events: EventSink,
    names: NameGenerator,
    /// State of sent requests that is not in the journal; it can be lost without harm.
    create_attempts: Mutex<HashMap<OperationId, CreateAttempt>>,
    /// Droplets that the API has shown to this process.
    seen_droplets: Mutex<HashSet<DropletId>>,
    /// Orphans that were already reported, so that each is reported once.
    reported_orphans: Mutex<HashSet<DropletId>>,
    timers: ElapsedTimers,
    catalog: ProviderCatalog,
}

impl<P: Platform> Controller<P> {
    /// Creates a controller over a cloud, a load balancer and an inventory.
    pub fn new(
        cloud: P::Cloud,
        balancer: P::Balancer,
        inventory: P::Inventory,
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

    /// The cloud provider.
    pub fn cloud(&self) -> &P::Cloud {
        &self.cloud
    }

    /// The load balancer.
    pub fn balancer(&self) -> &P::Balancer {
        &self.balancer
    }

    /// The inventory.
    pub fn inventory(&self) -> &P::Inventory {
        &self.inventory
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn report(&self, event: &Event) {
        self.events.report(event);
    }
}
