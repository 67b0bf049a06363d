//! Asking the policies, and making one decision of what they answer.
//!
//! A policy that fails is answered for: the last of its components that had answered is asked in its place, and where
//! there is none the fleet is held. The controller goes on, and says so.

use std::sync::Arc;

use crate::model::{AnswerSource, Decision, Evaluation, Mode, Observation, Outcome, Timestamp};
use crate::plugin::{CallOutput, CallUsage, Policy};

/// A loaded policy with its configuration.
#[derive(Debug)]
pub struct ConfiguredPolicy {
    /// What the configuration calls it.
    pub name: String,
    /// Whether it is acted upon.
    pub mode: Mode,
    /// The component.
    pub policy: Policy,
    /// Its configuration, as JSON text.
    pub config: String,
}

impl ConfiguredPolicy {
    /// What tells apart the components and configurations whose memory a state can be.
    pub fn identity(&self) -> String {
        format!("{} {}", self.policy.digest(), self.config)
    }

    /// Asks about `observation`, with what the policy returned last time.
    pub async fn evaluate(&self, observation: &Observation, state: &[u8]) -> Evaluation {
        let answer = |decision, failure: Option<String>, stats: Option<CallUsage>, log| Evaluation {
            policy: self.name.clone(),
            reference: self.policy.reference().to_string(),
            digest: self.policy.digest().to_owned(),
            config: self.config.clone(),
            mode: self.mode,
            state: state.to_vec(),
            decision,
            answered_by: if failure.is_some() { AnswerSource::Hold } else { AnswerSource::Primary },
            failure,
            fuel: stats.map_or(0, |stats| stats.fuel),
            duration_us: stats.map_or(0, |stats| u64::try_from(stats.duration.as_micros()).unwrap_or(u64::MAX)),
            log,
        };
        match self.policy.decide(&self.config, observation, state).await {
            Ok(CallOutput { value, log, usage: stats }) => {
                answer(value, None, Some(stats), log.iter().map(ToString::to_string).collect())
            }
            Err(error) => answer(hold_after_failure(&self.name, state), Some(error.to_string()), None, Vec::new()),
        }
    }
}

fn hold_after_failure(policy: &str, state: &[u8]) -> Decision {
    Decision {
        outcome: Outcome::Hold,
        reason: format!("the policy {policy} failed, so the fleet is held"),
        signals: Vec::new(),
        state: state.to_vec(),
        next_check_ms: None,
    }
}

/// A policy that is wanted and cannot be asked, since it could not be loaded.
#[derive(Debug, Clone)]
pub struct UnavailablePolicy {
    /// What the configuration calls it.
    pub name: String,
    /// Whether it would be acted upon.
    pub mode: Mode,
    /// Where its component should be.
    pub reference: String,
    /// Its configuration, as JSON text.
    pub config: String,
    /// Whose memory its state is: kept until it is there again.
    pub identity: String,
    /// Why it is not there.
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
            decision: hold_after_failure(&self.name, state),
            answered_by: AnswerSource::Hold,
            failure: Some(format!("it could not be loaded: {}", self.why)),
            fuel: 0,
            duration_us: 0,
            log: Vec::new(),
        }
    }
}

/// Who sits there.
#[derive(Debug)]
enum SlotState {
    Loaded(Arc<ConfiguredPolicy>),
    Unavailable(UnavailablePolicy),
}

/// A policy with what it remembers, and with whom to ask when it fails.
#[derive(Debug)]
pub struct PolicySlot {
    slot: SlotState,
    state: Vec<u8>,
    last_good: Option<(Arc<ConfiguredPolicy>, Vec<u8>)>,
    failing_since: Option<Timestamp>,
    failures: u64,
}

impl PolicySlot {
    /// A policy that remembers `state`.
    pub fn new(policy: ConfiguredPolicy, state: Vec<u8>) -> Self {
        Self::with_slot(SlotState::Loaded(Arc::new(policy)), state)
    }

    /// The place of a policy that could not be loaded; `state` is what it remembered.
    pub fn unavailable(missing: UnavailablePolicy, state: Vec<u8>) -> Self {
        Self::with_slot(SlotState::Unavailable(missing), state)
    }

    fn with_slot(sitting: SlotState, state: Vec<u8>) -> Self {
        Self { slot: sitting, state, last_good: None, failing_since: None, failures: 0 }
    }

    /// What the configuration calls the policy.
    pub fn name(&self) -> &str {
        match &self.slot {
            SlotState::Loaded(policy) => &policy.name,
            SlotState::Unavailable(missing) => &missing.name,
        }
    }

