//! Loaded scaling policies.

use doproxy_core::domain::{Decision, Observation};

use crate::call::CallOutput;
use crate::call_context::CallContext;
use crate::contract::ScalingPolicy;
use crate::error::PluginError;
use crate::loaded_plugin::LoadedPlugin;

/// A loaded scaling policy.
pub type Policy = LoadedPlugin<ScalingPolicy>;

impl Policy {
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
        let decided = self.prepared.decide(&mut store, config, observation, state, limits);
        let result = call.with_timeout(decided).await;
        call.finish(store, result, |result| result)
    }
}
