//! Scaling policy that keeps the fleet at its current size.
//!
//! Its decision is always hold, with the operator's note as the reason. The host still enforces the limits of the
//! fleet. Combined with other policies it blocks scale-in, because the largest recommendation wins, but allows
//! scale-out.

use doproxy_policy_sdk::{Decision, Observation, Problem, export_policy, parse_json};
use serde::Deserialize;

export_policy! {
    /// The policy.
    pub struct Hold;
    config: Config,
    schema: include_str!("schema.json"),
    decide: decide,
}

/// The configuration; `schema.json` describes the same to the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The reason.
    pub note: Option<String>,
}

impl Config {
    /// Parses JSON text that has passed the schema.
    pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
        parse_json(json)
    }
}

/// Holds, with the note as the reason.
pub fn decide(config: &Config, _: &Observation, state: &[u8]) -> Decision {
    let note = config.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
    Decision::hold(format!("the policy always holds{note}"), state)
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