    /// The policy, where it could be loaded.
    pub fn policy(&self) -> Option<&ConfiguredPolicy> {
        match &self.slot {
            SlotState::Loaded(policy) => Some(policy),
            SlotState::Unavailable(_) => None,
        }
    }

    /// Whether the policy could not be loaded.
    pub fn is_unavailable(&self) -> bool {
        matches!(self.slot, SlotState::Unavailable(_))
    }

    /// Whether this very policy sits here: the same component from the same place, asked in the same way.
    pub fn holds(&self, other: &ConfiguredPolicy) -> bool {
        let SlotState::Loaded(policy) = &self.slot else { return false };
        policy.name == other.name
            && policy.mode == other.mode
            && policy.policy.reference() == other.policy.reference()
            && policy.identity() == other.identity()
    }

    /// Whose memory [`Seat::state`] is.
    pub fn identity(&self) -> String {
        match &self.slot {
            SlotState::Loaded(policy) => policy.identity(),
            SlotState::Unavailable(missing) => missing.identity.clone(),
        }
    }

    /// What it remembers.
    pub fn state(&self) -> &[u8] {
        &self.state
    }

    /// Since when it fails; `None` where its last answer was its own.
    pub fn failing_since(&self) -> Option<Timestamp> {
        self.failing_since
    }

    /// How often it has failed since this process began.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Puts another component or configuration in its place; the one of before is asked when the new one fails.
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

    /// The policy could be loaded after all. Whoever stood in for it does so again where it fails.
    pub fn load(&mut self, policy: ConfiguredPolicy, state: Vec<u8>) {
        self.slot = SlotState::Loaded(Arc::new(policy));
        self.state = state;
    }

    /// The policy could not be loaded this time either.
    pub fn mark_unavailable(&mut self, why: &str) {
        if let SlotState::Unavailable(missing) = &mut self.slot {
            why.clone_into(&mut missing.why);
        }
    }

    /// Names a component to ask when this one fails: one that had answered in an earlier process.
    pub fn set_last_good(&mut self, policy: ConfiguredPolicy, state: Vec<u8>) {
        self.last_good = Some((Arc::new(policy), state));
    }

    /// Asks the policy, and whoever stands in for it where it fails. Nothing is remembered until [`Seat::remember`].
    pub async fn evaluate(&self, observation: &Observation) -> Evaluation {
        let own = match &self.slot {
            SlotState::Loaded(policy) => policy.evaluate(observation, &self.state).await,
            SlotState::Unavailable(missing) => missing.evaluation(&self.state),
        };
        let Some(failure) = own.failure.clone() else { return own };
        if let Some((last_good, state)) = &self.last_good {
            let answer = last_good.evaluate(observation, state).await;
            if answer.failure.is_none() {
                return Evaluation { answered_by: AnswerSource::LastGood, failure: Some(failure), ..answer };
            }
        }
        own
    }

    /// Keeps what came of [`Seat::ask`] at `now`.
    pub fn record_evaluation(&mut self, answer: &Evaluation, now: Timestamp) {
        match (answer.answered_by, &mut self.last_good) {
            (AnswerSource::Primary, _) => {
                self.state.clone_from(&answer.decision.state);
                self.failing_since = None;
                return;
            }
            (AnswerSource::LastGood, Some((_, state))) => state.clone_from(&answer.decision.state),
            (AnswerSource::LastGood | AnswerSource::Hold, _) => {}
        }
        self.failures += 1;
        self.failing_since = self.failing_since.or(Some(now));
    }
}

/// Whose answer is taken: each is reduced to the fleet size that it leads to, and the largest wins whole. Of equals the
/// first that wants something. `None` where no policy is active.
pub fn select(observation: &Observation, answers: &[Evaluation]) -> Option<usize> {
    let current = observation.size();
    answers
        .iter()
        .enumerate()
        .filter(|(_, answer)| answer.mode == Mode::Active)
        .max_by_key(|(index, answer)| {
            let outcome = &answer.decision.outcome;
            (outcome.size(current), *outcome != Outcome::Hold, std::cmp::Reverse(*index))
        })
        .map(|(index, _)| index)
}

/// The decision of a fleet without an active policy.
pub fn hold_without_policy() -> Decision {
    Decision {
        outcome: Outcome::Hold,
        reason: "no policy is active, so the fleet is kept within its bounds".to_owned(),
        signals: Vec::new(),
        state: Vec::new(),
        next_check_ms: None,
    }
}
