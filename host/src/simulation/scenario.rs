//! What is simulated: the load, the droplets, their price, the weather, and what the operator allows.

use std::time::Duration;

use super::cloud::SplitMix64;
use super::faults::FaultSchedule;
use super::fluid::{Droplet, Setup};
use super::limit::Limit;
use super::number::{ceil_to_u32, to_tick};
use super::requests::Service;
use super::score::PriceModel;
use crate::controller::ScalingRules;
use crate::model::{FleetName, ObservedTemplate, Timestamp};

/// What is simulated. Every policy is run in the same one.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The fleet's name, as policies see it.
    pub fleet: FleetName,
    /// What droplets are made of.
    pub template: ObservedTemplate,
    /// When it begins.
    pub start: Timestamp,
    /// The length of a tick.
    pub tick: Duration,
    /// Requests per second in each tick.
    pub demand: Vec<f64>,
    /// The pool.
    pub setup: Setup,
    /// How long droplets take to boot.
    pub boot_time: BootTime,
    /// Sessions that a droplet works on at a time.
    pub slots: u32,
    /// What a droplet costs.
    pub price_model: PriceModel,
    /// How load becomes served requests.
    pub model: Model,
    /// What goes wrong.
    pub faults: FaultSchedule,
    /// What the guard holds; nothing but the smallest and the largest size where it is `None`.
    pub scaling_rules: Option<ScalingRules>,
    /// What luck begins with.
    pub seed: u64,
}

/// How load becomes served requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Model {
    /// It flows.
    Fluid,
    /// Each request by itself.
    Requests(Service),
}

/// How long droplets take to boot.
#[derive(Debug, Clone, PartialEq)]
pub enum BootTime {
    /// Always the same.
    Fixed(Duration),
    /// Anything between two times, each as likely as any other.
    Uniform(Duration, Duration),
    /// One of those that were seen.
    Empirical(Vec<Duration>),
}

impl BootTime {
    /// The shortest there is: with it the limit is one.
    pub fn shortest(&self) -> Duration {
        match self {
            Self::Fixed(time) | Self::Uniform(time, _) => *time,
            Self::Empirical(times) => times.iter().min().copied().unwrap_or_default(),
        }
    }

    /// What a policy is told: the median.
    pub fn median(&self) -> Duration {
        self.sample(0.5)
    }

    /// One of them; `luck` is from 0 up to 1.
    fn sample(&self, luck: f64) -> Duration {
        match self {
            Self::Fixed(time) => *time,
            Self::Uniform(from, to) => *from + to.saturating_sub(*from).mul_f64(luck),
            Self::Empirical(times) => {
                let mut sorted = times.clone();
                sorted.sort_unstable();
                let index = super::number::round_to_u64((luck * super::number::len_to_f64(times)).floor());
                usize::try_from(index).ok().and_then(|index| sorted.get(index)).copied().unwrap_or_default()
            }
        }
    }
}

impl Scenario {
    /// The time from the beginning to the end of tick `now`.
    pub fn elapsed_at_end_of(&self, now: u32) -> Duration {
        self.tick.saturating_mul(now.saturating_add(1))
    }

    /// The time of day at the end of tick `now`, when its decision is made.
    pub fn end_of(&self, now: u32) -> Timestamp {
        self.start.plus(self.elapsed_at_end_of(now))
    }

    /// The limits of its demand.
    pub fn limit(&self) -> Limit {
        Limit::of(&self.setup, &self.demand)
    }

    /// The ticks that so long a time takes.
    pub fn ticks(&self, time: Duration) -> u32 {
        ceil_to_u32(time.as_secs_f64() / self.setup.tick_s)
    }

    /// A droplet that is ordered at the end of tick `now`. Its luck depends on its number and the seed alone, so every
    /// policy meets the same.
    pub fn new_droplet(&self, serial: u32, now: u32) -> Droplet {
        let mut chance = SplitMix64::from_seed(self.seed ^ (u64::from(serial) << 32));
        let (slow, lost) = (chance.next_f64(), chance.next_f64());
        let ready_at = match self.faults.boot_factor(self.elapsed_at_end_of(now), lost) {
            Some(factor) => (now + 1).saturating_add(self.ticks(self.boot_time.sample(slow).mul_f64(factor))),
            None => u32::MAX,
        };
        Droplet { serial, billed_from: now + 1, ready_at }
    }

    /// How many ticks it has.
    pub fn tick_count(&self) -> u32 {
        to_tick(self.demand.len())
    }
}
