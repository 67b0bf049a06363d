//! Random histories: many seeds in parallel, or a single one with its history printed.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use doproxy_core::seams::Inventory;

use crate::fleet::{Fleet, folder};
use crate::invariants;
use crate::steps::{Step, execute, history};

/// Runs this many seeds on all processors; returns `true` if none failed.
pub fn run_seeds(seeds: u64) -> bool {
    let started = Instant::now();
    let next = AtomicU64::new(1);
    let failed: Mutex<Vec<u64>> = Mutex::default();
    let steps = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, std::num::NonZero::get) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > seeds || failed.lock().unwrap().len() >= 3 {
                        return;
                    }
                    let history = history(seed);
                    steps.fetch_add(history.len() as u64, Ordering::Relaxed);
                    if !violations(seed, &history).is_empty() {
                        failed.lock().unwrap().push(seed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    for seed in &failed {
        print_shortest(*seed);
    }
    println!(
        "seeds: {seeds} histories of {} steps run in {:.1} s, {} failed",
        steps.into_inner(),
        started.elapsed().as_secs_f64(),
        failed.len()
    );
    failed.is_empty()
}

/// Runs one seed and prints its history.
pub fn run_seed(seed: u64) -> ExitCode {
    let history = history(seed);
    print_history(seed, &history);
    if violations(seed, &history).is_empty() {
        println!("seed {seed}: no droplet was lost, leaked or duplicated");
        return ExitCode::SUCCESS;
    }
    print_shortest(seed);
    ExitCode::FAILURE
}

/// Returns the violations after a history.
fn violations(seed: u64, history: &[Step]) -> Vec<String> {
    run_history(seed, history).0
}

/// Returns the violations after a history, and the events reported during it.
fn run_history(seed: u64, history: &[Step]) -> (Vec<String>, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let folder = folder();
        let mut fleet = Fleet::new(folder.path(), seed);
        let mut messages = Vec::new();
        for step in history {
            messages.push(format!("{step:?}"));
            let before = fleet.events().len();
            execute(&mut fleet, step).await;
            messages.extend(fleet.events().iter().skip(before).map(|event| format!("    {event}")));
        }
        fleet.balancer.inner.set_all_unhealthy(false);
        fleet.inventory().set_maintenance(None).await.unwrap();
        let before = fleet.events().len();
        let broken = invariants::violations_after_recovery(&mut fleet).await;
        messages.push("the faults are over, and recovery runs".to_owned());
        messages.extend(fleet.events().iter().skip(before).map(|event| format!("    {event}")));
        (broken, messages)
    })
}

/// Removes steps while the history still fails, and prints the rest.
fn print_shortest(seed: u64) {
    let mut shortest = history(seed);
    let mut position = 0;
    while position < shortest.len() {
        let mut without = shortest.clone();
        without.remove(position);
        if violations(seed, &without).is_empty() {
            position += 1;
        } else {
            shortest = without;
        }
    }
    print_history(seed, &shortest);
    println!("repeat with: cargo test --test chaos -- --seed {seed}\n");
}

fn print_history(seed: u64, history: &[Step]) {
    let (broken, messages) = run_history(seed, history);
    println!("seed {seed}:");
    messages.iter().for_each(|line| println!("  {line}"));
    broken.iter().for_each(|what| println!("  VIOLATION: {what}"));
}
