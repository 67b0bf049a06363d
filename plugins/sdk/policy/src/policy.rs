//! The interface of a policy.

use doproxy_plugin_sdk::{Manifest, Problem};

use crate::{Decision, Observation};

/// A series whose history a policy reads, if the host has it.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::MetricRequirement;
///
/// const LAST_HOUR: MetricRequirement = MetricRequirement { name: "haproxy.sessions", window_ms: 3_600_000 };
///
/// assert_eq!(LAST_HOUR.window_ms / 1000, 3600);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricRequirement {
    /// Its name.
    pub name: &'static str,
    /// Length of the history, in milliseconds.
    pub window_ms: u64,
}

/// A scaling policy; [`export_policy!`](crate::export_policy!) implements it.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::testing::{ObservationBuilder, decide};
/// use doproxy_policy_sdk::{Decision, Manifest, Observation, Outcome, Policy, Problem, manifest};
///
/// /// The largest size, without a configuration, implemented by hand.
/// struct Largest;
///
/// impl Policy for Largest {
///     type Config = ();
///
///     const MANIFEST: Manifest = manifest!(r#"{"type": "object", "additionalProperties": false}"#);
///
///     fn parse(_: &str) -> Result<(), Vec<Problem>> {
///         Ok(())
///     }
///
///     fn decide((): &(), observation: &Observation, state: &[u8]) -> Decision {
///         let outcome = Outcome::ScaleTo(observation.limits.max);
///         Decision { outcome, ..Decision::hold("the fleet is as large as allowed", state) }
///     }
/// }
///
/// let decision = decide::<Largest>("{}", ObservationBuilder::at(0).limits(1, 6), b"");
/// assert_eq!(decision.outcome, Outcome::ScaleTo(6));
/// ```
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
