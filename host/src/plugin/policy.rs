//! A scaling policy that is loaded.

use std::fmt;

use super::call::CallableComponent;
use super::call_context::CallContext;
use super::config_schema;
use super::contract::PolicyPre;
use super::{CallOutput, PluginError, Reference};
use crate::model::{Decision, Manifest, Observation};

/// A scaling policy that is loaded. Cheap to call: nothing is compiled or linked again.
pub struct Policy {
    component: CallableComponent,
    manifest: Manifest,
    pre: PolicyPre,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("loaded", &self.component)
            .field("manifest", &self.manifest)
            .finish_non_exhaustive()
    }
}

impl Policy {
    /// Instantiates it for the first time, and asks what it is.
    pub(super) async fn instantiate_and_describe(
        loaded: CallableComponent,
        pre: PolicyPre,
    ) -> Result<Self, PluginError> {
        let manifest = describe(&loaded, &pre).await?.value;
        Ok(Self { component: loaded, manifest, pre })
    }

    /// Asks again what it is: the least that a call can be, for measuring what an instance costs.
    pub async fn describe(&self) -> Result<CallOutput<Manifest>, PluginError> {
        describe(&self.component, &self.pre).await
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The SHA-256 of the component, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.component.digest
    }

    /// Where it came from.
    pub fn reference(&self) -> &Reference {
        &self.component.reference
    }

    /// Checks a configuration (JSON text): against the schema, then by the policy itself.
    pub async fn validate(&self, config: &str) -> Result<(), PluginError> {
        config_schema::check(&self.manifest.config_schema, config)
            .map_err(|error| self.component.schema_error(error))?;
        let (call, mut store) = self.component.begin("validate", &CallContext::EMPTY).await?;
        let answer = call.with_timeout(self.pre.validate(&mut store, config)).await;
        let verdict = call.finish(store, answer, Ok)?.value;
        verdict.map_err(|problems| self.component.config_error(problems))
    }

    /// Asks for a decision. `config` is JSON text that has passed [`Self::validate`]; `state` is that of the last
    /// decision, empty at first.
    pub async fn decide(
        &self,
        config: &str,
        observation: &Observation,
        state: &[u8],
    ) -> Result<CallOutput<Decision>, PluginError> {
        let (call, mut store) = self.component.begin("decide", &CallContext::for_tick(observation)).await?;
        let limits = self.component.host.limits();
        let decided = self.pre.decide(&mut store, config, observation, state, limits);
        let answer = call.with_timeout(decided).await;
        call.finish(store, answer, |answer| answer)
    }
}

async fn describe(loaded: &CallableComponent, pre: &PolicyPre) -> Result<CallOutput<Manifest>, PluginError> {
    let (call, mut store) = loaded.begin("describe", &CallContext::EMPTY).await?;
    let answer = call.with_timeout(pre.describe(&mut store)).await;
    call.finish(store, answer, Ok)
}
