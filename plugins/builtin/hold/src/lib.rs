//! Scaling policy that keeps the fleet at its current size.
//!
//! Its decision is always hold, with the operator's note as the reason. The host still enforces the limits of the
//! fleet. Combined with other policies it blocks scale-in, because the largest recommendation wins, but allows
//! scale-out.

use doproxy_policy_sdk::{Decision, Manifest, Observation, Policy, Problem, manifest, parse_json};
use serde::Deserialize;

/// The policy.
#[derive(Debug)]
pub struct Hold;

/// The configuration; `schema.json` describes the same to the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The reason.
    pub note: Option<String>,
}

impl Policy for Hold {
    type Config = Config;

    const MANIFEST: Manifest = manifest!("schema.json");

    fn parse(json: &str) -> Result<Config, Vec<Problem>> {
        parse_json(json)
    }

    fn decide(config: &Config, _: &Observation, state: &[u8]) -> Decision {
        let note = config.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
        Decision::hold(format!("the policy always holds{note}"), state)
    }
}

#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "generated")]
mod component {
    doproxy_policy_sdk::export_policy!(super::Hold);
}

#[cfg(test)]
mod tests {
    use doproxy_policy_sdk::Outcome;
    use doproxy_policy_sdk::testing::{ObservationBuilder, decide, problems};

    use super::*;

    #[test]
    fn fleet_is_held_under_any_load() {
        for scene in [ObservationBuilder::at(0), ObservationBuilder::at(u64::MAX).serving(7).booting(2).limits(9, 1)] {
            let decided = decide::<Hold>("{}", scene, b"anything");

            assert_eq!(decided.outcome, Outcome::Hold);
            assert_eq!(decided.reason, "the policy always holds");
            assert_eq!(decided.state, b"anything");
        }
    }

    #[test]
    fn note_becomes_the_reason() {
        let decided = decide::<Hold>(r#"{"note": "the sale begins at noon"}"#, ObservationBuilder::at(0), b"");

        assert_eq!(decided.reason, "the policy always holds: the sale begins at noon");
        assert_eq!(problems::<Hold>(r#"{"notes": "x"}"#).len(), 1);
    }
}
