//! The component: the contract on one side, [`Policy`] on the other. Only conversions are in here.

use std::marker::PhantomData;

use crate::observation as seen;
use crate::{Decision as Decided, Outcome as Wanted, Policy, Problem as Wrong};
use bindings::doproxy::plugin::types as contract;
use bindings::exports::doproxy::plugin::policy::{
    Decision, Error, Guest, Manifest, Observation, Outcome, Problem, ScaleTo, Signal,
};

#[expect(unsafe_code, missing_docs, clippy::all, clippy::pedantic, reason = "generated")]
pub mod bindings {
    //! The contract as wit-bindgen reads it.
    wit_bindgen::generate!({
        path: "../../../wit/doproxy-plugin@0.1.0",
        world: "scaling-policy",
        pub_export_macro: true,
        export_macro_name: "export_scaling_policy",
    });
}

/// Makes the component of a crate out of a [`Policy`].
#[macro_export]
macro_rules! export_policy {
    ($policy:ty) => {
        type Component = $crate::guest::Component<$policy>;
        $crate::guest::bindings::export_scaling_policy!(Component with_types_in $crate::guest::bindings);
    };
}

/// A policy as a component.
#[derive(Debug)]
pub struct Component<P>(PhantomData<P>);

impl<P: Policy + 'static> Guest for Component<P> {
    fn describe() -> Manifest {
        let manifest = P::MANIFEST;
        Manifest {
            name: manifest.name.to_owned(),
            version: manifest.version.to_owned(),
            description: manifest.description.to_owned(),
            config_schema: manifest.config_schema.to_owned(),
            metrics: P::METRIC_REQUIREMENTS
                .iter()
                // Which series a policy reads is set by its configuration, so none is required.
                .map(|requirement| contract::MetricNeed {
                    name: requirement.name.to_owned(),
                    window_ms: requirement.window_ms,
                    required: false,
                })
                .collect(),
        }
    }

    fn validate(config: String) -> Result<(), Vec<Problem>> {
        P::parse(&config).map(drop).map_err(problems)
    }

    fn decide(config: String, observation: Observation, state: Vec<u8>) -> Result<Decision, Error> {
        let config = P::parse(&config).map_err(|wrong| Error::InvalidConfig(problems(wrong)))?;
        Ok(to_contract_decision(P::decide(&config, &from_contract_observation(observation), &state)))
    }
}

fn problems(wrong: Vec<Wrong>) -> Vec<Problem> {
    wrong.into_iter().map(|Wrong { path, message }| Problem { path, message }).collect()
}

fn to_contract_decision(decided: Decided) -> Decision {
    let signal = |signal: crate::Signal| Signal {
        name: signal.name,
        value: signal.value,
        target: signal.target,
        wants: signal.wants,
    };
    // The host refuses what is no finite number, and a decision is worth more than a number behind it.
    let is_finite = |signal: &crate::Signal| signal.value.is_finite() && signal.target.is_none_or(f64::is_finite);
    Decision {
        outcome: match decided.outcome {
            Wanted::Hold => Outcome::Hold,
            Wanted::ScaleTo(count) => {
                Outcome::ScaleTo(ScaleTo { count, template: None, delete_first: decided.delete_first })
            }
        },
        reason: decided.reason,
        signals: decided.signals.into_iter().filter(is_finite).map(signal).collect(),
        state: decided.state,
        next_check_ms: None,
    }
}

fn from_contract_observation(observation: Observation) -> seen::Observation {
    seen::Observation {
        now: observation.now,
        fleet: observation.fleet.into_iter().map(from_contract_droplet).collect(),
        metrics: observation.metrics.into_iter().map(from_contract_series).collect(),
        limits: seen::Limits { min: observation.limits.min, max: observation.limits.max },
        boot_time_ms: observation.boot_time_ms,
    }
}

fn from_contract_droplet(droplet: contract::Droplet) -> seen::Droplet {
    seen::Droplet {
        id: droplet.id,
        phase: match droplet.phase {
            contract::Phase::Requested => seen::Phase::Requested,
            contract::Phase::Booting => seen::Phase::Booting,
            contract::Phase::Warming => seen::Phase::Warming,
            contract::Phase::Serving => seen::Phase::Serving,
            contract::Phase::Draining => seen::Phase::Draining,
            contract::Phase::Deleting => seen::Phase::Deleting,
        },
        phase_since: droplet.phase_since,
        paid_until: droplet.paid_until,
        healthy: droplet.healthy,
        load: droplet.load.map(|load| seen::Load {
            sessions: load.sessions,
            max_sessions: load.max_sessions,
            queued: load.queued,
            requests_per_second: load.requests_per_second,
            response_time_ms: load.response_time_ms,
        }),
    }
}

fn from_contract_series(series: contract::Series) -> seen::Series {
    seen::Series {
        name: series.name,
        interval_ms: series.interval_ms,
        stale: series.stale,
        samples: series.samples.into_iter().map(|sample| seen::Sample { at: sample.at, value: sample.value }).collect(),
    }
}
