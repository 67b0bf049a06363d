//! What another policy would have decided, on what was seen then. The fleet and its load stay as they were: how they
//! would have gone on is for a simulation to say.

use serde::Serialize;

use super::StoredRecord;
use super::replay::describe_outcome;
use crate::controller::guard::guard;
use crate::model::{Decision, Outcome, RecordId, Timestamp};
use crate::plugin::{CallOutput, Policy};

/// A tick, as it was and as it would have been.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Which record.
    pub id: RecordId,
    /// When.
    pub at: Timestamp,
    /// The size before.
    pub from: u32,
    /// The size that the recorded plan led to.
    pub recorded: u32,
    /// The size that the other policy's answer would have led to, after the same guard.
    pub alternative: u32,
    /// What the other policy wants.
    pub outcome: String,
    /// Why.
    pub reason: String,
    /// Why it failed, where it did.
    pub failure: Option<String>,
}

impl Comparison {
    /// Whether it would have come to something else.
    pub fn differs(&self) -> bool {
        self.recorded != self.alternative
    }
}

/// Another policy, with what it remembers from one record to the next.
#[derive(Debug)]
pub struct WhatIf {
    policy: Policy,
    config: String,
    state: Vec<u8>,
}

impl WhatIf {
    /// A policy that was never asked. `config` is JSON text that it has accepted.
    pub fn new(policy: Policy, config: String) -> Self {
        Self { policy, config, state: Vec::new() }
    }

    /// Asks about the next record.
    pub async fn evaluate(&mut self, recorded: &StoredRecord) -> Comparison {
        let record = &recorded.record;
        let answer = self.policy.decide(&self.config, &record.observation, &self.state).await;
        let (decision, failure) = match answer {
            Ok(CallOutput { value, .. }) => (value, None),
            Err(error) => (hold_after_failure(), Some(error.to_string())),
        };
        if failure.is_none() {
            self.state.clone_from(&decision.state);
        }
        let plan = guard(&record.observation, &decision, &record.rules, &record.facts);
        Comparison {
            id: recorded.id,
            at: record.at,
            from: record.plan.from,
            recorded: record.plan.to,
            alternative: plan.to,
            outcome: describe_outcome(&decision.outcome),
            reason: decision.reason,
            failure,
        }
    }
}

fn hold_after_failure() -> Decision {
    Decision {
        outcome: Outcome::Hold,
        reason: "it failed, so the fleet is held".to_owned(),
        signals: Vec::new(),
        state: Vec::new(),
        next_check_ms: None,
    }
}
