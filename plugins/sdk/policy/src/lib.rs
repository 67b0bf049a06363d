//! What the first-party scaling policies share.
//!
//! A policy is an implementation of [`Policy`]: a configuration that is read from JSON text, and a pure function from an
//! [`Observation`] to a [`Decision`]. `export_policy!` makes a component of it. Beside that: [`reading`] takes values
//! out of series, [`period`] makes datapoints of them, [`window`] remembers recommendations, [`state`] keeps a memory in
//! bytes, [`numbers`] and [`words`] round and say them alike in all policies.
//!
//! No policy is in here, and nothing that only one of them needs.

pub mod decision;
pub mod numbers;
pub mod observation;
pub mod period;
pub mod policy;
pub mod reading;
pub mod state;
pub mod window;
pub mod words;

#[cfg(target_family = "wasm")]
pub mod guest;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use decision::{Decision, Outcome, Signal};
pub use doproxy_plugin_sdk::{Manifest, Problem, manifest, parse_json, validated};
pub use observation::{Droplet, FleetCapacity, Limits, Load, Observation, Phase, Sample, Series};
pub use policy::{MetricRequirement, Policy};
