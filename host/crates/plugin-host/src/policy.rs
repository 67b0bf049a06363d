//! Loaded scaling policies.

use std::fmt;

use doproxy_core::domain::{Decision, Manifest, Observation};
use doproxy_plugin_registry::Reference;

use crate::call::{CallOutput, CallableComponent};
use crate::call_context::CallContext;
use crate::config_schema;
use crate::contract::PolicyPre;
use crate::error::PluginError;

/// A loaded scaling policy. Cheap to call: calls do not compile or link.
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
    /// Instantiates the component for the first time and reads its manifest.
    pub(super) async fn instantiate_and_describe(
        loaded: CallableComponent,
        pre: PolicyPre,
    ) -> Result<Self, PluginError> {
        let manifest = describe(&loaded, &pre).await?.value;
        Ok(Self { component: loaded, manifest, pre })
    }

    /// Reads the manifest again: the smallest possible call, used to measure the cost of an instance.
    pub async fn describe(&self) -> Result<CallOutput<Manifest>, PluginError> {
        describe(&self.component, &self.pre).await
    }

    /// Returns the manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the SHA-256 of the component, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.component.digest
    }

    /// Returns the reference from which the policy was loaded.
    pub fn reference(&self) -> &Reference {
        &self.component.reference
    }

    /// Validates a configuration (JSON text) against the schema and then with the policy itself.
    pub async fn validate(&self, config: &str) -> Result<(), PluginError> {
        config_schema::check(&self.manifest.config_schema, config)
            .map_err(|error| self.component.schema_error(error))?;
        let (call, mut store) = self.component.begin("validate", &CallContext::EMPTY).await?;
        let result = call.with_timeout(self.pre.validate(&mut store, config)).await;
        let verdict = call.finish(store, result, Ok)?.value;
        verdict.map_err(|problems| self.component.config_error(problems))
    }

    /// Evaluates the policy. `config` is JSON text that has passed [`Self::validate`]; `state` is the state returned
    /// with the previous decision, initially empty.
    pub async fn decide(
        &self,
        config: &str,
        observation: &Observation,
        state: &[u8],
    ) -> Result<CallOutput<Decision>, PluginError> {
        let (call, mut store) = self.component.begin("decide", &CallContext::for_tick(observation)).await?;
        let limits = self.component.host.limits();
        let decided = self.pre.decide(&mut store, config, observation, state, limits);
        let result = call.with_timeout(decided).await;
        call.finish(store, result, |result| result)
    }
}

async fn describe(loaded: &CallableComponent, pre: &PolicyPre) -> Result<CallOutput<Manifest>, PluginError> {
    let (call, mut store) = loaded.begin("describe", &CallContext::EMPTY).await?;
    let result = call.with_timeout(pre.describe(&mut store)).await;
    call.finish(store, result, Ok)
}
