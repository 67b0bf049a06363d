//! What a policy is.

use doproxy_plugin_sdk::{Manifest, Problem};

use crate::{Decision, Observation};

/// A series that a policy looks back at, where the host has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricRequirement {
    /// Its name.
    pub name: &'static str,
    /// How far back, in milliseconds.
    pub window_ms: u64,
}

/// A scaling policy.
pub trait Policy {
    /// What an operator sets, checked.
    type Config;

    /// What it says of itself.
    const MANIFEST: Manifest;

    /// What it looks back at; the newest samples of all series are there anyway.
    const METRIC_REQUIREMENTS: &'static [MetricRequirement] = &[];

    /// Reads JSON text that has passed the schema; everything that is wrong in it, where something is.
    fn parse(json: &str) -> Result<Self::Config, Vec<Problem>>;

    /// Decides. It never fails: a policy that lacks something holds the fleet and says why.
    fn decide(config: &Self::Config, observation: &Observation, state: &[u8]) -> Decision;
}
