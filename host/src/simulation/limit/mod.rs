//! The physical limit: what a scheduler that knows the future pays, and the least that any policy can pay that leaves a
//! given share unserved.
//!
//! Both separate by level: whether the i-th droplet is there does not depend on the others. [`optimum`] is the one
//! that leaves nothing unserved, [`floor`] the lower bound for all shares. Neither knows of a minimum charge, with which
//! levels do depend on each other: with one they are still bounds, and further away.

pub mod floor;
pub mod optimum;
#[cfg(test)]
mod tests;

pub use floor::{Floor, Point};
pub use optimum::Optimum;

use super::fluid::Setup;
use super::number::real;

/// The limits of one demand.
#[derive(Debug, Clone)]
pub struct Limit {
    optimum: Optimum,
    floor: Floor,
}

impl Limit {
    /// The limits for `demand` in requests per second.
    pub fn of(setup: &Setup, demand: &[f64]) -> Self {
        let required: Vec<u32> = demand.iter().map(|demand| setup.required(*demand)).collect();
        let first = setup.first_size(demand);
        Self { optimum: Optimum::of(&required, setup.boot_ticks, first), floor: Floor::of(setup, demand, first) }
    }

    /// The clairvoyant optimum.
    pub fn optimum(&self) -> &Optimum {
        &self.optimum
    }

    /// The least that is billed where `unserved` requests are lost, in ticks.
    pub fn least_ticks(&self, unserved: f64) -> f64 {
        self.floor.least(Point { ticks: real(self.optimum.ticks), unserved: 0.0 }, unserved)
    }
}
