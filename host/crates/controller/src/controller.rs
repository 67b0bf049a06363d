//! The controller: turns desired state into droplets and drives every operation to completion.
//!
//! A tick is observe → decide → guard → act; the first three steps are pure functions. The last one journals operations
//! in the inventory, and `reconcile` moves each open operation one step per droplet, based on observed and stored state
//! instead of process memory. Resuming after a crash therefore runs the same code as normal operation.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use doproxy_core::domain::{DropletId, OperationId, Timestamp};
use doproxy_core::seams::Platform;
use doproxy_support::Clock;

use crate::event::{Event, EventSink};
use crate::name_generator::NameGenerator;
use crate::provider_catalog::ProviderCatalog;
use crate::reconcile::create::CreateAttempt;
use crate::reconcile::elapsed::ElapsedTimers;
use crate::settings::Settings;

/// The controller of one fleet. A caller that modifies the fleet must hold the inventory's write lock.
pub struct Controller<P: Platform> {
    pub(crate) cloud: P::Cloud,
    pub(crate) balancer: P::Balancer,
    pub(crate) inventory: P::Inventory,
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    events: EventSink,
    pub(crate) names: NameGenerator,
    /// State of sent requests that is not in the journal; it can be lost without harm.
    pub(crate) create_attempts: Mutex<HashMap<OperationId, CreateAttempt>>,
    /// Droplets that the API has shown to this process.
    pub(crate) seen_droplets: Mutex<HashSet<DropletId>>,
    /// Orphans that were already reported, so that each is reported once.
    pub(crate) reported_orphans: Mutex<HashSet<DropletId>>,
    pub(crate) timers: ElapsedTimers,
    pub(crate) catalog: ProviderCatalog,
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

    pub(crate) fn report(&self, event: &Event) {
        self.events.report(event);
    }
}
