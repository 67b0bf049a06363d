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

/// A policy with what it remembers, and with whom to ask when it fails.
#[derive(Debug)]
pub struct Seat {
    policy: Arc<ConfiguredPolicy>,
    state: Vec<u8>,
    last_good: Option<(Arc<ConfiguredPolicy>, Vec<u8>)>,
    failing_since: Option<Timestamp>,
    failures: u64,
}

impl Seat {
    /// A policy that remembers `state`.
    pub fn new(policy: ConfiguredPolicy, state: Vec<u8>) -> Self {
        Self { policy: Arc::new(policy), state, last_good: None, failing_since: None, failures: 0 }
    }

    /// The policy.
    pub fn policy(&self) -> &ConfiguredPolicy {
        &self.policy
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
        let before = std::mem::replace(&mut self.policy, Arc::new(policy));
        let before_state = std::mem::replace(&mut self.state, state);
        if self.failing_since.is_none() {
            self.last_good = Some((before, before_state));
        }
        self.failing_since = None;
    }

    /// Names a component to ask when this one fails: one that had answered in an earlier process.
    pub fn fall_back_on(&mut self, policy: ConfiguredPolicy, state: Vec<u8>) {
        self.last_good = Some((Arc::new(policy), state));
    }

    /// Asks the policy, and whoever stands in for it where it fails. Nothing is remembered until [`Seat::remember`].
    pub async fn ask(&self, observation: &Observation) -> Answer {
        let own = self.policy.ask(observation, &self.state).await;
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
