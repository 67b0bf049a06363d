//! The guard's inputs besides the observation: the operator's rules, and facts that policies do not receive.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{DropletName, HourlyPrice, Money, Pauses, Timestamp};

/// The order in which droplets are deleted if the policy does not name them. In every order unhealthy droplets go
/// first, and ties are resolved by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TerminationPolicy {
    /// Droplets whose minimum charge is used up, then those with the fewest sessions, then the newest.
    #[default]
    BilledFirst,
    /// Droplets with the fewest sessions, then the newest.
    LeastSessions,
    /// The newest droplets.
    Newest,
    /// The oldest droplets.
    Oldest,
}

/// The operator's scaling rules besides the bounds that policies receive ([`Limits`](crate::domain::Limits)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuardRules {
    /// Minimum time from the last create to the next.
    pub cooldown_out: Duration,
    /// Minimum time from the last create or delete to the next delete.
    pub cooldown_in: Duration,
    /// The time window within which the largest recommended size is a lower bound for scaling in.
    pub stabilization_window: Duration,
    /// `true` to block a scale-in that would immediately trigger a scale-out.
    pub flap_protection: bool,
    /// Maximum cost of the fleet in a calendar month (UTC).
    pub max_monthly_cost: Option<Money>,
    /// Maximum number of droplets created per hour.
    pub max_create_per_hour: u32,
    /// The order of deletion.
    pub termination_policy: TerminationPolicy,
    /// The time that a formerly serving droplet may be unhealthy before it is replaced; `None` disables replacement.
    pub repair_grace_period: Option<Duration>,
    /// Maximum number of droplets replaced per hour.
    pub max_replace_per_hour: u32,
    /// The minimum fleet size while the policies are failing.
    pub fallback: Option<Fallback>,
}

/// The minimum size of a fleet whose policies fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallback {
    /// Minimum number of droplets.
    pub size: u32,
    /// The time for which the policies must have failed.
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
    /// Returns rules without restrictions, leaving only the observation's limits. For simulations that compare
    /// policies.
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

/// The results of recent creates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateHistory {
    /// Number of creates that were started.
    pub started: u32,
    /// Number of consecutive most recent creates whose droplet did not start.
    pub consecutive_failures: u32,
    /// The start time of the most recent of those.
    pub last_failure: Option<Timestamp>,
}

/// Facts that the host knows at a tick and policies do not receive: together with the observation, enough to run the
/// guard again on the same decision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GuardFacts {
    /// The current pauses.
    pub pauses: Pauses,
    /// The results of creates in the last hour.
    pub creates: CreateHistory,
    /// Number of droplets replaced in the last hour.
    pub replaced: u32,
    /// The recommended sizes within the stabilization window, oldest first, excluding this tick.
    pub recommendations: Vec<(Timestamp, u32)>,
    /// Droplets that are serving but unhealthy, and the time since when this process has observed it.
    pub unhealthy_since: Vec<(DropletName, Timestamp)>,
    /// The account's remaining droplet quota, if known.
    pub remaining_quota: Option<u32>,
    /// The cost of the fleet in the current calendar month.
    pub spent_this_month: Money,
    /// The time since when no active policy has returned a decision; `None` if at least one has.
    pub policies_failing_since: Option<Timestamp>,
    /// The reason that the API is unavailable, if it is.
    pub api_unreachable: Option<String>,
    /// The API's price of one droplet for each size that a policy requests, if the API lists that size.
    #[serde(default)]
    pub prices: Vec<(String, HourlyPrice)>,
    /// `true` if HAProxy was unreachable: load and health of the droplets are unknown or outdated.
    #[serde(default)]
    pub balancer_unreachable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_without_later_facts_are_readable() {
        let mut value = serde_json::to_value(GuardFacts::default()).unwrap();
        for later in ["prices", "balancer_unreachable"] {
            assert!(value.as_object_mut().unwrap().remove(later).is_some(), "{later}");
        }

        assert_eq!(serde_json::from_value::<GuardFacts>(value).unwrap(), GuardFacts::default());
    }
}
