//! Executes journaled operations, pass by pass. It makes no decisions, and no tick waits for it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use doproxy_core::domain::{DropletName, Phase};
use doproxy_core::seams::{InventoryError, InventoryErrorKind, Platform, Snapshot};
use doproxy_support::Backoff;
use tokio::time::{Instant, sleep};

use crate::error::ControllerError;
use crate::reconcile::reconcile_pass::ReconcileOutcome;
use crate::service::conditions::Conditions;
use crate::service::reporter;
use crate::service::shared::Shared;

/// The pause between two passes that made progress, so that other processes can acquire the fleet lock.
const YIELD_INTERVAL: Duration = Duration::from_millis(150);
/// The requeue interval while operations are in progress.
const REQUEUE_ACTIVE: Duration = Duration::from_secs(1);
/// The requeue interval while a droplet waits for its health check or drains; such a pass makes no API calls.
const REQUEUE_BALANCER: Duration = Duration::from_millis(250);
/// Time without progress after which passes become less frequent.
const STALLED_AFTER: Duration = Duration::from_mins(5);
/// The requeue interval without progress: a stuck droplet must not use up the API's rate limit.
const REQUEUE_STALLED: Duration = Duration::from_secs(5);
/// The interval at which the fleet lock is retried while a manual command holds it.
const LOCK_RETRY: Duration = Duration::from_millis(250);
/// The maximum pause after failures. The first pause is [`REQUEUE_ACTIVE`]; each further failure doubles it.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// The maximum duration of a pass: over a large fleet, with an API that delays each call and requires retries.
const MAX_PASS_DURATION: Duration = Duration::from_mins(15);
/// The number of consecutive conflicts with other processes that is treated as a failure.
const MAX_CONSECUTIVE_CONFLICTS: u32 = 5;
/// The name of the loop in health reports.
const LOOP_NAME: &str = "reconciler";

/// The state of the reconciler between passes.
#[derive(Debug)]
pub(super) struct Reconciler<P: Platform> {
    shared: Arc<Shared<P>>,
    conditions: Conditions,
    backoff: Backoff,
    /// The time of the last change.
    last_progress: Instant,
    /// Droplets that did not serve in the last pass.
    starting: HashSet<DropletName>,
    /// True while a droplet waits for HAProxy.
    awaiting_balancer: bool,
    /// The time of the last pass that called the API.
    last_full_pass: Instant,
    /// Consecutive passes that conflicted with changes of another process.
    conflicts: u32,
}

impl<P: Platform> Reconciler<P> {
    pub(super) fn new(shared: Arc<Shared<P>>) -> Self {
        Self {
            shared,
            conditions: Conditions::default(),
            backoff: Backoff::new(REQUEUE_ACTIVE, MAX_BACKOFF),
            last_progress: Instant::now(),
            starting: HashSet::new(),
            awaiting_balancer: false,
            last_full_pass: Instant::now(),
            conflicts: 0,
        }
    }

    /// Runs passes until the service is stopped.
    pub(super) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        while !shared.stop.is_cancelled() {
            shared.telemetry.health().heartbeat(LOOP_NAME, MAX_PASS_DURATION);
            let pause = self.reconcile_once().await;
            shared.telemetry.health().heartbeat(LOOP_NAME, pause + MAX_PASS_DURATION);
            tokio::select! {
                biased;
                // New operations do not wait for the end of the pause, and need a full pass.
                () = shared.wake.notified() => self.awaiting_balancer = false,
                () = shared.stop.cancelled() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Runs one pass; returns the pause until the next one.
    async fn reconcile_once(&mut self) -> Duration {
        let turn = match self.shared.acquire().await {
            Ok(turn) => turn,
            // The process that holds the lock reconciles the open operations, including those of this service.
            Err(error @ InventoryError { kind: InventoryErrorKind::Locked { .. }, .. }) => {
                tracing::debug!("skipping the pass: {error}");
                return LOCK_RETRY;
            }
            Err(error) => return self.on_failure(&error.into()),
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
                // The autoscaler or a command changed data that the pass had read; the next pass rereads it.
                tracing::debug!("restarting the pass: {error}");
                self.count_result("conflict");
                YIELD_INTERVAL
            }
            Err(error) => self.on_failure(&error),
        }
    }

    fn on_success(&mut self, advanced: &ReconcileOutcome) -> Duration {
        self.count_result("ok");
        self.backoff.reset();
        self.conflicts = 0;
        for subject in [PASS_CONDITION, MAINTENANCE_CONDITION] {
            if self.conditions.clear(subject) {
                tracing::info!("{subject}: resolved");
            }
        }
        self.report_fleet(&advanced.snapshot);
        if advanced.progressed {
            self.last_progress = Instant::now();
            return YIELD_INTERVAL;
        }
        self.requeue_after(&advanced.snapshot, advanced.unconfirmed)
    }

    /// Reports the fleet, and the startup time of droplets that now serve.
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

    fn requeue_after(&self, snapshot: &Snapshot, unconfirmed: bool) -> Duration {
        let is_under_way = snapshot.droplets.iter().any(|droplet| droplet.phase != Phase::Serving);
        if !is_under_way && !unconfirmed {
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
        if matches!(error, ControllerError::InMaintenance(_)) {
            self.count_result("maintenance");
            if self.conditions.raise(MAINTENANCE_CONDITION, &why) {
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
            tracing::warn!("reconcile pass failed: {why}; retrying");
        }
        self.backoff.next_delay()
    }

    fn count_result(&self, result: &str) {
        reporter::report_pass(&self.shared.telemetry, result);
    }
}

const PASS_CONDITION: &str = "reconcile passes are failing";
const MAINTENANCE_CONDITION: &str = "the fleet is in maintenance mode";
