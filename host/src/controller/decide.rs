//! Asking the policies, and making one decision of what they answer.
//!
//! A policy that fails is answered for: the last of its components that had answered is asked in its place, and where
//! there is none the fleet is held. The controller goes on, and says so.

use std::sync::Arc;

use crate::model::{Answer, Decision, Mode, Observation, Outcome, Rung, Timestamp};
use crate::plugin::{CallStats, Called, Policy};

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
    pub async fn ask(&self, observation: &Observation, state: &[u8]) -> Answer {
        let answer = |decision, failure: Option<String>, stats: Option<CallStats>, log| Answer {
            policy: self.name.clone(),
            reference: self.policy.reference().to_string(),
            digest: self.policy.digest().to_owned(),
            config: self.config.clone(),
            mode: self.mode,
            state: state.to_vec(),
            decision,
            rung: if failure.is_some() { Rung::Hold } else { Rung::Own },
            failure,
            fuel: stats.map_or(0, |stats| stats.fuel),
            micros: stats.map_or(0, |stats| u64::try_from(stats.duration.as_micros()).unwrap_or(u64::MAX)),
            log,
        };
        match self.policy.decide(&self.config, observation, state).await {
            Ok(Called { value, log, stats }) => {
                answer(value, None, Some(stats), log.iter().map(ToString::to_string).collect())
            }
            Err(error) => answer(held(&self.name, state), Some(error.to_string()), None, Vec::new()),
        }
    }
}

fn held(policy: &str, state: &[u8]) -> Decision {
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
pub struct Missing {
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

impl Missing {
    fn answer(&self, state: &[u8]) -> Answer {
        Answer {
            policy: self.name.clone(),
            reference: self.reference.clone(),
            digest: String::new(),
            config: self.config.clone(),
            mode: self.mode,
            state: state.to_vec(),
            decision: held(&self.name, state),
            rung: Rung::Hold,
            failure: Some(format!("it could not be loaded: {}", self.why)),
            fuel: 0,
            micros: 0,
            log: Vec::new(),
        }
    }
}

/// Who sits there.
#[derive(Debug)]
enum Sitting {
    Policy(Arc<ConfiguredPolicy>),
    Missing(Missing),
}

/// A policy with what it remembers, and with whom to ask when it fails.
#[derive(Debug)]
pub struct Seat {
    sitting: Sitting,
    state: Vec<u8>,
    last_good: Option<(Arc<ConfiguredPolicy>, Vec<u8>)>,
    failing_since: Option<Timestamp>,
    failures: u64,
}

impl Seat {
    /// A policy that remembers `state`.
    pub fn new(policy: ConfiguredPolicy, state: Vec<u8>) -> Self {
        Self::of(Sitting::Policy(Arc::new(policy)), state)
    }

    /// The place of a policy that could not be loaded; `state` is what it remembered.
    pub fn missing(missing: Missing, state: Vec<u8>) -> Self {
        Self::of(Sitting::Missing(missing), state)
    }

    fn of(sitting: Sitting, state: Vec<u8>) -> Self {
        Self { sitting, state, last_good: None, failing_since: None, failures: 0 }
    }

    /// What the configuration calls the policy.
    pub fn name(&self) -> &str {
        match &self.sitting {
            Sitting::Policy(policy) => &policy.name,
            Sitting::Missing(missing) => &missing.name,
        }
    }

    /// The policy, where it could be loaded.
    pub fn policy(&self) -> Option<&ConfiguredPolicy> {
        match &self.sitting {
            Sitting::Policy(policy) => Some(policy),
            Sitting::Missing(_) => None,
        }
    }

    /// Whether the policy could not be loaded.
    pub fn is_missing(&self) -> bool {
        matches!(self.sitting, Sitting::Missing(_))
    }

    /// Whether this very policy sits here: the same component from the same place, asked in the same way.
    pub fn is(&self, other: &ConfiguredPolicy) -> bool {
        let Sitting::Policy(policy) = &self.sitting else { return false };
        policy.name == other.name
            && policy.mode == other.mode
            && policy.policy.reference() == other.policy.reference()
            && policy.identity() == other.identity()
    }

    /// Whose memory [`Seat::state`] is.
    pub fn identity(&self) -> String {
        match &self.sitting {
            Sitting::Policy(policy) => policy.identity(),
            Sitting::Missing(missing) => missing.identity.clone(),
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
        let before = std::mem::replace(&mut self.sitting, Sitting::Policy(Arc::new(policy)));
        let before_state = std::mem::replace(&mut self.state, state);
        if let Sitting::Policy(before) = before
            && self.failing_since.is_none()
        {
            self.last_good = Some((before, before_state));
        }
        self.failing_since = None;
    }

    /// The policy could be loaded after all. Whoever stood in for it does so again where it fails.
    pub fn take(&mut self, policy: ConfiguredPolicy, state: Vec<u8>) {
        self.sitting = Sitting::Policy(Arc::new(policy));
        self.state = state;
    }

    /// The policy could not be loaded this time either.
    pub fn still_missing(&mut self, why: &str) {
        if let Sitting::Missing(missing) = &mut self.sitting {
            why.clone_into(&mut missing.why);
        }
    }

    /// Names a component to ask when this one fails: one that had answered in an earlier process.
    pub fn fall_back_on(&mut self, policy: ConfiguredPolicy, state: Vec<u8>) {
        self.last_good = Some((Arc::new(policy), state));
    }

    /// Asks the policy, and whoever stands in for it where it fails. Nothing is remembered until [`Seat::remember`].
    pub async fn ask(&self, observation: &Observation) -> Answer {
        let own = match &self.sitting {
            Sitting::Policy(policy) => policy.ask(observation, &self.state).await,
            Sitting::Missing(missing) => missing.answer(&self.state),
        };
        let Some(failure) = own.failure.clone() else { return own };
        if let Some((last_good, state)) = &self.last_good {
            let answer = last_good.ask(observation, state).await;
            if answer.failure.is_none() {
                return Answer { rung: Rung::LastGood, failure: Some(failure), ..answer };
            }
        }
        own
    }

    /// Keeps what came of [`Seat::ask`] at `now`.
    pub fn remember(&mut self, answer: &Answer, now: Timestamp) {
        match (answer.rung, &mut self.last_good) {
            (Rung::Own, _) => {
                self.state.clone_from(&answer.decision.state);
                self.failing_since = None;
                return;
            }
            (Rung::LastGood, Some((_, state))) => state.clone_from(&answer.decision.state),
            (Rung::LastGood | Rung::Hold, _) => {}
        }
        self.failures += 1;
        self.failing_since = self.failing_since.or(Some(now));
    }
}

/// Whose answer is taken: each is reduced to the fleet size that it leads to, and the largest wins whole. Of equals the
/// first that wants something. `None` where no policy is active.
pub fn chosen(observation: &Observation, answers: &[Answer]) -> Option<usize> {
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
pub fn no_policy() -> Decision {
    Decision {
        outcome: Outcome::Hold,
        reason: "no policy is active, so the fleet is kept within its bounds".to_owned(),
        signals: Vec::new(),
        state: Vec::new(),
        next_check_ms: None,
    }
}
