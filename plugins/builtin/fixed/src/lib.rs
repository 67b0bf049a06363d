//! Scaling policy that keeps the fleet at a fixed count.
//!
//! It requests that count within the limits of the fleet, independent of metrics. Combined with other policies it acts
//! as a minimum, because the largest recommendation wins.

use doproxy_policy_sdk::words::format_droplets;
use doproxy_policy_sdk::{Decision, Observation, Outcome, Problem, export_policy, parse_json};
use serde::Deserialize;

export_policy! {
    /// The policy.
    pub struct Fixed;
    config: Config,
    schema: include_str!("schema.json"),
    decide: decide,
}

/// The configuration; `schema.json` describes the same to the host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Number of droplets.
    pub count: u32,
}

impl Config {
    /// Parses JSON text that has passed the schema.
    pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
        parse_json(json)
    }
}

/// Requests the configured count, within the limits of the fleet.
pub fn decide(config: &Config, observation: &Observation, _: &[u8]) -> Decision {
    let Config { count } = *config;
    let bounded = observation.limits.clamp(count);
    let reason = match bounded {
        _ if bounded > count => {
            format!("the fleet is fixed at {}, but must have at least {bounded}", format_droplets(count))
        }
        _ if bounded < count => {
            format!("the fleet is fixed at {}, but may have at most {bounded}", format_droplets(count))
        }
        _ => format!("the fleet is fixed at {}", format_droplets(count)),
    };
    Decision { outcome: Outcome::ScaleTo(bounded), ..Decision::hold(reason, b"") }
}

#[cfg(test)]
mod tests {
    use doproxy_policy_sdk::testing::{ObservationBuilder, decide};

    use super::*;

    #[test]
    fn count_is_requested_at_every_size() {
        for serving in [0, 4, 9] {
            let decided = decide::<Fixed>(r#"{"count": 4}"#, ObservationBuilder::at(0).serving(serving), b"");

            assert_eq!(decided.outcome, Outcome::ScaleTo(4));
            assert_eq!(decided.reason, "the fleet is fixed at 4 droplets");
        }
    }

    #[test]
    fn fleet_limits_take_precedence() {
        for (min, max, size, reason) in [
            (1, 3, 3, "the fleet is fixed at 4 droplets, but may have at most 3"),
            (5, 9, 5, "the fleet is fixed at 4 droplets, but must have at least 5"),
        ] {
            let decided = decide::<Fixed>(r#"{"count": 4}"#, ObservationBuilder::at(0).limits(min, max), b"");

            assert_eq!((decided.outcome, decided.reason.as_str()), (Outcome::ScaleTo(size), reason));
        }
    }
}
