//! The fluid model: demand is a continuous flow that a pool of identical droplets serves tick by tick.
//!
//! Demand `d_k` is constant during tick k. A droplet serves `capacity` requests per second and takes `boot_ticks` ticks
//! to boot; it is billed from the tick after it was created. Demand beyond the pool's capacity is lost or queues
//! indefinitely. At the end of tick k the rule chooses a size. New droplets are ready at the start of tick k + 1 +
//! `boot_ticks`. Removal takes booting droplets first, youngest first, then ready droplets, oldest first.

use crate::number::{ceil_to_u32, to_tick};

/// Handling of requests that exceed the pool's capacity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overload {
    /// Excess requests are lost.
    #[default]
    Loss,
    /// Excess requests queue without a timeout.
    Queue,
}

/// Pool parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setup {
    /// Tick length, in seconds.
    pub tick_s: f64,
    /// Requests per second that one droplet serves.
    pub capacity: f64,
    /// Boot time of a droplet, in ticks.
    pub boot_ticks: u32,
    /// Minimum number of droplets.
    pub min: u32,
    /// Maximum number of droplets.
    pub max: u32,
    /// Initial size. `None` uses the size that the first `boot_ticks + 1` ticks require.
    pub initial: Option<u32>,
    /// Handling of requests that exceed the pool's capacity.
    pub overload: Overload,
}

impl Setup {
    /// Returns the number of droplets that `demand` requires.
    pub fn required(&self, demand: f64) -> u32 {
        ceil_to_u32(demand / self.capacity).clamp(self.min, self.max)
    }

    /// Returns the initial size.
    pub fn initial_size(&self, demand: &[f64]) -> u32 {
        let needed = || {
            let first = demand.iter().take(self.boot_ticks as usize + 1);
            first.map(|demand| self.required(*demand)).max().unwrap_or(self.min)
        };
        self.initial.unwrap_or_else(needed).clamp(self.min, self.max)
    }
}

/// A droplet of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Droplet {
    /// Serial number within the run.
    pub serial: u32,
    /// First billed tick.
    pub billed_from: u32,
    /// First tick in which it serves; `u32::MAX` if it never becomes ready.
    pub ready_at: u32,
}

/// The state of the pool during one tick.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Step {
    /// Arriving requests per second.
    pub demand: f64,
    /// Number of droplets that the demand required.
    pub required: u32,
    /// Number of droplets that served.
    pub ready: u32,
    /// Number of droplets that were booting.
    pub booting: u32,
    /// Number of lost requests.
    pub unserved: f64,
    /// Number of requests waiting at the end of the tick.
    pub backlog: f64,
}

/// The current droplets in creation order, and their accumulated cost.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    droplets: Vec<Droplet>,
    next_serial: u32,
    cost_meter: CostMeter,
}

/// Accumulated billing data of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CostMeter {
    /// Droplet-ticks used, summed over all droplets.
    pub ticks: u64,
    /// Lifetimes of the removed droplets in ticks, in order of removal.
    pub lifetimes: Vec<u32>,
    /// Number of size changes.
    pub adaptations: u32,
    /// Number of droplets created.
    pub created: u32,
}

impl Pool {
    /// Creates a pool of `size` ready droplets.
    pub fn new(size: u32) -> Self {
        let mut pool = Self::default();
        pool.add(size, 0, 0);
        pool.cost_meter.created = 0;
        pool
    }

    /// Returns the droplets in creation order.
    pub fn droplets(&self) -> &[Droplet] {
        &self.droplets
    }

    /// Returns the number of droplets, including booting ones.
    pub fn size(&self) -> u32 {
        to_tick(self.droplets.len())
    }

    /// Returns the number of droplets that serve in tick `now`.
    pub fn ready(&self, now: u32) -> u32 {
        to_tick(self.droplets.iter().filter(|droplet| droplet.ready_at <= now).count())
    }

    /// Returns the billing data so far.
    pub fn cost_meter(&self) -> &CostMeter {
        &self.cost_meter
    }

    /// Serves `demand` in tick `now`, plus the `backlog` of the previous tick.
    pub fn serve(&mut self, now: u32, demand: f64, backlog: f64, setup: &Setup) -> Step {
        let ready = self.ready(now);
        let room = f64::from(ready) * setup.capacity;
        let (unserved, backlog) = match setup.overload {
            Overload::Loss => ((demand - room).max(0.0) * setup.tick_s, 0.0),
            Overload::Queue => {
                let waiting = backlog + demand * setup.tick_s;
                (0.0, waiting - waiting.min(room * setup.tick_s))
            }
        };
        self.cost_meter.ticks += u64::from(self.size());
        let booting = self.size() - ready;
        Step { demand, required: setup.required(demand), ready, booting, unserved, backlog }
    }

    /// Creates `count` droplets that are billed from tick `since` and ready at `ready_at`.
    pub fn add(&mut self, count: u32, since: u32, ready_at: u32) {
        for _ in 0..count {
            self.droplets.push(Droplet { serial: self.next_serial, billed_from: since, ready_at });
            self.next_serial += 1;
        }
        self.cost_meter.created += count;
    }

    /// Removes the droplet with this serial number at the end of tick `now`. Returns `false` if it does not exist.
    pub fn remove(&mut self, serial: u32, now: u32) -> bool {
        let Some(index) = self.droplets.iter().position(|droplet| droplet.serial == serial) else { return false };
        let droplet = self.droplets.remove(index);
        self.cost_meter.lifetimes.push((now + 1).saturating_sub(droplet.billed_from));
        true
    }

    /// Returns the serial number of the next droplet.
    pub fn next_serial(&self) -> u32 {
        self.next_serial
    }

    /// Records a size change.
    pub fn count_adaptation(&mut self) {
        self.cost_meter.adaptations += 1;
    }
}

impl CostMeter {
    /// Returns the billed ticks if each removed droplet costs at least `minimum` ticks. A droplet that still exists is
    /// billed for its actual use.
    pub fn billed_ticks(&self, minimum: u32) -> u64 {
        let short = self.lifetimes.iter().map(|life| u64::from(minimum.saturating_sub(*life)));
        self.ticks + short.sum::<u64>()
    }
}

/// The result of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    /// One step per tick.
    pub steps: Vec<Step>,
    /// Billing data of the run.
    pub cost_meter: CostMeter,
}
