//! Carries on what is written down, pass by pass. It never decides anything, and no tick waits for it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Shared;
use super::tell;
use super::trouble::Troubles;
use crate::balancer::Balancer;
use crate::cloud::Cloud;
use crate::controller::{Advanced, ControllerError};
use crate::inventory::sqlite::InventoryError;
use crate::inventory::{Inventory, Snapshot};
use crate::model::{DropletName, Phase};

/// Between two passes others get their turn.
const BREATH: Duration = Duration::from_millis(150);
/// Between two passes while something is under way.
const WATCHING: Duration = Duration::from_secs(1);
/// Between two looks at HAProxy while a droplet waits for its health check or drains: that asks the API nothing.
const AT_HAPROXY: Duration = Duration::from_millis(250);
/// What has been under way for so long without a change is looked at less often.
const PATIENT_AFTER: Duration = Duration::from_mins(5);
/// How often then: a droplet that is stuck must not use up the API's budget.
const PATIENT: Duration = Duration::from_secs(5);
/// How long a command by hand is waited for before the next try.
const OTHERS_TURN: Duration = Duration::from_millis(250);
/// The longest pause after failures; the first is [`WATCHING`], and each is twice the one before.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// A pass over a large fleet, with an API that makes each call wait and repeats it, may take this long.
const PASS_TAKES_AT_MOST: Duration = Duration::from_mins(15);
/// So many passes in a row that met the change of another are no accident.
const CONFLICTS: u32 = 5;
/// The loop that health speaks of.
const NAME: &str = "mover";

/// What the mover remembers from pass to pass.
#[derive(Debug)]
pub(super) struct Mover<C, B, I> {
    shared: Arc<Shared<C, B, I>>,
    troubles: Troubles,
    backoff: Duration,
    /// When something last changed.
    moved: Instant,
    /// Droplets that did not serve in the last pass.
    coming_up: HashSet<DropletName>,
    /// Whether something waits for HAProxy.
    waits_for_haproxy: bool,
    /// When the API was last asked.
    looked: Instant,
    /// Passes in a row that met what somebody else had changed.
    conflicts: u32,
}

impl<C: Cloud, B: Balancer, I: Inventory> Mover<C, B, I> {
    pub(super) fn new(shared: Arc<Shared<C, B, I>>) -> Self {
        Self {
            shared,
            troubles: Troubles::default(),
            backoff: WATCHING,
            moved: Instant::now(),
            coming_up: HashSet::new(),
            waits_for_haproxy: false,
            looked: Instant::now(),
            conflicts: 0,
        }
    }

    /// Passes until the service is stopped.
    pub(super) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        while !shared.stop.is_cancelled() {
            shared.telemetry.health().beat(NAME, PASS_TAKES_AT_MOST);
            let pause = self.pass().await;
            shared.telemetry.health().beat(NAME, pause + PASS_TAKES_AT_MOST);
            tokio::select! {
                biased;
                // What was written down a moment ago does not wait for the end of a pause, and needs a whole pass.
                () = shared.wake.notified() => self.waits_for_haproxy = false,
                () = shared.stop.cancelled() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// One pass; answers how long to wait for the next.
    async fn pass(&mut self) -> Duration {
        let turn = match self.shared.take_turn().await {
            Ok(turn) => turn,
            // Whoever has it carries on what is under way, ours as well.
            Err(error @ InventoryError::Locked { .. }) => {
                tracing::debug!("no pass now: {error}");
                return OTHERS_TURN;
            }
            Err(error) => return self.failed(&ControllerError::inventory(error)),
        };
        let is_quick = self.waits_for_haproxy && self.looked.elapsed() < WATCHING;
        let advanced = if is_quick {
            self.shared.controller.advance_behind_balancer().await
        } else {
            self.looked = Instant::now();
            self.shared.controller.advance().await
        };
        drop(turn);
        match advanced {
            Ok(advanced) => {
                if !is_quick {
                    self.shared.set_api_failure(None);
                }
                self.went_on(&advanced)
            }
            Err(error) if error.is_conflict() && self.conflicts < CONFLICTS => {
                self.conflicts += 1;
                // The ticker or a command changed what the pass had read: the next one reads anew.
                tracing::debug!("a pass begins anew: {error}");
                self.count("conflict");
                BREATH
            }
            Err(error) => self.failed(&error),
        }
    }

    fn went_on(&mut self, advanced: &Advanced) -> Duration {
        self.count("ok");
        self.backoff = WATCHING;
        self.conflicts = 0;
        for subject in [PASS, FROZEN] {
            if self.troubles.ends(subject) {
                tracing::info!("{subject}: that is over");
            }
        }
        self.look_at(&advanced.snapshot);
        if advanced.progressed {
            self.moved = Instant::now();
            return BREATH;
        }
        self.pause(&advanced.snapshot, advanced.unsettled)
    }

    /// Counts the fleet, and how long droplets took that serve now.
    fn look_at(&mut self, snapshot: &Snapshot) {
        let mut coming_up = HashSet::new();
        for droplet in &snapshot.droplets {
            if droplet.phase.is_coming_up() {
                coming_up.insert(droplet.name.clone());
            } else if droplet.phase == Phase::Serving && self.coming_up.contains(&droplet.name) {
                let took = droplet.phase_since.since(droplet.created_at);
                tracing::info!(droplet = %droplet.name, seconds = took.as_secs_f64(), "serves");
                tell::serving(&self.shared.telemetry, took);
            }
        }
        self.coming_up = coming_up;
        self.waits_for_haproxy =
            snapshot.droplets.iter().any(|droplet| matches!(droplet.phase, Phase::Warming | Phase::Draining));
        tell::fleet(&self.shared.telemetry, snapshot);
    }

    fn pause(&self, snapshot: &Snapshot, unsettled: bool) -> Duration {
        let is_under_way = snapshot.droplets.iter().any(|droplet| droplet.phase != Phase::Serving);
        if !is_under_way && !unsettled {
            return self.shared.interval().max(WATCHING);
        }
        match self.moved.elapsed() > PATIENT_AFTER {
            true => PATIENT,
            false if self.waits_for_haproxy => AT_HAPROXY,
            false => WATCHING,
        }
    }

    fn failed(&mut self, error: &ControllerError) -> Duration {
        let why = error.to_string();
        if matches!(error, ControllerError::Frozen(_)) {
            self.count("frozen");
            if self.troubles.begins(FROZEN, &why) {
                tracing::info!("{why}");
            }
            return self.shared.interval().clamp(WATCHING, PATIENT);
        }
        self.count("failed");
        self.waits_for_haproxy = false;
        if matches!(error, ControllerError::Cloud(_)) {
            self.shared.set_api_failure(Some(why.clone()));
        }
        if self.troubles.begins(PASS, &why) {
            tracing::warn!("cannot carry on what is under way: {why}; trying again");
        }
        let pause = self.backoff;
        self.backoff = (self.backoff * 2).min(LONGEST_BACKOFF);
        pause
    }

    fn count(&self, result: &str) {
        tell::pass(&self.shared.telemetry, result);
    }
}

const PASS: &str = "what is under way cannot be carried on";
const FROZEN: &str = "the fleet is frozen";
