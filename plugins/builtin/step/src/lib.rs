//! Scaling policy that changes the fleet by steps when an alarm rings, by the rules of AWS step scaling.
//!
//! An alarm watches a metric m against a threshold t, in datapoints that are means over a period (60 s). It rings while
//! `datapoints` of the last `of` breach it: m ≥ t for one that looks above, m ≤ t for one that looks below. The step
//! that holds d = m − t of the newest datapoint says what to do. Above, a step holds `from ≤ d < to`; below,
//! `from < d ≤ to`. With b droplets that have come up:
//!
//! | adjustment | leads to |
//! | --- | --- |
//! | `change` | b + by |
//! | `exact` | by |
//! | `percent` | b + r(b·by/100), where r rounds towards 0, to 1 between 0 and 1 and to −1 between −1 and 0, and is then made as large as `min_magnitude` |
//!
//! Droplets that come up or warm up count as what an earlier step did already: the fleet grows to the larger of its size
//! and what the step leads to, so the same step again does nothing, and a higher one adds the difference. While droplets
//! come up, no step shrinks the fleet. Of several alarms that ring, the largest size counts.
//!
//! Source: Amazon EC2 Auto Scaling User Guide, "Step and simple scaling policies"; the defaults of 3 of 3 and 15 of 15
//! datapoints are those of the alarms that AWS makes for target tracking.

pub mod adjust;
pub mod alarm;
pub mod config;
pub mod decide;

use doproxy_policy_sdk::{Decision, Manifest, Observation, Policy, Problem, manifest};

use config::Config;

/// The policy.
#[derive(Debug)]
pub struct Step;

impl Policy for Step {
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
    doproxy_policy_sdk::export_policy!(super::Step);
}
