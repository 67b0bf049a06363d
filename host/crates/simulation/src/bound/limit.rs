//! The limits for one demand.

use crate::bound::{LowerBound, Optimum, Point};
use crate::model::fluid::Setup;
use crate::number::to_f64;

/// The theoretical limits for one demand.
#[derive(Debug, Clone)]
pub struct Limit {
    optimum: Optimum,
    pub(super) lower_bound: LowerBound,
    at_slo: f64,
}

/// Unserved share, in percent, at which policies are ranked by cost.
pub const SLO_PCT: f64 = 0.1;

impl Limit {
    /// Computes the limits for `demand` in requests per second.
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

    /// Returns the clairvoyant optimum.
    pub fn optimum(&self) -> &Optimum {
        &self.optimum
    }

    /// Returns the lowest billed ticks if [`SLO_PCT`] of all requests are lost: one figure for all policies.
    pub fn ticks_at_slo(&self) -> f64 {
        self.at_slo
    }

    /// Returns the lowest billed ticks if `unserved` requests are lost.
    pub fn min_ticks(&self, unserved: f64) -> f64 {
        self.lower_bound.min_ticks(Point { ticks: to_f64(self.optimum.ticks), unserved: 0.0 }, unserved)
    }
}
