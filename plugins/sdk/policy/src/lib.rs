//! SDK for scaling policies.
//!
//! A policy is three things: a configuration, its JSON Schema, and a pure function from the configuration, an
//! [`Observation`] and the state of the previous tick to a [`Decision`]. [`export_policy!`] makes a [`Policy`] of them
//! and exports it as a component.
//!
//! # Writing a policy
//!
//! This policy keeps one droplet for every `per_droplet` sessions:
//!
//! ```
//! use doproxy_policy_sdk::numbers::ceil_u32;
//! use doproxy_policy_sdk::reading::Combine;
//! use doproxy_policy_sdk::testing::{ObservationBuilder, decide, problems};
//! use doproxy_policy_sdk::words::format_number;
//! use doproxy_policy_sdk::{Decision, Observation, Outcome, Problem, export_policy, parse_json, validated};
//! use serde::Deserialize;
//!
//! const METRIC: &str = "haproxy.sessions";
//!
//! /// The configuration; the schema describes the same to the host.
//! #[derive(Debug, Deserialize)]
//! #[serde(deny_unknown_fields)]
//! pub struct Config {
//!     /// Sessions per droplet.
//!     pub per_droplet: f64,
//! }
//!
//! impl Config {
//!     /// Parses JSON text that has passed the schema, and checks what the schema cannot express.
//!     pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
//!         let config: Self = parse_json(json)?;
//!         let mut problems = Vec::new();
//!         if config.per_droplet <= 0.0 {
//!             problems.push(Problem::at("/per_droplet", "must be greater than 0"));
//!         }
//!         validated(config, problems)
//!     }
//! }
//!
//! fn sessions_per_droplet(config: &Config, observation: &Observation, state: &[u8]) -> Decision {
//!     // A policy never fails: if its input is missing or stale, it holds the fleet and gives the reason.
//!     let sessions = match observation.newest(METRIC, Combine::Sum) {
//!         Ok(sessions) => sessions,
//!         Err(error) => return Decision::hold(format!("{METRIC} {error}"), state),
//!     };
//!     let size = observation.limits.clamp(ceil_u32(sessions / config.per_droplet));
//!     let reason = format!("{METRIC} is {}, which needs {size}", format_number(sessions));
//!     Decision { outcome: Outcome::ScaleTo(size), ..Decision::hold(reason, state) }
//! }
//!
//! export_policy! {
//!     /// Follows the sessions.
//!     pub struct FollowSessions;
//!     config: Config,
//!     // Usually include_str!("schema.json").
//!     schema: r#"{"properties": {"per_droplet": {"type": "number"}}, "required": ["per_droplet"]}"#,
//!     decide: sessions_per_droplet,
//! }
//!
//! // Its tests need neither WebAssembly nor a host.
//! let busy = ObservationBuilder::at(0).serving(2).series(METRIC, &[90.0]);
//! let decision = decide::<FollowSessions>(r#"{"per_droplet": 20}"#, busy, b"");
//! assert_eq!(decision.outcome, Outcome::ScaleTo(5));
//! assert_eq!(decision.reason, "haproxy.sessions is 90, which needs 5");
//! assert_eq!(problems::<FollowSessions>(r#"{"per_droplet": 0}"#), ["/per_droplet: must be greater than 0"]);
//! ```
//!
//! A crate with a policy is a `cdylib`, and an `rlib` so that its tests run natively:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]
//!
//! [dependencies]
//! doproxy-policy-sdk.workspace = true
//! serde.workspace = true
//!
//! [dev-dependencies]
//! doproxy-policy-sdk = { workspace = true, features = ["testing"] }
//!
//! [target.'cfg(target_family = "wasm")'.dependencies]
//! wit-bindgen.workspace = true
//! ```
//!
//! # Helpers
//!
//! - [`reading`] reads values from series.
//! - [`period`] aggregates them into datapoints, independent of the time between ticks.
//! - [`window`] stores recommendations, for a scale-in delay.
//! - [`state`] encodes the state that the host passes to the next call.
//! - [`numbers`] and [`words`] round and format consistently across policies.
//! - `testing`, with the feature of the same name, builds observations.
//!
//! This crate contains no policy and nothing that only one policy needs.

pub mod decision;
mod export;
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
