//! Carries on what is written down, pass by pass. It never decides anything, and no tick waits for it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Shared;
use super::conditions::Conditions;
use super::reporter;
use crate::balancer::LoadBalancer;
use crate::cloud::CloudProvider;
use crate::controller::{ControllerError, ReconcileOutcome};
use crate::inventory::sqlite::InventoryError;
use crate::inventory::{Inventory, Snapshot};
use crate::model::{DropletName, Phase};

/// Between two passes others get their turn.
const YIELD_INTERVAL: Duration = Duration::from_millis(150);
/// Between two passes while something is under way.
const REQUEUE_ACTIVE: Duration = Duration::from_secs(1);
/// Between two looks at HAProxy while a droplet waits for its health check or drains: that asks the API nothing.
const REQUEUE_BALANCER: Duration = Duration::from_millis(250);
/// What has been under way for so long without a change is looked at less often.
const STALLED_AFTER: Duration = Duration::from_mins(5);
/// How often then: a droplet that is stuck must not use up the API's budget.
const REQUEUE_STALLED: Duration = Duration::from_secs(5);
/// How long a command by hand is waited for before the next try.
const LOCK_RETRY: Duration = Duration::from_millis(250);
/// The longest pause after failures; the first is [`WATCHING`], and each is twice the one before.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// A pass over a large fleet, with an API that makes each call wait and repeats it, may take this long.
const MAX_PASS_DURATION: Duration = Duration::from_mins(15);
/// So many passes in a row that met the change of another are no accident.
const MAX_CONSECUTIVE_CONFLICTS: u32 = 5;
/// The loop that health speaks of.
const LOOP_NAME: &str = "mover";

/// What the mover remembers from pass to pass.
#[derive(Debug)]
pub(super) struct Reconciler<C, B, I> {
    shared: Arc<Shared<C, B, I>>,
    conditions: Conditions,
    backoff: Duration,
    /// When something last changed.
    last_progress: Instant,
    /// Droplets that did not serve in the last pass.
    starting: HashSet<DropletName>,
    /// Whether something waits for HAProxy.
    awaiting_balancer: bool,
    /// When the API was last asked.
    last_full_pass: Instant,
    /// Passes in a row that met what somebody else had changed.
    conflicts: u32,
}

impl<C: CloudProvider, B: LoadBalancer, I: Inventory> Reconciler<C, B, I> {
    pub(super) fn new(shared: Arc<Shared<C, B, I>>) -> Self {
        Self {
            shared,
            conditions: Conditions::default(),
            backoff: REQUEUE_ACTIVE,
            last_progress: Instant::now(),
            starting: HashSet::new(),
            awaiting_balancer: false,
            last_full_pass: Instant::now(),
            conflicts: 0,
        }
    }

