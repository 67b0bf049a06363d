//! A single reconcile pass: moves each droplet to its next phase if the observed state permits.
//!
//! Level-triggered: a pass starts from the current state of the inventory, the API and HAProxy, regardless of how it
//! came about, so running it twice changes nothing.

use std::collections::HashSet;
use std::time::Duration;

use doproxy_core::domain::{Droplet, DropletId, DropletName, Phase};
use doproxy_core::seams::{
    ApplyResult, CloudError, CloudInstance, CloudProvider, DeleteCause, ErrorClass, Filter, Inventory, LoadBalancer,
    Platform, Server, ServerState, Snapshot, Stats, Status, Transition,
};
use doproxy_support::sync::lock;
use futures_util::{StreamExt as _, stream};

use crate::controller::Controller;
use crate::error::ControllerError;
use crate::event::Event;
use crate::reconcile::elapsed::TimerKey;
use crate::reconcile::orphans::OrphanDroplet;

/// The outcome of a reconcile pass.
#[derive(Debug)]
pub struct ReconcileOutcome {
    /// The inventory after the pass.
    pub snapshot: Snapshot,
    /// Droplets abandoned in this pass and the reasons.
    pub abandoned: Vec<(DropletName, String)>,
    /// True if the inventory changed, so that an immediate second pass may make more progress.
    pub progressed: bool,
    /// True if the pass found a missing or surplus droplet on which it acts only after a second sighting.
    pub unconfirmed: bool,
    /// Droplets with the fleet's tag that are missing from the inventory.
    pub orphans: Vec<OrphanDroplet>,
    /// Droplets removed from the inventory because they no longer exist at the API.
    pub missing: Vec<DropletName>,
    /// Duplicates that the fleet's own create requests produced; scheduled for deletion in this pass.
    pub duplicates: Vec<DropletId>,
}

/// Maximum number of concurrent API calls of one kind; the client's rate limiter keeps them within the API's limits.
pub(super) const MAX_CONCURRENT_CALLS: usize = 8;

/// The progress of a droplet's deletion at the API.
enum DeleteStatus {
    /// The API accepted the request.
    Accepted,
    /// The droplet no longer exists.
    NotFound,
    /// The droplet no longer belongs to this fleet and was left alone.
    NotOwned,
}

/// The results that a pass accumulates.
#[derive(Default)]
pub(super) struct ReconcilePass {
    pub(super) progressed: bool,
    pub(super) unconfirmed: bool,
    pub(super) orphans: Vec<OrphanDroplet>,
    pub(super) duplicates: Vec<DropletId>,
    missing: Vec<DropletName>,
    abandoned: Vec<(DropletName, String)>,
}

impl ReconcilePass {
    /// Merges the results of a pass that ran concurrently.
    pub(super) fn merge(&mut self, other: Self) {
        let Self { progressed, unconfirmed, orphans, duplicates, missing, abandoned } = other;
        self.progressed |= progressed;
        self.unconfirmed |= unconfirmed;
        self.orphans.extend(orphans);
        self.duplicates.extend(duplicates);
        self.missing.extend(missing);
        self.abandoned.extend(abandoned);
    }

    pub(super) fn abandon(&mut self, droplet: &DropletName, why: String) {
        self.progressed = true;
        self.abandoned.push((droplet.clone(), why));
    }
}

