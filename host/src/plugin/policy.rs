//! A scaling policy that is loaded.

use std::fmt;

use super::bindings::{ScalingPolicy, ScalingPolicyPre};
use super::convert::{self, Moment};
use super::guest::Guest;
use super::loaded::Loaded;
use super::schema;
use super::{CallError, Called, GuestTrace, Limit, PluginError, Reference};
use crate::model::{Decision, Manifest, Observation};

/// A scaling policy that is loaded. Cheap to call: nothing is compiled or linked again.
pub struct Policy {
    loaded: Loaded,
    manifest: Manifest,
    pre: ScalingPolicyPre<Guest>,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("loaded", &self.loaded).field("manifest", &self.manifest).finish_non_exhaustive()
    }
}

impl Policy {
    /// Instantiates it for the first time, and asks what it is.
    pub(super) async fn introduce(loaded: Loaded, pre: ScalingPolicyPre<Guest>) -> Result<Self, PluginError> {
        let (call, mut store) = loaded.begin("describe", &Moment::NONE).await?;
        let answer = call
            .within_deadline(async {
                let policy: ScalingPolicy = pre.instantiate_async(&mut store).await?;
                policy.doproxy_plugin_policy().call_describe(&mut store).await
            })
            .await;
        let manifest = call.end(store, answer, |manifest| Ok(convert::manifest(manifest)))?.value;
        Ok(Self { loaded, manifest, pre })
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The SHA-256 of the component, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.loaded.digest
    }

    /// Where it came from.
    pub fn reference(&self) -> &Reference {
        &self.loaded.reference
    }

    /// Checks a configuration (JSON text): against the schema, then by the policy itself.
    pub async fn validate(&self, config: &str) -> Result<(), PluginError> {
        schema::check(&self.manifest.config_schema, config).map_err(|error| self.loaded.refused(error))?;
        let (call, mut store) = self.loaded.begin("validate", &Moment::NONE).await?;
        let answer = call
            .within_deadline(async {
                let policy = self.pre.instantiate_async(&mut store).await?;
                policy.doproxy_plugin_policy().call_validate(&mut store, config).await
            })
            .await;
        let verdict = call.end(store, answer, Ok)?.value;
        verdict.map_err(|found| self.loaded.config_error(convert::problems(&found)))
    }

    /// Asks for a decision. `config` is JSON text that has passed [`Self::validate`]; `state` is that of the last
    /// decision, empty at first.
    pub async fn decide(
        &self,
        config: &str,
        observation: &Observation,
        state: &[u8],
    ) -> Result<Called<Decision>, PluginError> {
        let (call, mut store) = self.loaded.begin("decide", &Moment::of_tick(observation)).await?;
        let observation = convert::observation(observation);
        let answer = call
            .within_deadline(async {
                let policy = self.pre.instantiate_async(&mut store).await?;
                policy.doproxy_plugin_policy().call_decide(&mut store, config, &observation, state).await
            })
            .await;
        let limits = self.loaded.host.limits();
        call.end(store, answer, |answer| {
            let decision = answer.map_err(|error| convert::error(&error))?;
            let over = |limit| Err(CallError::Over { limit, backtrace: GuestTrace::default() });
            if decision.state.len() > limits.state_bytes {
                return over(Limit::State(limits.state_bytes));
            }
            if convert::bytes_of(&decision) > limits.decision_bytes {
                return over(Limit::Decision(limits.decision_bytes));
            }
            convert::decision(decision)
        })
    }
}
