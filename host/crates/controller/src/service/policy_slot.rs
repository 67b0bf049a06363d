//! Evaluates a configured policy, with a fallback for when it fails.
//!
//! If a policy fails, its last good component is evaluated in its place; if it has none, the fleet is held. The
//! controller continues and reports the failure.

use std::sync::Arc;

use doproxy_core::domain::{AnswerSource, Decision, Evaluation, Mode, Observation, Timestamp};
use doproxy_plugin_host::ConfiguredPolicy;

/// A configured policy that cannot be evaluated because it failed to load.
#[derive(Debug, Clone)]
pub struct UnavailablePolicy {
    /// The name in the configuration.
    pub name: String,
    /// Active or shadow mode.
    pub mode: Mode,
    /// The reference from which the component failed to load.
    pub reference: String,
    /// The policy's configuration, as JSON text.
    pub config: String,
    /// The identity to which the stored state belongs; kept until the policy is available again.
    pub identity: String,
    /// The load error.
    pub why: String,
}

impl UnavailablePolicy {
    fn evaluation(&self, state: &[u8]) -> Evaluation {
        Evaluation {
            policy: self.name.clone(),
            reference: self.reference.clone(),
            digest: String::new(),
            config: self.config.clone(),
            mode: self.mode,
            state: state.to_vec(),
            decision: Decision::hold_after_failure(&self.name, state),
            answered_by: AnswerSource::Hold,
            failure: Some(format!("failed to load: {}", self.why)),
            fuel: 0,
            duration_us: 0,
            log: Vec::new(),
        }
    }
}

/// The content of a slot.
#[derive(Debug)]
enum SlotState {
    Loaded(Arc<ConfiguredPolicy>),
    Unavailable(UnavailablePolicy),
}

/// A policy with its state and its fallback component.
#[derive(Debug)]
pub struct PolicySlot {
    slot: SlotState,
    state: Vec<u8>,
    last_good: Option<(Arc<ConfiguredPolicy>, Vec<u8>)>,
    failing_since: Option<Timestamp>,
    failures: u64,
}

impl PolicySlot {
    /// Creates a slot for a policy with the given state.
    pub fn new(policy: ConfiguredPolicy, state: Vec<u8>) -> Self {
        Self::with_slot(SlotState::Loaded(Arc::new(policy)), state)
    }

    /// Creates a slot for a policy that failed to load; `state` is its stored state.
    pub fn unavailable(missing: UnavailablePolicy, state: Vec<u8>) -> Self {
        Self::with_slot(SlotState::Unavailable(missing), state)
    }

    fn with_slot(slot: SlotState, state: Vec<u8>) -> Self {
        Self { slot, state, last_good: None, failing_since: None, failures: 0 }
    }

    /// The name of the policy in the configuration.
    pub fn name(&self) -> &str {
        match &self.slot {
            SlotState::Loaded(policy) => &policy.name,
            SlotState::Unavailable(missing) => &missing.name,
        }
    }

    /// The policy, if it is loaded.
    pub fn policy(&self) -> Option<&ConfiguredPolicy> {
        match &self.slot {
            SlotState::Loaded(policy) => Some(policy),
            SlotState::Unavailable(_) => None,
        }
    }

    /// Reports whether the policy failed to load.
    pub fn is_unavailable(&self) -> bool {
        matches!(self.slot, SlotState::Unavailable(_))
    }

    /// Reports whether the slot holds exactly this policy: the same component from the same reference, with the same
    /// configuration and mode.
    pub fn holds(&self, other: &ConfiguredPolicy) -> bool {
        let SlotState::Loaded(policy) = &self.slot else { return false };
        policy.name == other.name
            && policy.mode == other.mode
            && policy.policy.reference() == other.policy.reference()
            && policy.identity() == other.identity()
    }

    /// The identity to which [`PolicySlot::state`] belongs.
    pub fn identity(&self) -> String {
        match &self.slot {
            SlotState::Loaded(policy) => policy.identity(),
            SlotState::Unavailable(missing) => missing.identity.clone(),
        }
    }

    /// The policy's state.
    pub fn state(&self) -> &[u8] {
        &self.state
    }

    /// The time since which the policy has been failing; `None` if its last evaluation succeeded.
    pub fn failing_since(&self) -> Option<Timestamp> {
        self.failing_since
    }

    /// Number of failures since this process started.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Replaces the component or configuration; the previous one becomes the fallback.
    pub fn replace(&mut self, policy: ConfiguredPolicy, state: Vec<u8>) {
        let before = std::mem::replace(&mut self.slot, SlotState::Loaded(Arc::new(policy)));
        let before_state = std::mem::replace(&mut self.state, state);
        if let SlotState::Loaded(before) = before
            && self.failing_since.is_none()
        {
            self.last_good = Some((before, before_state));
        }
        self.failing_since = None;
    }

    /// Fills the slot with a policy that has now been loaded. The fallback component stays in place.
    pub fn load(&mut self, policy: ConfiguredPolicy, state: Vec<u8>) {
        self.slot = SlotState::Loaded(Arc::new(policy));
        self.state = state;
    }

    /// Updates the load error after another failed attempt.
    pub fn mark_unavailable(&mut self, why: &str) {
        if let SlotState::Unavailable(missing) = &mut self.slot {
            why.clone_into(&mut missing.why);
        }
    }

    /// Sets the fallback component: one that succeeded in an earlier process.
    pub fn set_last_good(&mut self, policy: ConfiguredPolicy, state: Vec<u8>) {
        self.last_good = Some((Arc::new(policy), state));
    }

    /// Evaluates the policy, or its fallback component if that fails. No state changes until
    /// [`PolicySlot::record_evaluation`].
    pub async fn evaluate(&self, observation: &Observation) -> Evaluation {
        let own = match &self.slot {
            SlotState::Loaded(policy) => policy.evaluate(observation, &self.state).await,
            SlotState::Unavailable(missing) => missing.evaluation(&self.state),
        };
        let Some(failure) = own.failure.clone() else { return own };
        if let Some((last_good, state)) = &self.last_good {
            let evaluation = last_good.evaluate(observation, state).await;
            if evaluation.failure.is_none() {
                return Evaluation { answered_by: AnswerSource::LastGood, failure: Some(failure), ..evaluation };
            }
        }
        own
    }

    /// Records the result of [`PolicySlot::evaluate`] at `now`.
    pub fn record_evaluation(&mut self, evaluation: &Evaluation, now: Timestamp) {
        match (evaluation.answered_by, &mut self.last_good) {
            (AnswerSource::Primary, _) => {
                self.state.clone_from(&evaluation.decision.state);
                self.failing_since = None;
                return;
            }
            (AnswerSource::LastGood, Some((_, state))) => state.clone_from(&evaluation.decision.state),
            (AnswerSource::LastGood | AnswerSource::Hold, _) => {}
        }
        self.failures += 1;
        self.failing_since = self.failing_since.or(Some(now));
    }
}
