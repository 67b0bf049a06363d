//! Scaling policy that keeps metrics at their targets.
//!
//! For a metric that is a total over the fleet, with a target T for each droplet, a value v needs `ceil(v/T)` droplets.
//! For one that is an average over the droplets, with a target T and n droplets that are ready, it needs `ceil(n·v/T)`.
//! Of several metrics the largest need counts. `ceil` is taken of x − 10⁻⁹, which is what a division may be off by.
//! What becomes of that is the work of a rule, and of what follows on it:
//!
//! - [`ratio`]: a metric within the tolerance of its target needs what is there. Kubernetes' Horizontal Pod Autoscaler
//!   (`pkg/controller/podautoscaler`, `replica_calculator.go` and `horizontal.go`), DigitalOcean, GCE.
//! - [`alarms`]: minutes above the target, or well below it, in a row. AWS target tracking.
//! - [`panic`]: a mean over a minute, and one over seconds that takes over when it doubles. Knative's autoscaler
//!   (`pkg/autoscaler/scaling/autoscaler.go`).
//! - then the window of recommendations and the limits of a step: [`mod@decide`].
//!
//! [`preset`] has the constants of the peers.

pub mod alarms;
pub mod config;
pub mod decide;
pub mod measure;
pub mod panic;
pub mod preset;
pub mod ratio;
mod reason;

use doproxy_policy_sdk::{Decision, Manifest, Observation, Policy, Problem, manifest};

use config::Config;

/// The policy.
#[derive(Debug)]
pub struct TargetTracking;

impl Policy for TargetTracking {
    type Config = Config;

    const MANIFEST: Manifest = manifest!("schema.json");

    fn parse(json: &str) -> Result<Config, Vec<Problem>> {
        Config::parse(json)
    }

    fn decide(config: &Config, observation: &Observation, state: &[u8]) -> Decision {
        decide::decide(config, observation, state)
    }
}

#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "generated")]
mod component {
    doproxy_policy_sdk::export_policy!(super::TargetTracking);
}