impl<P: Platform> Controller<P> {
    /// Moves each open operation one step further if possible.
    pub async fn reconcile(&self) -> Result<ReconcileOutcome, ControllerError> {
        let mut pass = ReconcilePass::default();
        let mut snapshot = self.load().await?;
        self.ensure_not_in_maintenance().await?;
        let listed = self.cloud.list(&Filter::Tag(self.settings.fleet.tag())).await?;
        self.track_observations(&snapshot, &listed);
        self.detect_missing(&snapshot, &listed, &mut pass).await?;
        self.detect_orphans(&snapshot, &listed, &mut pass).await?;
        self.reconcile_requested(&snapshot, &listed, &mut pass).await?;
        snapshot = self.load().await?;
        self.reconcile_booting(&snapshot, &listed, &mut pass).await?;
        self.detect_address_change(&snapshot, &listed, &mut pass).await?;
        snapshot = self.load().await?;
        self.apply(&snapshot).await?;
        if snapshot.droplets.iter().any(|d| matches!(d.phase, Phase::Warming | Phase::Draining)) {
            let stats = self.balancer.stats().await.map_err(ControllerError::balancer)?;
            self.reconcile_warming(&snapshot, &stats, &mut pass).await?;
            self.reconcile_draining(&snapshot, &stats, &mut pass).await?;
            snapshot = self.load().await?;
            self.apply(&snapshot).await?;
        }
        self.reconcile_deleting(&snapshot, &mut pass).await?;
        snapshot = self.load().await?;
        let ReconcilePass { progressed, unconfirmed, orphans, duplicates, missing, abandoned } = pass;
        Ok(ReconcileOutcome { snapshot, abandoned, progressed, unconfirmed, orphans, missing, duplicates })
    }

    /// The part of [`Controller::reconcile`] that makes no API calls: droplets that pass their health check start to
    /// serve, and drained droplets are deleted. Suitable for polling more often than the API's rate limit allows.
    pub async fn reconcile_balancer(&self) -> Result<ReconcileOutcome, ControllerError> {
        let mut pass = ReconcilePass::default();
        let mut snapshot = self.load().await?;
        self.ensure_not_in_maintenance().await?;
        // A droplet that was just marked as draining still receives traffic; without sessions it would be mistaken for
        // drained.
        self.apply(&snapshot).await?;
        let stats = self.balancer.stats().await.map_err(ControllerError::balancer)?;
        self.reconcile_warming(&snapshot, &stats, &mut pass).await?;
        self.reconcile_draining(&snapshot, &stats, &mut pass).await?;
        if pass.progressed {
            snapshot = self.load().await?;
            self.apply(&snapshot).await?;
        }
        let ReconcilePass { progressed, unconfirmed, orphans, duplicates, missing, abandoned } = pass;
        Ok(ReconcileOutcome { snapshot, abandoned, progressed, unconfirmed, orphans, missing, duplicates })
    }

    /// Makes HAProxy serve the droplets of the inventory.
    pub async fn apply(&self, snapshot: &Snapshot) -> Result<ApplyResult, ControllerError> {
        let servers = servers(&snapshot.droplets);
        let applied = self.balancer.apply(&servers).await.map_err(ControllerError::balancer)?;
        match applied {
            // State changes are reported for the droplet itself.
            ApplyResult::Unchanged | ApplyResult::Dynamic { added: 0, removed: 0, .. } => {}
            ApplyResult::Dynamic { .. } => self.report(&Event::DynamicUpdate { servers: servers.len() }),
            ApplyResult::Reloaded { .. } => self.report(&Event::Reloaded { servers: servers.len() }),
        }
        Ok(applied)
    }

    /// Loads the inventory.
    pub async fn load(&self) -> Result<Snapshot, ControllerError> {
        Ok(self.inventory.load().await?)
    }

    pub(super) async fn record(&self, step: &Transition) -> Result<(), ControllerError> {
        Ok(self.inventory.record(step, self.clock.now()).await?)
    }

