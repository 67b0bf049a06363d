//! The controller: what turns wishes into droplets, and carries every operation to its end.
//!
//! A tick is `observe` → `decide` → `guard` → `act`; the first three are functions of plain data. `act` writes
//! operations into the inventory, and `advance` carries open operations on, one step for each droplet, from what is
//! seen and written and not from memory. So carrying on after a crash is the same code as carrying on.

pub mod act;
mod advance;
mod breakers;
pub mod decide;
mod error;
pub mod event;
pub mod guard;
pub mod import;
mod market;
pub mod memory;
pub mod names;
pub mod observe;
pub mod recover;
mod requested;
pub mod service;
pub mod settings;
mod strangers;
#[cfg(test)]
mod tests;
pub mod tick;
pub mod user_data;
mod waits;

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

pub use advance::{Advanced, servers};
pub use error::ControllerError;
pub use event::{Event, Reporter};
pub use names::Names;
pub use settings::{AddressKind, Deadlines, Settings};
pub use strangers::Stranger;
pub use tick::{Bounds, Mind, Seen, Tick};
pub use user_data::UserDataSource;

use crate::balancer::Balancer;
use crate::clock::Clock;
use crate::cloud::Cloud;
use crate::inventory::Inventory;
use crate::model::{DropletId, OperationId, Timestamp};
use market::Market;
use requested::Attempt;
use waits::Waits;

/// The controller of one fleet. Whoever has one and changes things holds the inventory's write lock.
pub struct Controller<C, B, I> {
    cloud: C,
    balancer: B,
    inventory: I,
    settings: Settings,
    clock: Clock,
    reporter: Reporter,
    names: Names,
    /// What this process knows of requests that it sent, and the journal does not: lost without harm.
    attempts: Mutex<HashMap<OperationId, Attempt>>,
    /// Droplets that the API has shown to this process.
    shown: Mutex<HashSet<DropletId>>,
    /// Droplets that nobody knows and that were reported, so that they are reported once.
    told: Mutex<HashSet<DropletId>>,
    waits: Waits,
    market: Market,
}

impl<C: Cloud, B: Balancer, I: Inventory> Controller<C, B, I> {
    /// A controller over these three.
    pub fn new(
        cloud: C,
        balancer: B,
        inventory: I,
        settings: Settings,
        clock: Clock,
        names: Names,
        reporter: Reporter,
    ) -> Self {
        Self {
            cloud,
            balancer,
            inventory,
            settings,
            clock,
            reporter,
            names,
            attempts: Mutex::default(),
            shown: Mutex::default(),
            told: Mutex::default(),
            waits: Waits::default(),
            market: Market::default(),
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
        self.reporter.report(event);
    }
}
