//! The interface of a policy.

use doproxy_plugin_sdk::{Manifest, Problem};

use crate::{Decision, Observation};

/// A series whose history a policy reads, if the host has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricRequirement {
    /// Its name.
    pub name: &'static str,
    /// Length of the history, in milliseconds.
    pub window_ms: u64,
}

/// A scaling policy.
pub trait Policy {
    /// The validated configuration.
    type Config;

    /// The plugin's description of itself.
    const MANIFEST: Manifest;

    /// The required history; the newest samples of all series are always available.
    const METRIC_REQUIREMENTS: &'static [MetricRequirement] = &[];

    /// Parses JSON text that has passed the schema, or returns all problems in it.
    fn parse(json: &str) -> Result<Self::Config, Vec<Problem>>;

    /// Decides. It never fails: a policy with missing input holds the fleet and gives the reason.
    fn decide(config: &Self::Config, observation: &Observation, state: &[u8]) -> Decision;
}
