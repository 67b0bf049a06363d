//! Scaling policy that keeps the fleet at a count.
//!
//! Its answer is that count within the bounds of the fleet, whatever the metrics say. Beside other policies it is a
//! floor, since the largest wish counts.

use doproxy_policy_sdk::words::format_droplets;
use doproxy_policy_sdk::{Decision, Manifest, Observation, Outcome, Policy, Problem, manifest, parse_json};
use serde::Deserialize;

/// The policy.
#[derive(Debug)]
pub struct Fixed;

/// What an operator sets; `schema.json` says the same to the host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How many droplets.
    pub count: u32,
}

impl Policy for Fixed {
    type Config = Config;

    const MANIFEST: Manifest = manifest!("schema.json");

    fn parse(json: &str) -> Result<Config, Vec<Problem>> {
        parse_json(json)
    }

    fn decide(config: &Config, observation: &Observation, _: &[u8]) -> Decision {
        let Config { count } = *config;
        let bounded = observation.limits.clamp(count);
        let reason = match bounded {
            _ if bounded > count => {
                format!("the fleet is fixed at {}, and has at least {bounded}", format_droplets(count))
            }
            _ if bounded < count => {
                format!("the fleet is fixed at {}, and has at most {bounded}", format_droplets(count))
            }
            _ => format!("the fleet is fixed at {}", format_droplets(count)),
        };
        Decision { outcome: Outcome::ScaleTo(bounded), ..Decision::hold(reason, b"") }
    }
}

#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "generated")]
mod component {
    doproxy_policy_sdk::export_policy!(super::Fixed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use doproxy_policy_sdk::testing::{ObservationBuilder, decide};

    #[test]
    fn the_count_is_wanted_at_every_size() {
        for serving in [0, 4, 9] {
            let decided = decide::<Fixed>(r#"{"count": 4}"#, ObservationBuilder::at(0).serving(serving), b"");

            assert_eq!(decided.outcome, Outcome::ScaleTo(4));
            assert_eq!(decided.reason, "the fleet is fixed at 4 droplets");
        }
    }

    #[test]
    fn the_bounds_of_the_fleet_go_before_it() {
        for (min, max, size, reason) in [
            (1, 3, 3, "the fleet is fixed at 4 droplets, and has at most 3"),
            (5, 9, 5, "the fleet is fixed at 4 droplets, and has at least 5"),
        ] {
            let decided = decide::<Fixed>(r#"{"count": 4}"#, ObservationBuilder::at(0).limits(min, max), b"");

            assert_eq!((decided.outcome, decided.reason.as_str()), (Outcome::ScaleTo(size), reason));
        }
    }
}
