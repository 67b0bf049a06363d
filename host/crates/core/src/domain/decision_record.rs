//! The durable record of a tick: everything needed to replay and explain it.

use serde::{Deserialize, Serialize};

use crate::domain::{Decision, GuardFacts, GuardRules, Observation, OperationId, Plan, Timestamp};

/// The number of a record; counts the ticks of a fleet from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordId(pub u64);

impl std::fmt::Display for RecordId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The mode of a policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The policy's decisions are applied.
    #[default]
    Active,
    /// The policy is evaluated, but its decisions are never applied.
    Shadow,
}

/// The source of an evaluation's decision in the fallback order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerSource {
    /// The configured component.
    #[default]
    Primary,
    /// The last good component, evaluated because the configured one failed.
    LastGood,
    /// No component: the last good one failed too, or there is none, so the fleet is held.
    Hold,
}

/// The input and the decision of one policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The policy's name in the configuration.
    pub policy: String,
    /// The reference that the component was loaded from.
    pub reference: String,
    /// SHA-256 of the component that made the decision, in hex.
    pub digest: String,
    /// The policy's configuration, as JSON text.
    pub config: String,
    /// The mode of the policy.
    pub mode: Mode,
    /// The policy's state before the evaluation.
    pub state: Vec<u8>,
    /// The resulting decision: the policy's own, or a hold.
    pub decision: Decision,
    /// The source of the decision.
    pub answered_by: AnswerSource,
    /// The failure of the configured component, if it failed.
    pub failure: Option<String>,
    /// Fuel consumed by the call: identical on every replay.
    pub fuel: u64,
    /// Wall-clock time of the call, in microseconds.
    pub duration_us: u64,
    /// The log lines of the policy.
    pub log: Vec<String>,
}

impl Evaluation {
    /// Returns the decision if the policy is active; a shadow policy's decision never counts.
    pub fn active_decision(&self) -> Option<&Decision> {
        (self.mode == Mode::Active).then_some(&self.decision)
    }
}

/// The trigger of a tick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// The regular interval elapsed.
    #[default]
    Interval,
    /// A policy had requested an earlier evaluation.
    NextCheck,
    /// The policies or the configuration changed.
    Reload,
    /// An operator requested it with `run --once`.
    Manual,
}

/// The result of a tick.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickOutcome {
    /// The operations that were started.
    pub operations: Vec<OperationId>,
    /// The reason that the plan, or a part of it, could not be started.
    pub error: Option<String>,
}

/// The record of a tick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TickRecord {
    /// The time of the tick.
    pub at: Timestamp,
    /// The trigger.
    pub trigger: Trigger,
    /// The observation.
    pub observation: Observation,
    /// The evaluation of each policy, in configuration order.
    pub evaluations: Vec<Evaluation>,
    /// The index of the selected evaluation; `None` if there is no active policy.
    pub selected: Option<u32>,
    /// The operator's rules.
    pub rules: GuardRules,
    /// The facts that the host knew besides the observation.
    pub facts: GuardFacts,
    /// The guard's plan.
    pub plan: Plan,
    /// The result.
    pub outcome: TickOutcome,
}
