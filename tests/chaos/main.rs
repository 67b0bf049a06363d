//! No crash loses, leaks or duplicates a droplet: the production controller on the simulated cloud, in virtual time,
//! crashed at every point, and driven through thousands of random histories.
//!
//! `cargo test --test chaos` runs everything; `-- --seed N` runs one history and prints it, `-- --seeds N` runs N of
//! them, `-- crash_points` and `-- seeds` select one of the two. A failing history is printed in the shortest form
//! found.
//!
//! The target has its own `main` because it runs itself as a child: crash points are tested with a real `abort` in a
//! real process.

#![allow(clippy::pedantic, reason = "small numbers are cast and chances are drawn, in a test")]

mod crash_points;
mod fleet;
mod invariants;
mod seeds;
mod service;
mod steps;
mod watched;

use std::process::ExitCode;

/// The parsed arguments.
#[derive(Debug, Default)]
struct Arguments {
    seed: Option<u64>,
    seeds: Option<u64>,
    filters: Vec<String>,
    list: bool,
}

impl Arguments {
    fn parse(arguments: impl Iterator<Item = String>) -> Self {
        let mut options = Self::default();
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--seed" => options.seed = arguments.next().and_then(|seed| seed.parse().ok()),
                "--seeds" => options.seeds = arguments.next().and_then(|seeds| seeds.parse().ok()),
                "--list" => options.list = true,
                // All other options of the test runner are ignored.
                other if other.starts_with('-') => {}
                filter => options.filters.push(filter.to_owned()),
            }
        }
        options
    }

    fn selects(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter.as_str()))
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.peek().is_some_and(|first| first == crash_points::CHILD) {
        return crash_points::child(arguments.skip(1).collect());
    }
    let options = Arguments::parse(arguments);
    if options.list {
        return ExitCode::SUCCESS;
    }
    let from_environment = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    if let Some(seed) = options.seed.or_else(|| from_environment("DOPROXY_SEED")) {
        return seeds::run_seed(seed);
    }
    let mut failed = false;
    if options.selects("crash_points") && options.seeds.is_none() {
        failed |= !crash_points::enumerate();
    }
    if options.selects("seeds") {
        failed |= !seeds::run_seeds(options.seeds.or_else(|| from_environment("DOPROXY_SEEDS")).unwrap_or(2_000));
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
