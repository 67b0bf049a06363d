//! Limits of the fleet, of one tick and of one hour; pauses; and conditions under which nothing may change.

use crate::domain::{Direction, DropletRequest, Pause, Phase};
use crate::pipeline::guard::circuit_breaker;
use crate::pipeline::guard::plan_builder::{PlanBuilder, is_healthy, pluralize_droplets};

/// Above these thresholds the cause is probably the network or HAProxy, not the droplets, and creating or deleting
/// droplets would make it worse. The values are those of the Kubernetes Cluster Autoscaler
/// (`max-total-unready-percentage`, `ok-total-unready-count`).
const UNHEALTHY_PERCENT: usize = 45;
const UNHEALTHY_COUNT: usize = 3;

impl PlanBuilder<'_> {
    /// Cancels the whole plan if most droplets are unhealthy at once; reports whether that is the case.
    pub(super) fn too_many_unhealthy(&mut self) -> bool {
        let serving = self.observation.fleet.iter().filter(|droplet| droplet.phase == Phase::Serving);
        let (mut all, mut unhealthy) = (0, 0);
        for droplet in serving {
            all += 1;
            unhealthy += usize::from(!droplet.healthy);
        }
        if unhealthy <= UNHEALTHY_COUNT || unhealthy * 100 <= all * UNHEALTHY_PERCENT {
            return false;
        }
        let asked = self.deletes.len() as u64 + self.created_count();
        self.deletes.clear();
        self.creates.clear();
        if asked > 0 {
            self.restrict("unhealthy", format!("nothing changed: {unhealthy} of {all} droplets are unhealthy at once"));
        }
        true
    }

    /// Brings the fleet to its fallback size if the policies have been failing for some time.
    pub(super) fn apply_fallback(&mut self) {
        let (Some(fallback), Some(since)) = (self.rules.fallback, self.facts.policies_failing_since) else { return };
        let failing = self.now().since(since);
        if failing < fallback.after {
            return;
        }
        let missing = u64::from(fallback.size).saturating_sub(self.size_after());
        if let Ok(missing @ 1..) = u32::try_from(missing) {
            self.add(
                DropletRequest::default(),
                missing,
                "the policies are failing, and the fleet is below its fallback size",
            );
            let seconds = failing.as_secs();
            self.restrict(
                "fallback",
                format!("{missing} more created: the policies have been failing for {seconds} s"),
            );
        }
    }

    pub(super) fn enforce_max(&mut self) {
        let max = u64::from(self.observation.limits.max);
        let over = self.size_after().saturating_sub(max);
        if over == 0 {
            return;
        }
        let uncreated = self.reduce_creates(over);
        if uncreated > 0 {
            self.restrict("max", format!("{uncreated} fewer created: at most {max} droplets are allowed"));
        }
        let still_over = self.size_after().saturating_sub(max);
        if still_over > 0 && self.starting_count() == 0 && !self.facts.balancer_unreachable {
            let before = self.deletes.len();
            self.select_for_termination(still_over, &[], "the fleet is above scaling.max");
            let removed = self.deletes.len() - before;
            if removed > 0 {
                self.restrict("max", format!("{removed} more deleted: at most {max} droplets are allowed"));
            }
        }
    }

    /// Cancels deletes of healthy droplets until at least the minimum remains.
    pub(super) fn keep_min_healthy(&mut self) {
        let min = self.observation.limits.min as usize;
        let is_staying = |name| !self.is_scheduled_for_deletion(name);
        let mut healthy =
            self.observation.fleet.iter().filter(|droplet| is_healthy(droplet) && is_staying(&droplet.name)).count();
        let mut kept = 0;
        while healthy < min
            && let Some(position) = self.deletes.iter().rposition(|leaving| is_healthy(leaving.droplet))
        {
            self.deletes.remove(position);
            healthy += 1;
            kept += 1;
        }
        if kept > 0 {
            self.restrict(
                "min",
                format!("{} kept: at least {min} healthy droplets must stay", pluralize_droplets(kept)),
            );
        }
    }

    pub(super) fn enforce_min(&mut self) {
        let min = self.observation.limits.min;
        self.keep_at_least(min.into(), "min", &format!("at least {min} droplets are required"));
        let size = u32::try_from(self.size_after()).unwrap_or(u32::MAX);
        let missing = min.saturating_sub(size);
        if missing > 0 {
            self.add(DropletRequest::default(), missing, "the fleet is below scaling.min");
            self.restrict("min", format!("{missing} more created: at least {min} droplets are required"));
        }
    }

    pub(super) fn limit_deletes(&mut self) {
        let most = self.observation.limits.max_delete as usize;
        if self.deletes.len() > most {
            let kept = (self.deletes.len() - most) as u64;
            self.deletes.truncate(most);
            self.restrict(
                "max_delete_per_tick",
                format!("{} kept for now: at most {most} are deleted per tick", pluralize_droplets(kept)),
            );
        }
    }

    pub(super) fn limit_creates(&mut self) {
        let most = u64::from(self.observation.limits.max_create);
        let fewer = self.reduce_creates(self.created_count().saturating_sub(most));
        if fewer > 0 {
            self.restrict(
                "max_create_per_tick",
                format!("{fewer} fewer created for now: at most {most} are created per tick"),
            );
        }
    }

    /// Limits creates to the account's remaining quota, which the API would enforce anyway.
    pub(super) fn limit_by_account_quota(&mut self) {
        if let Some(room) = self.facts.remaining_quota {
            self.limit_creates_to(room.into(), "droplet_limit", &format!("the account's remaining quota is {room}"));
        }
    }

    pub(super) fn limit_creates_per_hour(&mut self) {
        let requested = u32::try_from(self.created_count()).unwrap_or(u32::MAX);
        let most = self.rules.max_create_per_hour;
        if let (allowed, Some(tripped)) = circuit_breaker::check(requested, &self.facts.creates, most) {
            self.limit_creates_to(allowed.into(), tripped.rule(), &tripped.to_string());
        }
    }

    pub(super) fn apply_pauses(&mut self) {
        let why = |direction: Direction, pause: &Pause| {
            let until = pause.until.map(|until| format!(" until {until}")).unwrap_or_default();
            let reason = if pause.reason.is_empty() { String::new() } else { format!(": {}", pause.reason) };
            format!("scaling {direction} is paused{until}{reason}")
        };
        if let Some(pause) = self.facts.pauses.active(Direction::Out, self.now()) {
            self.limit_creates_to(0, "paused", &why(Direction::Out, pause));
        }
        if let Some(pause) = self.facts.pauses.active(Direction::In, self.now()) {
            self.cancel_deletes("paused", &why(Direction::In, pause));
        }
    }

    /// Holds all operations while the API is unreachable: by the time it is available, they might be wrong.
    pub(super) fn hold_on_api_outage(&mut self) {
        if let Some(why) = &self.facts.api_unreachable {
            let why = format!("the API is unreachable ({why})");
            self.limit_creates_to(0, "api", &why);
            self.cancel_deletes("api", &why);
        }
    }
}
