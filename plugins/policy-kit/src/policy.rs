//! What a policy is.

use plugin_kit::{Manifest, Problem};

use crate::{Decision, Observation};

/// A scaling policy.
pub trait Policy {
    /// What an operator sets, checked.
    type Config;

    /// What it says of itself.
    const MANIFEST: Manifest;

    /// Reads JSON text that has passed the schema; everything that is wrong in it, where something is.
    fn parse(json: &str) -> Result<Self::Config, Vec<Problem>>;

    /// Decides. It never fails: a policy that lacks something holds the fleet and says why.
    fn decide(config: &Self::Config, observation: &Observation, state: &[u8]) -> Decision;
}
