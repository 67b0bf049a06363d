//! Asking the policy. A policy that fails is answered for: hold, and say so.

use std::time::Duration;

use crate::model::{Decision, Observation, Outcome};
use crate::plugin::{Called, LogLine, Policy};

/// A loaded policy with its configuration.
#[derive(Debug)]
pub struct ConfiguredPolicy {
    /// What the configuration calls it.
    pub name: String,
    /// The component.
    pub policy: Policy,
    /// Its configuration, as JSON text.
    pub config: String,
}

/// What a policy answered.
#[derive(Debug)]
pub struct Decided {
    /// What counts: the policy's decision, or to hold where it failed.
    pub decision: Decision,
    /// Why the policy failed, where it did.
    pub failure: Option<String>,
    /// What it logged.
    pub log: Vec<LogLine>,
    /// How long the call took.
    pub duration: Duration,
}

/// Asks `policy` about `observation`, with what it returned last time.
pub async fn decide(policy: &ConfiguredPolicy, observation: &Observation, state: &[u8]) -> Decided {
    match policy.policy.decide(&policy.config, observation, state).await {
        Ok(Called { value: decision, log, stats }) => {
            Decided { decision, failure: None, log, duration: stats.duration }
        }
        Err(error) => Decided {
            decision: Decision {
                outcome: Outcome::Hold,
                reason: format!("the policy {} failed, so the fleet is held", policy.name),
                signals: Vec::new(),
                state: state.to_vec(),
                next_check_ms: None,
            },
            failure: Some(error.to_string()),
            log: Vec::new(),
            duration: Duration::ZERO,
        },
    }
}
