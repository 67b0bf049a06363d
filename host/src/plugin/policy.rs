//! A scaling policy that is loaded.

use std::fmt;

use super::contract::PolicyPre;
use super::loaded::Loaded;
use super::moment::Moment;
use super::schema;
use super::{Called, PluginError, Reference};
use crate::model::{Decision, Manifest, Observation};

/// A scaling policy that is loaded. Cheap to call: nothing is compiled or linked again.
pub struct Policy {
    loaded: Loaded,
    manifest: Manifest,
    pre: PolicyPre,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("loaded", &self.loaded).field("manifest", &self.manifest).finish_non_exhaustive()
    }
}

impl Policy {
    /// Instantiates it for the first time, and asks what it is.
    pub(super) async fn introduce(loaded: Loaded, pre: PolicyPre) -> Result<Self, PluginError> {
        let manifest = describe(&loaded, &pre).await?.value;
        Ok(Self { loaded, manifest, pre })
    }

    /// Asks again what it is: the least that a call can be, for measuring what an instance costs.
    pub async fn describe(&self) -> Result<Called<Manifest>, PluginError> {
        describe(&self.loaded, &self.pre).await
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
        let answer = call.within_deadline(self.pre.validate(&mut store, config)).await;
        let verdict = call.end(store, answer, Ok)?.value;
        verdict.map_err(|problems| self.loaded.config_error(problems))
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
        let limits = self.loaded.host.limits();
        let decided = self.pre.decide(&mut store, config, observation, state, limits);
        let answer = call.within_deadline(decided).await;
        call.end(store, answer, |answer| answer)
    }
}

async fn describe(loaded: &Loaded, pre: &PolicyPre) -> Result<Called<Manifest>, PluginError> {
    let (call, mut store) = loaded.begin("describe", &Moment::NONE).await?;
    let answer = call.within_deadline(pre.describe(&mut store)).await;
    call.end(store, answer, Ok)
}
