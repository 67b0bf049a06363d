//! Evaluates a different policy on recorded observations. The fleet and its load stay as recorded; their further course
//! under that policy requires a simulation.

use doproxy_core::domain::{Decision, RecordId, Timestamp};
use doproxy_core::pipeline::evaluate;
use doproxy_plugin_host::{CallOutput, Policy};
use serde::Serialize;

use crate::reader::StoredRecord;
use crate::replay::describe_outcome;

/// A tick as recorded and as it would have been.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The record's number.
    pub id: RecordId,
    /// The time of the tick.
    pub at: Timestamp,
    /// The previous size.
    pub from: u32,
    /// The size that the recorded plan led to.
    pub recorded: u32,
    /// The size that the other policy's decision would have led to, after the same guard.
    pub alternative: u32,
    /// The other policy's decision.
    pub outcome: String,
    /// The reason of its decision.
    pub reason: String,
    /// The error, if it failed.
    pub failure: Option<String>,
}

impl Comparison {
    /// Reports whether the resulting size differs.
    pub fn differs(&self) -> bool {
        self.recorded != self.alternative
    }
}

/// A different policy, with the state that it carries from one record to the next.
#[derive(Debug)]
pub struct WhatIf {
    policy: Policy,
    config: String,
    state: Vec<u8>,
}

impl WhatIf {
    /// Creates a comparison with a policy without state. `config` is JSON text that the policy has accepted.
    pub fn new(policy: Policy, config: String) -> Self {
        Self { policy, config, state: Vec::new() }
    }

    /// Evaluates the policy on the next record.
    pub async fn evaluate(&mut self, recorded: &StoredRecord) -> Comparison {
        let record = &recorded.record;
        let result = self.policy.decide(&self.config, &record.observation, &self.state).await;
        let (decision, failure) = match result {
            Ok(CallOutput { value, .. }) => (value, None),
            Err(error) => {
                (Decision::hold_after_failure(&self.policy.reference().to_string(), &[]), Some(error.to_string()))
            }
        };
        if failure.is_none() {
            self.state.clone_from(&decision.state);
        }
        let plan = evaluate(&record.observation, [Some(&decision)], &record.rules, &record.facts).plan;
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
