//! The component: the contract on one side, [`crate::decide`] on the other.

use crate::config::Config;
use crate::decide::{self, Fleet, Reading};
use bindings::doproxy::plugin::types::{Phase, Series};
use bindings::exports::doproxy::plugin::policy::{
    Decision, Error, Guest, Manifest, Observation, Outcome, Problem, ScaleTo, Signal,
};

#[expect(unsafe_code, missing_docs, clippy::all, clippy::pedantic, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit/doproxy-plugin@0.1.0", world: "scaling-policy" });
    use super::TargetTracking;
    export!(TargetTracking);
}

struct TargetTracking;

impl Guest for TargetTracking {
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
        let config = parse(&config).map_err(|problem| vec![problem])?;
        let problems = config.problems();
        if problems.is_empty() {
            return Ok(());
        }
        Err(problems.into_iter().map(|(path, message)| Problem { path, message }).collect())
    }

    fn decide(config: String, observation: Observation, state: Vec<u8>) -> Result<Decision, Error> {
        let config = parse(&config).map_err(|problem| Error::InvalidConfig(vec![problem]))?;
        let decided = decide::decide(&config, &fleet(&observation), &reading(&config, &observation.metrics), &state);
        Ok(Decision {
            outcome: decided.wants.map_or(Outcome::Hold, |count| {
                Outcome::ScaleTo(ScaleTo { count, template: None, delete_first: Vec::new() })
            }),
            reason: decided.reason,
            signals: decided
                .signals
                .into_iter()
                .map(|signal| Signal {
                    name: signal.name,
                    value: signal.value,
                    target: signal.target,
                    wants: signal.wants,
                })
                .collect(),
            state: decided.state,
            next_check_ms: None,
        })
    }
}

fn parse(config: &str) -> Result<Config, Problem> {
    Config::parse(config).map_err(|message| Problem { path: String::new(), message })
}

fn fleet(observation: &Observation) -> Fleet {
    let count = |wanted: fn(Phase, bool) -> bool| {
        let count = observation.fleet.iter().filter(|droplet| wanted(droplet.phase, droplet.healthy)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    };
    Fleet {
        now: observation.now,
        size: count(|phase, _| matches!(phase, Phase::Requested | Phase::Booting | Phase::Warming | Phase::Serving)),
        ready: count(|phase, healthy| phase == Phase::Serving && healthy),
        min: observation.limits.min,
        max: observation.limits.max,
    }
}

fn reading(config: &Config, metrics: &[Series]) -> Reading {
    let series: Vec<&Series> = metrics.iter().filter(|series| series.name == config.metric).collect();
    if series.iter().any(|series| series.stale) {
        return Reading::Stale;
    }
    let newest: Option<Vec<f64>> =
        series.iter().map(|series| series.samples.last().map(|sample| sample.value)).collect();
    Reading::of(newest.unwrap_or_default(), &config.target)
}
