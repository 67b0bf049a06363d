//! A tick as it is kept: enough to do it again, and to say why.

use serde::{Deserialize, Serialize};

use super::{Decision, GuardFacts, GuardRules, Observation, OperationId, Plan, Timestamp};

/// The number of a record; counts the ticks of a fleet from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordId(pub u64);

impl std::fmt::Display for RecordId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a policy is acted upon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Acted upon.
    #[default]
    Active,
    /// Asked, and never acted upon.
    Shadow,
}

/// Which rung of the failure ladder an answer stands on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerSource {
    /// The policy answered.
    #[default]
    Primary,
    /// It failed, and the last component that had answered was asked in its place.
    LastGood,
    /// That failed too, or there is none: the fleet is held.
    Hold,
}

/// What one policy was asked and what it answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// What the configuration calls the policy.
    pub policy: String,
    /// Where the component came from.
    pub reference: String,
    /// SHA-256 of the component that gave the answer, in hex.
    pub digest: String,
    /// Its configuration, as JSON text.
    pub config: String,
    /// Whether it is acted upon.
    pub mode: Mode,
    /// Its state before.
    pub state: Vec<u8>,
    /// What counts as its answer: its own decision, or to hold.
    pub decision: Decision,
    /// Where it stands.
    pub answered_by: AnswerSource,
    /// Why the policy itself failed, where it did.
    pub failure: Option<String>,
    /// Fuel that the call took: the same whenever it is repeated.
    pub fuel: u64,
    /// Wall-clock time of the call, in microseconds.
    pub duration_us: u64,
    /// What it logged, a line each.
    pub log: Vec<String>,
}

/// Why there was a tick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// It was time.
    #[default]
    Interval,
    /// A policy had asked to be asked again.
    NextCheck,
    /// The policies or the configuration changed.
    Reload,
    /// Somebody asked for it: `run --once`.
    Manual,
}

/// What came of a tick.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickOutcome {
    /// The operations that were begun.
    pub operations: Vec<OperationId>,
    /// Why the plan, or a part of it, could not be begun.
    pub error: Option<String>,
}

/// A tick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TickRecord {
    /// When.
    pub at: Timestamp,
    /// Why then.
    pub trigger: Trigger,
    /// What was seen.
    pub observation: Observation,
    /// What each policy answered, in the order of the configuration.
    pub evaluations: Vec<Evaluation>,
    /// Whose answer was taken, as an index; `None` where there is no active policy.
    pub selected: Option<u32>,
    /// What the operator wanted held.
    pub rules: GuardRules,
    /// What the host knew beside the observation.
    pub facts: GuardFacts,
    /// What the guard left.
    pub plan: Plan,
    /// What came of it.
    pub outcome: TickOutcome,
}
