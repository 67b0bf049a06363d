//! Rules that restrict a policy's deletes: missing metrics, a fleet in transition, recent recommendations.

use std::time::Duration;

use crate::domain::{Decision, Phase, Timestamp};
use crate::pipeline::guard::plan_builder::{PlanBuilder, is_healthy};

impl PlanBuilder<'_> {
    /// Cancels all deletes while HAProxy is unreachable: without its counters every droplet would look idle and
    /// unhealthy, or unchanged.
    pub(super) fn hold_scale_in_on_balancer_outage(&mut self) {
        if self.facts.balancer_unreachable {
            self.cancel_deletes("balancer", "HAProxy is unreachable, so load and health are unknown");
        }
    }

    /// Cancels deletes while other droplets are starting or unhealthy, or while a metric is stale. An unhealthy droplet
    /// itself may be deleted.
    pub(super) fn hold_scale_in(&mut self) {
        if self.deletes.is_empty() {
            return;
        }
        let coming_up = self.starting_count();
        let stale: Vec<&str> =
            self.observation.metrics.iter().filter(|series| series.stale).map(|series| series.name.as_str()).collect();
        if coming_up > 0 {
            self.cancel_deletes("starting", &format!("{coming_up} still starting"));
        } else if !stale.is_empty() {
            self.cancel_deletes("stale", &format!("no current value of {}", stale.join(", ")));
        } else {
            self.keep_healthy_while_others_unhealthy();
        }
    }

    fn keep_healthy_while_others_unhealthy(&mut self) {
        let staying_sick = self
            .observation
            .fleet
            .iter()
            .filter(|droplet| {
                droplet.phase == Phase::Serving && !droplet.healthy && !self.is_scheduled_for_deletion(&droplet.name)
            })
            .count();
        let before = self.deletes.len();
        if staying_sick > 0 {
            self.deletes.retain(|leaving| !is_healthy(leaving.droplet));
        }
        let kept = before - self.deletes.len();
        if kept > 0 {
            let kept = crate::pipeline::guard::plan_builder::pluralize_droplets(kept as u64);
            self.restrict("unhealthy", format!("{kept} kept: {staying_sick} of the others fail their health check"));
        }
    }

    /// Keeps the fleet at the largest size recommended within the stabilization window.
    pub(super) fn stabilize(&mut self) {
        let window = self.rules.stabilization_window;
        let requested =
            self.facts.recommendations.iter().filter(|(at, _)| self.now().since(*at) < window).map(|(_, size)| *size);
        if let Some(floor) = requested.max() {
            let why = format!("{floor} were recommended within the last {} s", window.as_secs());
            self.raise_floor(floor, "stabilization_window", &why);
        }
    }

    /// Prevents a scale-in that would immediately cause a scale-out, either because a single signal of the decision
    /// requires more droplets or because the current sessions would not fit.
    pub(super) fn prevent_flapping(&mut self, decision: &Decision) {
        if !self.rules.flap_protection || self.deletes.is_empty() {
            return;
        }
        let by_signal =
            decision.signals.iter().filter_map(|signal| Some((signal.wants?, signal))).max_by_key(|of| of.0);
        if let Some((wants, signal)) = by_signal {
            let why = format!("{} alone requires {wants}", signal.name);
            self.raise_floor(wants, "flap_protection", &why);
        }
        if let Some((needed, sessions, slots)) = self.required_for_sessions() {
            let why = format!("{sessions} sessions need {needed} droplets of {slots} each");
            self.raise_floor(needed, "flap_protection", &why);
        }
    }

    /// Returns how many droplets the current sessions need according to `maxconn`, together with the sessions and the
    /// slots per droplet.
    fn required_for_sessions(&self) -> Option<(u32, u64, u32)> {
        let loads =
            self.observation.fleet.iter().filter(|droplet| is_healthy(droplet)).filter_map(|droplet| droplet.load);
        let (mut sessions, mut slots) = (0_u64, None);
        for load in loads {
            sessions += u64::from(load.sessions) + u64::from(load.queued);
            slots = slots.max(load.max_sessions);
        }
        let slots = slots.filter(|slots| *slots > 0)?;
        Some((u32::try_from(sessions.div_ceil(slots.into())).unwrap_or(u32::MAX), sessions, slots))
    }

    /// Holds the policy's decision until the cooldown after the last change has elapsed. A change in the future was
    /// recorded by a clock that has been corrected since.
    pub(super) fn apply_cooldown(&mut self) {
        let now = self.now();
        let since = |last: Option<Timestamp>| last.filter(|last| *last <= now).map(|last| now.since(last));
        let (last_out, last_in) = (since(self.observation.last_scale_out), since(self.observation.last_scale_in));
        let left = |cooldown: Duration, last: Duration| cooldown.checked_sub(last).filter(|left| !left.is_zero());
        if let Some(last) = last_out
            && let Some(left) = left(self.rules.cooldown_out, last)
        {
            let why =
                format!("the last create was {} s ago; {} s of the cooldown remain", last.as_secs(), left.as_secs());
            self.limit_creates_to(0, "cooldown", &why);
        }
        if let Some(last) = [last_out, last_in].into_iter().flatten().min()
            && let Some(left) = left(self.rules.cooldown_in, last)
        {
            let why =
                format!("the last change was {} s ago; {} s of the cooldown remain", last.as_secs(), left.as_secs());
            self.cancel_deletes("cooldown", &why);
        }
    }
}
