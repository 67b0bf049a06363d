//! Random histories: many seeds at a time, or one that is told.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use doproxy::inventory::Inventory;

use crate::fleet::{Fleet, folder};
use crate::invariants;
use crate::steps::{Step, history, take};

/// Plays so many seeds on all processors; whether each came out well.
pub fn play(seeds: u64) -> bool {
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
                    if !broken(seed, &history).is_empty() {
                        failed.lock().unwrap().push(seed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    for seed in &failed {
        tell_shortest(*seed);
    }
    println!(
        "seeds: {seeds} histories of {} steps run in {:.1} s, {} failed",
        steps.into_inner(),
        started.elapsed().as_secs_f64(),
        failed.len()
    );
    failed.is_empty()
}

/// Plays one seed and tells what happened.
pub fn tell(seed: u64) -> ExitCode {
    let history = history(seed);
    tell_history(seed, &history);
    if broken(seed, &history).is_empty() {
        println!("seed {seed}: nothing was lost, leaked or doubled");
        return ExitCode::SUCCESS;
    }
    tell_shortest(seed);
    ExitCode::FAILURE
}

/// What does not hold after a history.
fn broken(seed: u64, history: &[Step]) -> Vec<String> {
    played(seed, history).0
}

/// What does not hold after a history, and what was reported on the way.
fn played(seed: u64, history: &[Step]) -> (Vec<String>, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let folder = folder();
        let mut fleet = Fleet::new(folder.path(), seed);
        let mut told = Vec::new();
        for step in history {
            told.push(format!("{step:?}"));
            let before = fleet.events().len();
            take(&mut fleet, step).await;
            told.extend(fleet.events().iter().skip(before).map(|event| format!("    {event}")));
        }
        fleet.balancer.inner.set_all_sick(false);
        fleet.inventory().set_freeze(None).await.unwrap();
        let before = fleet.events().len();
        let broken = invariants::broken_after_recovery(&mut fleet).await;
        told.push("the faults are over, and recovery runs".to_owned());
        told.extend(fleet.events().iter().skip(before).map(|event| format!("    {event}")));
        (broken, told)
    })
}

/// Leaves steps out for as long as it still fails, and tells what is left.
fn tell_shortest(seed: u64) {
    let mut shortest = history(seed);
    let mut position = 0;
    while position < shortest.len() {
        let mut without = shortest.clone();
        without.remove(position);
        if broken(seed, &without).is_empty() {
            position += 1;
        } else {
            shortest = without;
        }
    }
    tell_history(seed, &shortest);
    println!("repeat with: cargo test --test chaos -- --seed {seed}\n");
}

fn tell_history(seed: u64, history: &[Step]) {
    let (broken, told) = played(seed, history);
    println!("seed {seed}:");
    told.iter().for_each(|line| println!("  {line}"));
    broken.iter().for_each(|what| println!("  BROKEN: {what}"));
}
