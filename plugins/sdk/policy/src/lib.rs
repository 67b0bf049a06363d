//! SDK for scaling policies.
//!
//! A policy implements [`Policy`]: a configuration parsed from JSON text, and a pure function from an [`Observation`]
//! to a [`Decision`]. `export_policy!` exports it as a component. Helpers: [`reading`] reads values from series,
//! [`period`] aggregates them into datapoints, [`window`] stores recommendations, [`state`] encodes the state,
//! [`numbers`] and [`words`] round and format consistently across policies.
//!
//! This crate contains no policy and nothing that only one policy needs.

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