    /// Passes until the service is stopped.
    pub(super) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        while !shared.stop.is_cancelled() {
            shared.telemetry.health().heartbeat(LOOP_NAME, MAX_PASS_DURATION);
            let pause = self.reconcile_once().await;
            shared.telemetry.health().heartbeat(LOOP_NAME, pause + MAX_PASS_DURATION);
            tokio::select! {
                biased;
                // What was written down a moment ago does not wait for the end of a pause, and needs a whole pass.
                () = shared.wake.notified() => self.awaiting_balancer = false,
                () = shared.stop.cancelled() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// One pass; answers how long to wait for the next.
    async fn reconcile_once(&mut self) -> Duration {
        let turn = match self.shared.acquire().await {
            Ok(turn) => turn,
            // Whoever has it carries on what is under way, ours as well.
            Err(error @ InventoryError::Locked { .. }) => {
                tracing::debug!("no pass now: {error}");
                return LOCK_RETRY;
            }
            Err(error) => return self.on_failure(&ControllerError::inventory(error)),
        };
        let is_quick = self.awaiting_balancer && self.last_full_pass.elapsed() < REQUEUE_ACTIVE;
        let advanced = if is_quick {
            self.shared.controller.reconcile_balancer().await
        } else {
            self.last_full_pass = Instant::now();
            self.shared.controller.reconcile().await
        };
        drop(turn);
        match advanced {
            Ok(advanced) => {
                if !is_quick {
                    self.shared.set_api_failure(None);
                }
                self.on_success(&advanced)
            }
            Err(error) if error.is_conflict() && self.conflicts < MAX_CONSECUTIVE_CONFLICTS => {
                self.conflicts += 1;
                // The ticker or a command changed what the pass had read: the next one reads anew.
                tracing::debug!("a pass begins anew: {error}");
                self.count_result("conflict");
                YIELD_INTERVAL
            }
            Err(error) => self.on_failure(&error),
        }
    }

    fn on_success(&mut self, advanced: &ReconcileOutcome) -> Duration {
        self.count_result("ok");
        self.backoff = REQUEUE_ACTIVE;
        self.conflicts = 0;
        for subject in [PASS_CONDITION, FROZEN_CONDITION] {
            if self.conditions.clear(subject) {
                tracing::info!("{subject}: that is over");
            }
        }
        self.report_fleet(&advanced.snapshot);
        if advanced.progressed {
            self.last_progress = Instant::now();
            return YIELD_INTERVAL;
        }
        self.requeue_after(&advanced.snapshot, advanced.unconfirmed)
    }

    /// Counts the fleet, and how long droplets took that serve now.
    fn report_fleet(&mut self, snapshot: &Snapshot) {
        let mut coming_up = HashSet::new();
        for droplet in &snapshot.droplets {
            if droplet.phase.is_starting() {
                coming_up.insert(droplet.name.clone());
            } else if droplet.phase == Phase::Serving && self.starting.contains(&droplet.name) {
                let took = droplet.phase_since.since(droplet.created_at);
                tracing::info!(droplet = %droplet.name, seconds = took.as_secs_f64(), "serves");
                reporter::report_startup(&self.shared.telemetry, took);
            }
        }
        self.starting = coming_up;
        self.awaiting_balancer =
            snapshot.droplets.iter().any(|droplet| matches!(droplet.phase, Phase::Warming | Phase::Draining));
        reporter::report_fleet(&self.shared.telemetry, snapshot);
    }

    fn requeue_after(&self, snapshot: &Snapshot, unsettled: bool) -> Duration {
        let is_under_way = snapshot.droplets.iter().any(|droplet| droplet.phase != Phase::Serving);
        if !is_under_way && !unsettled {
            return self.shared.interval().max(REQUEUE_ACTIVE);
        }
        match self.last_progress.elapsed() > STALLED_AFTER {
            true => REQUEUE_STALLED,
            false if self.awaiting_balancer => REQUEUE_BALANCER,
            false => REQUEUE_ACTIVE,
        }
    }

    fn on_failure(&mut self, error: &ControllerError) -> Duration {
        let why = error.to_string();
        if matches!(error, ControllerError::Frozen(_)) {
            self.count_result("frozen");
            if self.conditions.raise(FROZEN_CONDITION, &why) {
                tracing::info!("{why}");
            }
            return self.shared.interval().clamp(REQUEUE_ACTIVE, REQUEUE_STALLED);
        }
        self.count_result("failed");
        self.awaiting_balancer = false;
        if matches!(error, ControllerError::Cloud(_)) {
            self.shared.set_api_failure(Some(why.clone()));
        }
        if self.conditions.raise(PASS_CONDITION, &why) {
            tracing::warn!("cannot carry on what is under way: {why}; trying again");
        }
        let pause = self.backoff;
        self.backoff = (self.backoff * 2).min(MAX_BACKOFF);
        pause
    }

    fn count_result(&self, result: &str) {
        reporter::report_pass(&self.shared.telemetry, result);
    }
}

const PASS_CONDITION: &str = "what is under way cannot be carried on";
const FROZEN_CONDITION: &str = "the fleet is frozen";
