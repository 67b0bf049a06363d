//! The scaling state that the loop carries from one tick to the next, in addition to the journal and the states of the
//! policies.
//!
//! It is stored in the inventory, so that it survives a restart.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{DropletName, GuardFacts, Observation, Phase, Timestamp};

/// Recent recommendations, unhealthy droplets, policy failures and replacements.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScalingHistory {
    recommendations: Vec<(Timestamp, u32)>,
    unhealthy_since: HashMap<DropletName, Timestamp>,
    failing_since: Option<Timestamp>,
    replacements: Vec<Timestamp>,
}

/// The window in which replacements are counted.
const REPLACEMENT_WINDOW: Duration = Duration::from_hours(1);

impl ScalingHistory {
    /// Starts a loop. Recommendations during a downtime are unknown, so the current size counts as recommended now.
    pub fn start(&mut self, now: Timestamp, size: u32) {
        self.recommendations.push((now, size));
    }

    /// Records since when each droplet has been unhealthy.
    pub fn record_health(&mut self, observation: &Observation) {
        let is_sick = |name: &DropletName| {
            observation
                .fleet
                .iter()
                .any(|droplet| droplet.name == *name && droplet.phase == Phase::Serving && !droplet.healthy)
        };
        self.unhealthy_since.retain(|name, _| is_sick(name));
        for droplet in observation.fleet.iter().filter(|droplet| droplet.phase == Phase::Serving && !droplet.healthy) {
            self.unhealthy_since.entry(droplet.name.clone()).or_insert(observation.now);
        }
    }

    /// Returns the part of [`GuardFacts`] that comes from this history.
    pub fn guard_facts(&self, now: Timestamp) -> GuardFacts {
        // Timestamps in the future were written by a clock that has been corrected since.
        let replaced =
            self.replacements.iter().filter(|at| **at <= now && now.since(**at) < REPLACEMENT_WINDOW).count();
        let mut unhealthy: Vec<_> =
            self.unhealthy_since.iter().map(|(name, since)| (name.clone(), (*since).min(now))).collect();
        unhealthy.sort();
        GuardFacts {
            recommendations: self.recommendations.iter().filter(|(at, _)| *at <= now).copied().collect(),
            unhealthy_since: unhealthy,
            policies_failing_since: self.failing_since,
            replaced: u32::try_from(replaced).unwrap_or(u32::MAX),
            ..GuardFacts::default()
        }
    }

    /// Records the size recommended at `now`, and drops entries older than the stabilization window.
    pub fn record_recommendation(&mut self, now: Timestamp, wanted: u32, window: Duration) {
        self.recommendations.push((now, wanted));
        self.recommendations.retain(|(at, _)| *at <= now && now.since(*at) <= window);
    }

    /// Records the number of droplets replaced at `now`.
    pub fn record_replacements(&mut self, now: Timestamp, count: usize) {
        self.replacements.retain(|at| *at <= now && now.since(*at) < REPLACEMENT_WINDOW);
        self.replacements.extend(std::iter::repeat_n(now, count));
    }

    /// Records whether any active policy produced an evaluation at `now`.
    pub fn record_evaluation(&mut self, any: bool, now: Timestamp) {
        self.failing_since = if any { None } else { self.failing_since.or(Some(now)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recommendations_are_kept_for_the_stabilization_window() {
        let mut memory = ScalingHistory::default();

        for (at, wanted) in [(0, 9), (30_000, 5), (60_000, 3), (90_001, 3)] {
            memory.record_recommendation(Timestamp(at), wanted, Duration::from_mins(1));
        }

        assert_eq!(
            memory.guard_facts(Timestamp(100_000)).recommendations,
            [(Timestamp(60_000), 3), (Timestamp(90_001), 3)]
        );
    }

    #[test]
    fn policies_fail_since_the_first_failed_tick() {
        let mut memory = ScalingHistory::default();

        memory.record_evaluation(false, Timestamp(1));
        memory.record_evaluation(false, Timestamp(2));
        assert_eq!(memory.guard_facts(Timestamp(100_000)).policies_failing_since, Some(Timestamp(1)));

        memory.record_evaluation(true, Timestamp(3));
        assert_eq!(memory.guard_facts(Timestamp(100_000)).policies_failing_since, None);
    }
}
