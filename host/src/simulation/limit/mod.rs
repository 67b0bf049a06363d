//! The physical limit: what a scheduler that knows the future pays, and the least that any policy can pay that leaves a
//! given share unserved.
//!
//! Both separate by level: whether the i-th droplet is there does not depend on the others. [`optimum`] is the one
//! that leaves nothing unserved, [`floor`] the lower bound for all shares. Neither knows of a minimum charge, with which
//! levels do depend on each other: with one they are still bounds, and further away.

pub mod lower_bound;
pub mod optimum;
#[cfg(test)]
mod tests;

pub use lower_bound::{LowerBound, Point};
pub use optimum::Optimum;

use super::fluid::Setup;
use super::number::to_f64;

/// The limits of one demand.
#[derive(Debug, Clone)]
pub struct Limit {
    optimum: Optimum,
    lower_bound: LowerBound,
    at_slo: f64,
}

/// The unserved share, in percent, at which policies are ranked by cost.
pub const SLO_PCT: f64 = 0.1;

impl Limit {
    /// The limits for `demand` in requests per second.
    pub fn of(setup: &Setup, demand: &[f64]) -> Self {
        let required: Vec<u32> = demand.iter().map(|demand| setup.required(*demand)).collect();
        let first = setup.initial_size(demand);
        let (optimum, lower_bound) =
            (Optimum::of(&required, setup.boot_ticks, first), LowerBound::of(setup, demand, first));
        let mut limit = Self { optimum, lower_bound, at_slo: 0.0 };
        let requests = demand.iter().sum::<f64>() * setup.tick_s;
        limit.at_slo = limit.min_ticks(requests * SLO_PCT / 100.0);
        limit
    }

    /// The clairvoyant optimum.
    pub fn optimum(&self) -> &Optimum {
        &self.optimum
    }

    /// The least that is billed where [`SLO_PCT`] of all requests are lost, in ticks: one figure for all policies.
    pub fn ticks_at_slo(&self) -> f64 {
        self.at_slo
    }

    /// The least that is billed where `unserved` requests are lost, in ticks.
    pub fn min_ticks(&self, unserved: f64) -> f64 {
        self.lower_bound.min_ticks(Point { ticks: to_f64(self.optimum.ticks), unserved: 0.0 }, unserved)
    }
}
