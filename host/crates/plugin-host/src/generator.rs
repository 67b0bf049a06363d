//! Loaded user-data generators.

use std::fmt;

use doproxy_core::domain::{Manifest, UserDataRequest};
use doproxy_plugin_registry::Reference;

use crate::call::{CallOutput, CallableComponent};
use crate::call_context::CallContext;
use crate::config_schema;
use crate::contract::GeneratorPre;
use crate::error::{CallError, GuestTrace, Limit, PluginError};

/// A loaded user-data generator. Cheap to call: calls do not compile or link.
pub struct Generator {
    component: CallableComponent,
    manifest: Manifest,
    pre: GeneratorPre,
}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generator")
            .field("loaded", &self.component)
            .field("manifest", &self.manifest)
            .finish_non_exhaustive()
    }
}

impl Generator {
    /// Instantiates the component for the first time and reads its manifest.
    pub(super) async fn instantiate_and_describe(
        loaded: CallableComponent,
        pre: GeneratorPre,
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

    /// Returns the reference from which the generator was loaded.
    pub fn reference(&self) -> &Reference {
        &self.component.reference
    }

    /// Validates a configuration (JSON text) against the schema and then with the generator itself.
    pub async fn validate(&self, config: &str) -> Result<(), PluginError> {
        config_schema::check(&self.manifest.config_schema, config)
            .map_err(|error| self.component.schema_error(error))?;
        let (call, mut store) = self.component.begin("validate", &CallContext::EMPTY).await?;
        let result = call.with_timeout(self.pre.validate(&mut store, config)).await;
        let verdict = call.finish(store, result, Ok)?.value;
        verdict.map_err(|problems| self.component.config_error(problems))
    }

    /// Generates the user data of one droplet. `config` is JSON text that has passed [`Self::validate`]. `UserData`
    /// checks whether cloud-init supports the result.
    pub async fn generate(&self, config: &str, request: &UserDataRequest) -> Result<CallOutput<String>, PluginError> {
        let (call, mut store) = self.component.begin("generate", &CallContext::for_droplet(request)).await?;
        let result = call.with_timeout(self.pre.generate(&mut store, config, request)).await;
        let most = self.component.host.limits().user_data_bytes;
        call.finish(store, result, |result| {
            let text = result?;
            if text.len() > most {
                return Err(CallError::LimitExceeded {
                    limit: Limit::UserData(most),
                    backtrace: GuestTrace::default(),
                });
            }
            Ok(text)
        })
    }
}

async fn describe(loaded: &CallableComponent, pre: &GeneratorPre) -> Result<CallOutput<Manifest>, PluginError> {
    let (call, mut store) = loaded.begin("describe", &CallContext::EMPTY).await?;
    let result = call.with_timeout(pre.describe(&mut store)).await;
    call.finish(store, result, Ok)
}
