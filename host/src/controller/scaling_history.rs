//! What the loop remembers from one tick to the next, beside the journal and what policies remember themselves.
//!
//! It is kept in the inventory, so that a process that is started anew goes on with it.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{DropletName, GuardFacts, Observation, Phase, Timestamp};

/// What the loop remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScalingHistory {
    recommendations: Vec<(Timestamp, u32)>,
    unhealthy_since: HashMap<DropletName, Timestamp>,
    failing_since: Option<Timestamp>,
    replacements: Vec<Timestamp>,
}

/// For how long a replacement counts.
const REPLACEMENT_WINDOW: Duration = Duration::from_hours(1);

impl ScalingHistory {
    /// A loop begins: what was wanted while nobody looked is not known, so the fleet's size counts as wanted now.
    pub fn start(&mut self, now: Timestamp, size: u32) {
        self.recommendations.push((now, size));
    }

    /// Looks at the fleet: since when its droplets are unhealthy.
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

    /// The part of [`GuardFacts`] that is remembered.
    pub fn guard_facts(&self, now: Timestamp) -> GuardFacts {
        // What is remembered of a time to come was written by a clock that has been set right since.
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

    /// Keeps what was wanted at `now`, for as long as the stabilisation window goes back.
    pub fn record_recommendation(&mut self, now: Timestamp, wanted: u32, window: Duration) {
        self.recommendations.push((now, wanted));
        self.recommendations.retain(|(at, _)| *at <= now && now.since(*at) <= window);
    }

    /// Counts the droplets that were replaced at `now`.
    pub fn record_replacements(&mut self, now: Timestamp, count: usize) {
        self.replacements.retain(|at| *at <= now && now.since(*at) < REPLACEMENT_WINDOW);
        self.replacements.extend(std::iter::repeat_n(now, count));
    }

    /// Whether any active policy has answered at `now`.
    pub fn record_evaluation(&mut self, any: bool, now: Timestamp) {
        self.failing_since = if any { None } else { self.failing_since.or(Some(now)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_wanted_is_kept_for_as_long_as_the_window_goes_back() {
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
    fn policies_fail_since_the_first_tick_without_an_answer() {
        let mut memory = ScalingHistory::default();

        memory.record_evaluation(false, Timestamp(1));
        memory.record_evaluation(false, Timestamp(2));
        assert_eq!(memory.guard_facts(Timestamp(100_000)).policies_failing_since, Some(Timestamp(1)));

        memory.record_evaluation(true, Timestamp(3));
        assert_eq!(memory.guard_facts(Timestamp(100_000)).policies_failing_since, None);
    }
}
