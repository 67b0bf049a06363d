//! Runs sizing rules, plain functions in place of policies, on the fluid model.

use crate::model::fluid::{Pool, Run, Setup, Step};

/// The input of a sizing rule at the end of a tick.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    /// Tick number, from 0.
    pub(super) tick: u32,
    /// Demand of all ticks so far, the current one last.
    pub(super) demand_history: &'a [f64],
    /// State of the current tick.
    pub(super) step: Step,
    /// Initial size of the pool.
    pub(super) initial_size: u32,
}

/// Runs a sizing rule: `wanted` returns the desired size for each tick.
pub(super) fn run(setup: &Setup, demand: &[f64], mut wanted: impl FnMut(View<'_>) -> u32) -> Run {
    let first_size = setup.initial_size(demand);
    let mut pool = Pool::new(first_size);
    let mut steps = Vec::with_capacity(demand.len());
    let mut backlog = 0.0;
    for (index, now) in demand.iter().zip(0_u32..).map(|(_, now)| (now as usize, now)) {
        let step = pool.serve(now, demand[index], backlog, setup);
        backlog = step.backlog;
        steps.push(step);
        let view = View { tick: now, demand_history: &demand[..=index], step, initial_size: first_size };
        resize(&mut pool, wanted(view).clamp(setup.min, setup.max), now, setup.boot_ticks);
    }
    Run { steps, cost_meter: pool.cost_meter().clone() }
}

/// Resizes the pool to `wanted` droplets at the end of tick `now`.
fn resize(pool: &mut Pool, wanted: u32, now: u32, boot_ticks: u32) {
    let size = pool.size();
    if wanted > size {
        pool.add(wanted - size, now + 1, (now + 1).saturating_add(boot_ticks));
    }
    for serial in select_for_removal(pool, size.saturating_sub(wanted), now) {
        pool.remove(serial, now);
    }
    if wanted != size {
        pool.count_adaptation();
    }
}

/// Selects the `count` droplets to remove first: booting droplets, youngest first, then ready ones, oldest first.
fn select_for_removal(pool: &Pool, count: u32, now: u32) -> Vec<u32> {
    let booting = pool.droplets().iter().rev().filter(|droplet| droplet.ready_at > now);
    let ready = pool.droplets().iter().filter(|droplet| droplet.ready_at <= now);
    booting.chain(ready).take(count as usize).map(|droplet| droplet.serial).collect()
}
