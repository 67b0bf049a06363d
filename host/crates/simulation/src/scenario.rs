//! The scenario of a simulation: demand, droplets, their price, the fault schedule, and the operator's limits.

use std::time::Duration;

use doproxy_core::domain::{FleetName, ObservedTemplate, Timestamp};
use doproxy_core::pipeline::ScalingRules;
use doproxy_support::SplitMix64;

use crate::bound::Limit;
use crate::faults::FaultSchedule;
use crate::model::fluid::{Droplet, Setup};
use crate::model::requests::Service;
use crate::number::{ceil_to_u32, to_tick};
use crate::score::PriceModel;

/// A scenario. Every policy of a comparison runs in the same one.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Fleet name, as presented to policies.
    pub fleet: FleetName,
    /// Droplet template.
    pub template: ObservedTemplate,
    /// Start time.
    pub start: Timestamp,
    /// Tick length.
    pub tick: Duration,
    /// Requests per second in each tick.
    pub demand: Vec<f64>,
    /// Pool parameters.
    pub setup: Setup,
    /// Boot times of droplets.
    pub boot_time: BootTime,
    /// Maximum number of concurrent sessions per droplet.
    pub slots: u32,
    /// Price of a droplet.
    pub price_model: PriceModel,
    /// Model that turns demand into served requests.
    pub model: Model,
    /// Fault schedule.
    pub faults: FaultSchedule,
    /// Scaling limits and guard rules. `None` applies only the minimum and maximum size.
    pub scaling_rules: Option<ScalingRules>,
    /// Random seed.
    pub seed: u64,
}

/// Model that turns demand into served requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Model {
    /// Demand is a continuous flow.
    Fluid,
    /// Requests are simulated individually.
    Requests(Service),
}

/// Boot times of droplets.
#[derive(Debug, Clone, PartialEq)]
pub enum BootTime {
    /// A constant boot time.
    Fixed(Duration),
    /// Uniformly distributed between two times.
    Uniform(Duration, Duration),
    /// Drawn from observed boot times.
    Empirical(Vec<Duration>),
}

impl BootTime {
    /// Returns the shortest boot time. The limit is computed with it, so that it bounds every run.
    pub fn shortest(&self) -> Duration {
        match self {
            Self::Fixed(time) | Self::Uniform(time, _) => *time,
            Self::Empirical(times) => times.iter().min().copied().unwrap_or_default(),
        }
    }

    /// Returns the median, which is the boot time reported to policies.
    pub fn median(&self) -> Duration {
        self.sample(0.5)
    }

    /// Returns the boot time for a random number `luck` in [0, 1).
    fn sample(&self, luck: f64) -> Duration {
        match self {
            Self::Fixed(time) => *time,
            Self::Uniform(from, to) => *from + to.saturating_sub(*from).mul_f64(luck),
            Self::Empirical(times) => {
                let mut sorted = times.clone();
                sorted.sort_unstable();
                let index = crate::number::round_to_u64((luck * crate::number::len_to_f64(times)).floor());
                usize::try_from(index).ok().and_then(|index| sorted.get(index)).copied().unwrap_or_default()
            }
        }
    }
}

impl Scenario {
    /// Returns the time from the start to the end of tick `now`.
    pub fn elapsed_at_end_of(&self, now: u32) -> Duration {
        self.tick.saturating_mul(now.saturating_add(1))
    }

    /// Returns the time at the end of tick `now`, when its decision is made.
    pub fn end_of(&self, now: u32) -> Timestamp {
        self.start.plus(self.elapsed_at_end_of(now))
    }

    /// Returns the theoretical limits of the demand.
    pub fn limit(&self) -> Limit {
        Limit::of(&self.setup, &self.demand)
    }

    /// Returns the number of ticks that `time` spans.
    pub fn ticks(&self, time: Duration) -> u32 {
        ceil_to_u32(time.as_secs_f64() / self.setup.tick_s)
    }

    /// Returns a droplet created at the end of tick `now`. Its random numbers depend only on its serial number and the
    /// seed, so they are the same for every policy.
    pub fn new_droplet(&self, serial: u32, now: u32) -> Droplet {
        let mut rng = SplitMix64::from_seed(self.seed ^ (u64::from(serial) << 32));
        let (slow, lost) = (rng.next_f64(), rng.next_f64());
        let ready_at = match self.faults.boot_factor(self.elapsed_at_end_of(now), lost) {
            Some(factor) => (now + 1).saturating_add(self.ticks(self.boot_time.sample(slow).mul_f64(factor))),
            None => u32::MAX,
        };
        Droplet { serial, billed_from: now + 1, ready_at }
    }

    /// Returns the number of ticks.
    pub fn tick_count(&self) -> u32 {
        to_tick(self.demand.len())
    }
}