    /// Removes droplets that were deleted out of band from the fleet.
    async fn detect_missing(
        &self,
        snapshot: &Snapshot,
        instances: &[CloudInstance],
        pass: &mut ReconcilePass,
    ) -> Result<(), ControllerError> {
        let listed: HashSet<DropletId> = instances.iter().map(|droplet| droplet.id).collect();
        let mut gone: Vec<(&Droplet, DropletId)> = Vec::new();
        for droplet in &snapshot.droplets {
            let Some(id) = droplet.id.filter(|id| droplet.phase != Phase::Deleting && !listed.contains(id)) else {
                continue;
            };
            // One list is not sufficient: lists lag, and a droplet that lost its tag still exists.
            match self.cloud.get(id).await {
                Ok(_) => {}
                Err(error) if error.class == ErrorClass::NotFound => {
                    if self.past_visibility_grace(droplet) {
                        gone.push((droplet, id));
                    } else {
                        pass.unconfirmed = true;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        // The token of another account sees none of the droplets either; a serving fleet must not be pruned for that.
        let all_are = instances.is_empty() && gone.len() == snapshot.droplets.len();
        let served = gone.iter().any(|(droplet, _)| droplet.phase == Phase::Serving);
        if all_are && served && !self.settings.allow_empty_cloud {
            return Err(ControllerError::AllMissing(gone.len()));
        }
        for (droplet, id) in gone {
            self.record(&Transition::PhaseChanged { droplet: droplet.name.clone(), phase: Phase::Gone }).await?;
            self.report(&Event::DropletMissing { droplet: droplet.name.clone(), id: Some(id) });
            pass.missing.push(droplet.name.clone());
            // A missing droplet is not a failure if it was about to be deleted.
            if droplet.phase.counts_toward_size() {
                pass.abandon(&droplet.name, format!("{} no longer exists at DigitalOcean", droplet.name));
            }
            pass.progressed = true;
        }
        Ok(())
    }

    /// Updates the set of droplets that the API has shown, and the timers.
    fn track_observations(&self, snapshot: &Snapshot, listed: &[CloudInstance]) {
        let mut shown = lock(&self.seen_droplets);
        shown.retain(|id| snapshot.droplets.iter().any(|droplet| droplet.id == Some(*id)));
        shown.extend(listed.iter().map(|droplet| droplet.id));
        self.timers.retain(|wait| match wait {
            TimerKey::Phase(name, phase) => snapshot.droplet(name).is_some_and(|droplet| droplet.phase == *phase),
            TimerKey::CreateSent(operation) => snapshot.operations.iter().any(|open| open.id == *operation),
            TimerKey::Orphan(id) => listed.iter().any(|found| found.id == *id),
        });
        for droplet in &snapshot.droplets {
            self.timers.elapsed(TimerKey::Phase(droplet.name.clone(), droplet.phase));
        }
    }

    /// Reports whether a droplet is old enough for a 404 to be conclusive. A new droplet may be missing from lists and
    /// return 404 even after it was listed once, because API servers are eventually consistent.
    fn past_visibility_grace(&self, droplet: &Droplet) -> bool {
        let age = self.clock.now().since(droplet.created_at);
        age.max(self.elapsed_in_phase(droplet)) >= self.settings.deadlines.create_visibility
    }

    /// Reports whether the API has shown the droplet or has had the time to do so. Only then does a 404 mean that the
    /// droplet is gone.
    fn was_visible(&self, droplet: &Droplet) -> bool {
        let shown = lock(&self.seen_droplets);
        droplet.address.is_some()
            || droplet.id.is_some_and(|id| shown.contains(&id))
            || self.elapsed_in_phase(droplet) >= self.settings.deadlines.create_visibility
    }

    async fn reconcile_booting(
        &self,
        snapshot: &Snapshot,
        listed: &[CloudInstance],
        pass: &mut ReconcilePass,
    ) -> Result<(), ControllerError> {
        for droplet in snapshot.droplets.iter().filter(|droplet| droplet.phase == Phase::Booting) {
            let Some(id) = droplet.id else { continue };
            let found = listed.iter().find(|found| found.id == id);
            // Some droplets are `active` before they have an address.
            let address =
                found.filter(|found| found.status == Status::Active).and_then(|found| self.settings.address.of(found));
            if let Some(address) = address {
                self.record(&Transition::AddressAssigned { droplet: droplet.name.clone(), address }).await?;
                pass.progressed = true;
                let phase = Phase::Warming;
                self.report(&Event::Phase { droplet: droplet.name.clone(), phase, address: Some(address) });
            } else {
                let status =
                    found.map_or("not listed yet".to_owned(), |found| format!("{} without an address", found.status));
                let why = format!("it is {status} (id {id})");
                self.abandon_after(self.settings.deadlines.boot, droplet, &why, pass).await?;
            }
        }
        Ok(())
    }

    /// Updates changed addresses: HAProxy must not send traffic to an address that may already belong to another
    /// customer.
    async fn detect_address_change(
        &self,
        snapshot: &Snapshot,
        listed: &[CloudInstance],
        pass: &mut ReconcilePass,
    ) -> Result<(), ControllerError> {
        for droplet in snapshot.droplets.iter().filter(|droplet| droplet.phase.is_behind_balancer()) {
            let found = listed.iter().find(|found| Some(found.id) == droplet.id && found.status == Status::Active);
            let address = found.and_then(|found| self.settings.address.of(found));
            if let Some(address) = address.filter(|address| droplet.address != Some(*address)) {
                self.record(&Transition::AddressChanged { droplet: droplet.name.clone(), address }).await?;
                self.report(&Event::AddressChanged {
                    droplet: droplet.name.clone(),
                    from: droplet.address,
                    to: address,
                });
                pass.progressed = true;
            }
        }
        Ok(())
    }

    async fn reconcile_warming(
        &self,
        snapshot: &Snapshot,
        stats: &Stats,
        pass: &mut ReconcilePass,
    ) -> Result<(), ControllerError> {
        for droplet in snapshot.droplets.iter().filter(|droplet| droplet.phase == Phase::Warming) {
            let server = stats.servers.iter().find(|server| Some(server.id) == droplet.id);
            if server.is_some_and(|server| server.check_passed) {
                self.enter_phase(droplet, Phase::Serving, pass).await?;
            } else {
                let words = server.map_or("not known to HAProxy", |server| server.status.as_str());
                let why = format!("its health check fails: {words}");
                self.abandon_after(self.settings.deadlines.warm_up, droplet, &why, pass).await?;
            }
        }
        Ok(())
    }

    async fn reconcile_draining(
        &self,
        snapshot: &Snapshot,
        stats: &Stats,
        pass: &mut ReconcilePass,
    ) -> Result<(), ControllerError> {
        for droplet in snapshot.droplets.iter().filter(|droplet| droplet.phase == Phase::Draining) {
            let server = stats.servers.iter().find(|server| Some(server.id) == droplet.id);
            let drained = server.is_none_or(|server| server.sessions == 0);
            if drained || self.time_in_phase(droplet) >= self.settings.deadlines.drain {
                self.enter_phase(droplet, Phase::Deleting, pass).await?;
            }
        }
        Ok(())
    }

    async fn reconcile_deleting(&self, snapshot: &Snapshot, pass: &mut ReconcilePass) -> Result<(), ControllerError> {
        let deleting = snapshot.droplets.iter().filter(|droplet| droplet.phase == Phase::Deleting);
        let mut orders = Vec::new();
        for droplet in deleting {
            let Some(id) = droplet.id else { continue };
            orders.push(async move { (droplet, id, self.delete_instance(droplet, id).await) });
        }
        let results: Vec<_> = stream::iter(orders).buffered(MAX_CONCURRENT_CALLS).collect().await;
        for (droplet, id, result) in results {
            match result {
                Ok(DeleteStatus::Accepted) => {}
                Ok(DeleteStatus::NotFound) => self.enter_phase(droplet, Phase::Gone, pass).await?,
                Ok(DeleteStatus::NotOwned) => {
                    let why = format!(
                        "{} (id {id}) no longer has the fleet's tag; removed from the fleet without deleting it",
                        droplet.name
                    );
                    self.report(&Event::Abandoned { droplet: droplet.name.clone(), why: why.clone() });
                    pass.abandon(&droplet.name, why);
                    self.enter_phase(droplet, Phase::Gone, pass).await?;
                }
                Err(error) if error.class == ErrorClass::Unauthorized => return Err(error.into()),
                // A droplet that cannot be deleted now must not block the others; its deadline keeps running.
                Err(error) => self.report(&Event::Retrying { droplet: droplet.name.clone(), why: error.to_string() }),
            }
        }
        Ok(())
    }

    /// Deletes one droplet at the API. The API may accept a delete without executing it, so the request is repeated
    /// until the API returns 404.
    async fn delete_instance(&self, droplet: &Droplet, id: DropletId) -> Result<DeleteStatus, CloudError> {
        match self.cloud.get(id).await {
            Ok(found) if !self.has_fleet_tag(&found) => return Ok(DeleteStatus::NotOwned),
            Err(error) if error.class != ErrorClass::NotFound => return Err(error),
            // A droplet that is not visible yet is deleted too: the request may reach it.
            _ => self.cloud.delete(id).await?,
        }
        match self.cloud.get(id).await {
            Err(error) if error.class == ErrorClass::NotFound && self.was_visible(droplet) => {
                Ok(DeleteStatus::NotFound)
            }
            Err(error) if error.class != ErrorClass::NotFound => Err(error),
            _ => Ok(DeleteStatus::Accepted),
        }
    }

    /// Reports whether a droplet at the API has the fleet's tag. No other droplet is ever deleted.
    pub(crate) fn has_fleet_tag(&self, found: &CloudInstance) -> bool {
        let tag = self.settings.fleet.tag();
        found.tags.iter().any(|other| other.eq_ignore_ascii_case(tag.as_str()))
    }

    async fn enter_phase(
        &self,
        droplet: &Droplet,
        phase: Phase,
        pass: &mut ReconcilePass,
    ) -> Result<(), ControllerError> {
        self.record(&Transition::PhaseChanged { droplet: droplet.name.clone(), phase }).await?;
        pass.progressed = true;
        self.report(&Event::Phase { droplet: droplet.name.clone(), phase, address: droplet.address });
        Ok(())
    }

    /// Deletes a droplet that does not come up within `deadline`.
    async fn abandon_after(
        &self,
        deadline: Duration,
        droplet: &Droplet,
        why: &str,
        pass: &mut ReconcilePass,
    ) -> Result<(), ControllerError> {
        // Uses the time measured by this process: a changed wall clock must not delete a droplet that is about to come
        // up.
        let waited = self.elapsed_in_phase(droplet);
        if waited < deadline {
            return Ok(());
        }
        let why = format!("{} was {} for {} s: {why}", droplet.name, droplet.phase, waited.as_secs());
        self.inventory
            .begin_delete(&droplet.name, Phase::Deleting, DeleteCause::StartupTimeout, &why, self.clock.now())
            .await?;
        self.report(&Event::Abandoned { droplet: droplet.name.clone(), why: why.clone() });
        pass.abandon(&droplet.name, why);
        Ok(())
    }

    /// Returns the time that a droplet has spent in its phase: by the journal or by this process's monotonic clock,
    /// whichever is longer. A wall clock that was set back must not make a wait endless.
    pub(crate) fn time_in_phase(&self, droplet: &Droplet) -> Duration {
        let by_the_journal = self.clock.now().since(droplet.phase_since);
        by_the_journal.max(self.elapsed_in_phase(droplet))
    }

    /// Returns the time for which this process has seen a droplet in its phase.
    pub(crate) fn elapsed_in_phase(&self, droplet: &Droplet) -> Duration {
        self.timers.elapsed(TimerKey::Phase(droplet.name.clone(), droplet.phase))
    }

    /// Returns an error while the fleet is in maintenance mode.
    pub async fn ensure_not_in_maintenance(&self) -> Result<(), ControllerError> {
        match self.inventory.maintenance().await? {
            None => Ok(()),
            Some(maintenance) => Err(ControllerError::InMaintenance(maintenance)),
        }
    }
}

/// Returns the servers that HAProxy must have.
pub fn servers(droplets: &[Droplet]) -> Vec<Server> {
    droplets
        .iter()
        .filter_map(|droplet| {
            let state = match droplet.phase {
                Phase::Warming => ServerState::Warming,
                Phase::Serving => ServerState::Serving,
                Phase::Draining => ServerState::Draining,
                Phase::Requested | Phase::Booting | Phase::Deleting | Phase::Gone => return None,
            };
            Some(Server { id: droplet.id?, hostname: droplet.name.clone(), address: droplet.address?, state })
        })
        .collect()
}
