//! Loaded user-data generators.

use doproxy_core::domain::UserDataRequest;

use crate::call::CallOutput;
use crate::call_context::CallContext;
use crate::contract::UserDataGenerator;
use crate::error::{CallError, GuestTrace, Limit, PluginError};
use crate::loaded_plugin::LoadedPlugin;

/// A loaded user-data generator.
pub type Generator = LoadedPlugin<UserDataGenerator>;

impl Generator {
    /// Generates the user data of one droplet. `config` is JSON text that has passed [`Self::validate`]. `UserData`
    /// checks whether cloud-init supports the result.
    pub async fn generate(&self, config: &str, request: &UserDataRequest) -> Result<CallOutput<String>, PluginError> {
        let (call, mut store) = self.component.begin("generate", &CallContext::for_droplet(request)).await?;
        let result = call.with_timeout(self.prepared.generate(&mut store, config, request)).await;
        let most = self.component.host.limits().user_data_bytes;
        call.finish(store, result, |result| match result? {
            text if text.len() > most => {
                Err(CallError::LimitExceeded { limit: Limit::UserData(most), backtrace: GuestTrace::default() })
            }
            text => Ok(text),
        })
    }
}
