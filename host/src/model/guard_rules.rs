//! What the guard is told beside the observation: the operator's rules, and facts that no policy sees.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{DropletName, HourlyPrice, Money, Pauses, Timestamp};

/// The order in which droplets leave when the policy does not name them. In each, those that are unhealthy go first,
/// and among equals the name decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TerminationPolicy {
    /// Those whose minimum charge is used up, then those with the fewest sessions, then the newest.
    #[default]
    BilledFirst,
    /// Those with the fewest sessions, then the newest.
    LeastSessions,
    /// The newest.
    Newest,
    /// The oldest.
    Oldest,
}

/// What the operator wants held, beside the bounds that policies are told of ([`Limits`](super::Limits)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuardRules {
    /// Least time from the last create to the next.
    pub cooldown_out: Duration,
    /// Least time from the last create or delete to the next delete.
    pub cooldown_in: Duration,
    /// A fleet shrinks to no less than the largest size that was wanted within this time.
    pub stabilization_window: Duration,
    /// Whether a scale-in that would at once ask for the opposite is cut.
    pub flap_protection: bool,
    /// Most that the fleet may cost in a calendar month (UTC).
    pub max_monthly_cost: Option<Money>,
    /// Most droplets that are created in an hour.
    pub max_create_per_hour: u32,
    /// Whom to delete first.
    pub termination_policy: TerminationPolicy,
    /// How long a droplet that served may be unhealthy before it is replaced; `None` for never.
    pub repair_grace_period: Option<Duration>,
    /// Most droplets that are replaced in an hour.
    pub max_replace_per_hour: u32,
    /// What the fleet is kept at when its policies have failed for some time.
    pub fallback: Option<Fallback>,
}

/// The floor of a fleet whose policies fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallback {
    /// Fewest droplets then.
    pub size: u32,
    /// How long the policies have to fail before.
    pub after: Duration,
}

impl Default for GuardRules {
    fn default() -> Self {
        Self {
            cooldown_out: Duration::ZERO,
            cooldown_in: Duration::from_mins(1),
            stabilization_window: Duration::from_mins(1),
            flap_protection: true,
            max_monthly_cost: None,
            max_create_per_hour: 120,
            termination_policy: TerminationPolicy::default(),
            repair_grace_period: Some(Duration::from_mins(3)),
            max_replace_per_hour: 6,
            fallback: None,
        }
    }
}

impl GuardRules {
    /// Rules that hold nothing: what is left is the observation's limits. For simulations that compare policies.
    pub fn unrestricted() -> Self {
        Self {
            cooldown_out: Duration::ZERO,
            cooldown_in: Duration::ZERO,
            stabilization_window: Duration::ZERO,
            flap_protection: false,
            max_monthly_cost: None,
            max_create_per_hour: u32::MAX,
            termination_policy: TerminationPolicy::default(),
            repair_grace_period: None,
            max_replace_per_hour: 0,
            fallback: None,
        }
    }
}

/// How creates went since some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateHistory {
    /// How many were begun.
    pub started: u32,
    /// How many of the last ones in a row ended with a droplet that did not come up.
    pub consecutive_failures: u32,
    /// When the last of those began.
    pub last_failure: Option<Timestamp>,
}

/// What the host knows at a tick and no policy is told: enough, with the observation, to guard the decision again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GuardFacts {
    /// What is paused.
    pub pauses: Pauses,
    /// How creates of the last hour went.
    pub creates: CreateHistory,
    /// Droplets that were replaced in the last hour.
    pub replaced: u32,
    /// The sizes that were wanted within the stabilisation window, oldest first, without that of this tick.
    pub recommendations: Vec<(Timestamp, u32)>,
    /// Droplets that serve and are unhealthy, and since when this process has seen that.
    pub unhealthy_since: Vec<(DropletName, Timestamp)>,
    /// How many more droplets the account may have, where that is known.
    pub remaining_quota: Option<u32>,
    /// What the fleet has cost in this calendar month so far.
    pub spent_this_month: Money,
    /// Since when not one active policy has answered; `None` where one does.
    pub policies_failing_since: Option<Timestamp>,
    /// Why nothing can be done at the API now, where that is so.
    pub api_unreachable: Option<String>,
    /// What the API asks for one droplet of each size that a policy wants, where it lists that size.
    #[serde(default)]
    pub prices: Vec<(String, HourlyPrice)>,
    /// HAProxy did not answer: who is busy and who is healthy is not known, or was so before.
    #[serde(default)]
    pub balancer_unreachable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_records_from_before_a_fact_was_told_are_read() {
        let mut told = serde_json::to_value(GuardFacts::default()).unwrap();
        for later in ["prices", "balancer_silent"] {
            assert!(told.as_object_mut().unwrap().remove(later).is_some(), "{later}");
        }

        assert_eq!(serde_json::from_value::<GuardFacts>(told).unwrap(), GuardFacts::default());
    }
}
