//! A minimum size during business hours, as many droplets as the queue needs, and the oldest droplet is never deleted.
//!
//! The fleet grows at once: to the floor when business starts, earlier by the boot time of a droplet, and to the size
//! that the queue needs at any time. It shrinks by one droplet at a time, newest first, after `calm_minutes` without a
//! change. While the metric of the queue is missing or stale, the fleet does not shrink.

mod config;

use config::Config;
use doproxy::plugin::types::{Droplet, Phase};
use exports::doproxy::plugin::policy::{
    Decision, Error, Guest, Manifest, Observation, Outcome, Problem, ScaleTo, Signal,
};

wit_bindgen::generate!({ path: "wit", world: "scaling-policy" });

struct BusinessHours;

export!(BusinessHours);

impl Guest for BusinessHours {
    fn describe() -> Manifest {
        Manifest {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: concat!(env!("CARGO_PKG_DESCRIPTION"), ".").to_owned(),
            config_schema: include_str!("schema.json").to_owned(),
            metrics: Vec::new(),
        }
    }

    fn validate(config: String) -> Result<(), Vec<Problem>> {
        let problem = |path: &str, message: String| vec![Problem { path: path.to_owned(), message }];
        let config = Config::parse(&config).map_err(|error| problem("", error))?;
        if config.opens >= config.closes {
            let message = format!("business ends at {}, before it begins at {}", config.closes, config.opens);
            return Err(problem("/closes", message));
        }
        Ok(())
    }

    fn decide(config: String, observation: Observation, _: Vec<u8>) -> Result<Decision, Error> {
        let config = Config::parse(&config).map_err(Error::Failed)?;
        let fleet: Vec<&Droplet> = observation.fleet.iter().filter(|droplet| is_active(droplet.phase)).collect();
        let size = fleet.len() as u32;
        // A droplet that is requested now serves only after it has booted.
        let serves_at = observation.now.saturating_add(observation.boot_time_ms.unwrap_or(0));
        let is_open = config.is_open(observation.now) || config.is_open(serves_at);
        let floor = if is_open { config.floor } else { 0 };
        let waiting = waiting(&config, &observation);
        let queue = waiting.map(|jobs| round_up(jobs / config.jobs_per_droplet));

        let limits = observation.limits;
        let needed = floor.max(queue.unwrap_or(0)).clamp(limits.min, limits.max.max(limits.min));
        let mut signals = vec![signal("floor", f64::from(floor), None, Some(floor))];
        if let (Some(jobs), Some(queue)) = (waiting, queue) {
            signals.push(signal(&config.queue, jobs, Some(config.jobs_per_droplet * f64::from(size)), Some(queue)));
        }
        let hours = match is_open {
            true => format!("in business hours, with a floor of {floor}"),
            false => "after hours".to_owned(),
        };
        let jobs = match queue {
            Some(queue) => format!("the queue needs {queue}"),
            None => format!("{} is missing or stale", config.queue),
        };
        let found = format!("{hours}; {jobs}; the fleet has {size}");

        let decide = |outcome, reason: String| {
            Ok(Decision { outcome, reason, signals: signals.clone(), state: Vec::new(), next_check_ms: None })
        };
        if needed > size {
            return decide(scale_to(needed, Vec::new()), format!("{found}: {needed} are needed"));
        }
        if needed == size {
            return decide(Outcome::Hold, format!("{found}: no change is needed"));
        }
        if queue.is_none() {
            return decide(Outcome::Hold, format!("{found}: it does not shrink blindly"));
        }
        let calm_ms = u64::from(config.calm_minutes) * 60_000;
        let last = observation.last_scale_out.max(observation.last_scale_in).unwrap_or(0);
        if observation.now.saturating_sub(last) < calm_ms {
            let calm = config.calm_minutes;
            return decide(Outcome::Hold, format!("{found}: {needed} would suffice, but {calm} minutes are not over"));
        }
        let leaving = newest_first(&fleet);
        match leaving.first() {
            None => decide(Outcome::Hold, format!("{found}: {needed} would suffice, but the oldest stays")),
            Some(_) => {
                let count = (size - 1).min(limits.max.max(limits.min));
                decide(scale_to(count, leaving), format!("{found}: {needed} would suffice, so one is deleted"))
            }
        }
    }
}

/// Reports whether droplets in this phase count toward the fleet size.
fn is_active(phase: Phase) -> bool {
    matches!(phase, Phase::Requested | Phase::Booting | Phase::Warming | Phase::Serving)
}

/// Returns the number of waiting jobs; `None` if it is unknown.
fn waiting(config: &Config, observation: &Observation) -> Option<f64> {
    let series = observation.metrics.iter().find(|series| series.name == config.queue)?;
    let newest = series.samples.last()?.value;
    (!series.stale && newest.is_finite()).then(|| newest.max(0.0))
}

/// Returns the droplets to delete, newest first: all except the oldest and the protected ones.
fn newest_first(fleet: &[&Droplet]) -> Vec<u64> {
    let mut by_age: Vec<&&Droplet> = fleet.iter().collect();
    // The ID breaks ties between droplets created at the same time.
    by_age.sort_by_key(|droplet| (droplet.created_at, droplet.id));
    by_age.iter().skip(1).rev().filter(|droplet| !droplet.protected).filter_map(|droplet| droplet.id).collect()
}

/// Rounds up; the small difference compensates for division errors.
fn round_up(number: f64) -> u32 {
    (number - 1e-9).ceil().max(0.0) as u32
}

fn scale_to(count: u32, delete_first: Vec<u64>) -> Outcome {
    Outcome::ScaleTo(ScaleTo { count, template: None, delete_first })
}

fn signal(name: &str, value: f64, target: Option<f64>, wants: Option<u32>) -> Signal {
    Signal { name: name.to_owned(), value, target, wants }
}
