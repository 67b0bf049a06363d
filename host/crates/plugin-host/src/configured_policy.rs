//! A policy component with the configuration that it is evaluated with.

use doproxy_core::domain::{AnswerSource, Decision, Evaluation, Mode, Observation};

use crate::call::{CallOutput, CallUsage};
use crate::policy::Policy;

/// A loaded policy with its configuration.
#[derive(Debug)]
pub struct ConfiguredPolicy {
    /// The name in the configuration.
    pub name: String,
    /// Active or shadow mode.
    pub mode: Mode,
    /// The component.
    pub policy: Policy,
    /// The policy's configuration, as JSON text.
    pub config: String,
}

impl ConfiguredPolicy {
    /// Identifies the component and configuration to which a stored state belongs.
    pub fn identity(&self) -> String {
        format!("{} {}", self.policy.digest(), self.config)
    }

    /// Evaluates the policy for `observation` with the state that it returned last time.
    pub async fn evaluate(&self, observation: &Observation, state: &[u8]) -> Evaluation {
        let evaluation = |decision, failure: Option<String>, stats: Option<CallUsage>, log| Evaluation {
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
                evaluation(value, None, Some(stats), log.iter().map(ToString::to_string).collect())
            }
            Err(error) => {
                evaluation(Decision::hold_after_failure(&self.name, state), Some(error.to_string()), None, Vec::new())
            }
        }
    }
}
