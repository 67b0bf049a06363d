//! The fluid model: demand flows, and a pool of equal droplets takes it tick by tick.
//!
//! In tick k the demand `d_k` holds. A droplet serves `capacity` requests per second and takes `boot_ticks` ticks to
//! boot; it is paid for from the tick after it was ordered. What the pool cannot serve is lost, or waits without end.
//! At the end of tick k a size is wanted: new droplets are ready at the start of tick k + 1 + `boot_ticks`; of those
//! that leave, the youngest that boot go first, then those that are ready, oldest first.

use super::number::{ceil_to_u32, to_tick};

/// What becomes of requests that the pool has no room for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overload {
    /// They are lost.
    #[default]
    Loss,
    /// They wait, for as long as it takes.
    Queue,
}

/// What a pool is like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setup {
    /// The length of a tick, in seconds.
    pub tick_s: f64,
    /// Requests per second that a droplet serves.
    pub capacity: f64,
    /// Ticks that a droplet takes to boot.
    pub boot_ticks: u32,
    /// Fewest droplets.
    pub min: u32,
    /// Most droplets.
    pub max: u32,
    /// The size at the beginning; what the first `boot_ticks + 1` ticks need where it is `None`.
    pub initial: Option<u32>,
    /// What becomes of requests that there is no room for.
    pub overload: Overload,
}

impl Setup {
    /// The droplets that `demand` needs.
    pub fn required(&self, demand: f64) -> u32 {
        ceil_to_u32(demand / self.capacity).clamp(self.min, self.max)
    }

    /// The size at the beginning.
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
    /// Counts the droplets of a run.
    pub serial: u32,
    /// The first tick in which it is paid for.
    pub billed_from: u32,
    /// The first tick in which it serves; `u32::MAX` for one that never will.
    pub ready_at: u32,
}

/// What a tick was like.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Step {
    /// Requests per second that came.
    pub demand: f64,
    /// Droplets that would have been enough.
    pub required: u32,
    /// Droplets that served.
    pub ready: u32,
    /// Droplets that booted.
    pub booting: u32,
    /// Requests that were lost.
    pub unserved: f64,
    /// Requests that wait at the end.
    pub backlog: f64,
}

/// The droplets there are, in the order in which they were ordered, and what all of them have cost.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    droplets: Vec<Droplet>,
    next_serial: u32,
    cost_meter: CostMeter,
}

/// What was paid for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CostMeter {
    /// Ticks of all droplets together, as they were used.
    pub ticks: u64,
    /// The lives of the droplets that were removed, in ticks, in the order of their removal.
    pub lifetimes: Vec<u32>,
    /// Changes of the size.
    pub adaptations: u32,
    /// Droplets that were ordered.
    pub created: u32,
}

impl Pool {
    /// A pool with `size` droplets that are ready.
    pub fn new(size: u32) -> Self {
        let mut pool = Self::default();
        pool.add(size, 0, 0);
        pool.cost_meter.created = 0;
        pool
    }

    /// The droplets, in the order in which they were ordered.
    pub fn droplets(&self) -> &[Droplet] {
        &self.droplets
    }

    /// All of them.
    pub fn size(&self) -> u32 {
        to_tick(self.droplets.len())
    }

    /// Those that serve in tick `now`.
    pub fn ready(&self, now: u32) -> u32 {
        to_tick(self.droplets.iter().filter(|droplet| droplet.ready_at <= now).count())
    }

    /// What was paid for so far.
    pub fn cost_meter(&self) -> &CostMeter {
        &self.cost_meter
    }

    /// Takes `demand` for the tick `now`, with `backlog` from before.
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

    /// Orders `count` droplets, paid for from tick `since` and ready at `ready_at`.
    pub fn add(&mut self, count: u32, since: u32, ready_at: u32) {
        for _ in 0..count {
            self.droplets.push(Droplet { serial: self.next_serial, billed_from: since, ready_at });
            self.next_serial += 1;
        }
        self.cost_meter.created += count;
    }

    /// Removes a droplet at the end of tick `now`, where there is one of that number.
    pub fn remove(&mut self, serial: u32, now: u32) -> bool {
        let Some(index) = self.droplets.iter().position(|droplet| droplet.serial == serial) else { return false };
        let droplet = self.droplets.remove(index);
        self.cost_meter.lifetimes.push((now + 1).saturating_sub(droplet.billed_from));
        true
    }

    /// The number of the droplet that is ordered next.
    pub fn next_serial(&self) -> u32 {
        self.next_serial
    }

    /// Counts a change of the size.
    pub fn count_adaptation(&mut self) {
        self.cost_meter.adaptations += 1;
    }

    /// Brings the pool to `wanted` droplets at the end of tick `now`.
    pub fn resize(&mut self, wanted: u32, now: u32, boot_ticks: u32) {
        let size = self.size();
        if wanted > size {
            self.add(wanted - size, now + 1, (now + 1).saturating_add(boot_ticks));
        }
        for serial in self.select_for_removal(size.saturating_sub(wanted), now) {
            self.remove(serial, now);
        }
        if wanted != size {
            self.count_adaptation();
        }
    }

    /// The `count` droplets that leave first: the youngest of those that boot, then the oldest of those that serve.
    pub fn select_for_removal(&self, count: u32, now: u32) -> Vec<u32> {
        let booting = self.droplets.iter().rev().filter(|droplet| droplet.ready_at > now);
        let ready = self.droplets.iter().filter(|droplet| droplet.ready_at <= now);
        booting.chain(ready).take(count as usize).map(|droplet| droplet.serial).collect()
    }
}

impl CostMeter {
    /// What was paid for when a removed droplet costs at least `minimum` ticks. One that is still there has cost what it
    /// was used.
    pub fn billed_ticks(&self, minimum: u32) -> u64 {
        let short = self.lifetimes.iter().map(|life| u64::from(minimum.saturating_sub(*life)));
        self.ticks + short.sum::<u64>()
    }
}

/// What a rule that sees the fluid world sees at the end of a tick.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The tick, from 0.
    pub tick: u32,
    /// The demand of all ticks so far, this one last.
    pub demand_history: &'a [f64],
    /// What this tick was like.
    pub step: Step,
    /// The size at the beginning.
    pub initial_size: u32,
}

/// A run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    /// A step each tick.
    pub steps: Vec<Step>,
    /// What was paid for.
    pub cost_meter: CostMeter,
}

/// Runs a rule that answers the size that it wants.
pub fn run(setup: &Setup, demand: &[f64], mut wanted: impl FnMut(View<'_>) -> u32) -> Run {
    let first_size = setup.initial_size(demand);
    let mut pool = Pool::new(first_size);
    let mut steps = Vec::with_capacity(demand.len());
    let mut backlog = 0.0;
    for (index, now) in demand.iter().zip(0_u32..).map(|(_, now)| (now as usize, now)) {
        let step = pool.serve(now, demand[index], backlog, setup);
        backlog = step.backlog;
        steps.push(step);
        let view = View { tick: now, demand_history: &demand[..=index], step, initial_size: first_size };
        pool.resize(wanted(view).clamp(setup.min, setup.max), now, setup.boot_ticks);
    }
    Run { steps, cost_meter: pool.cost_meter }
}
