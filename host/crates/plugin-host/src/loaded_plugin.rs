//! Loaded plugins of either world.

use std::fmt;

use doproxy_core::domain::Manifest;
use doproxy_plugin_registry::Reference;

use crate::call::{CallOutput, CallableComponent};
use crate::call_context::CallContext;
use crate::config_schema;
use crate::contract::{PreparedWorld, World};
use crate::error::PluginError;

/// A loaded plugin. Cheap to call: calls do not compile or link.
pub struct LoadedPlugin<W: World> {
    pub(crate) component: CallableComponent,
    pub(crate) prepared: PreparedWorld<W>,
    manifest: Manifest,
}

impl<W: World> fmt::Debug for LoadedPlugin<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedPlugin")
            .field("component", &self.component)
            .field("manifest", &self.manifest)
            .finish_non_exhaustive()
    }
}

impl<W: World> LoadedPlugin<W> {
    /// Instantiates the component for the first time and reads its manifest.
    pub(crate) async fn instantiate_and_describe(
        component: CallableComponent,
        prepared: PreparedWorld<W>,
    ) -> Result<Self, PluginError> {
        let manifest = describe(&component, &prepared).await?.value;
        Ok(Self { component, prepared, manifest })
    }

    /// Reads the manifest again: the smallest possible call, used to measure the cost of an instance.
    pub async fn describe(&self) -> Result<CallOutput<Manifest>, PluginError> {
        describe(&self.component, &self.prepared).await
    }

    /// Returns the manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the SHA-256 of the component, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.component.digest
    }

    /// Returns the reference from which the plugin was loaded.
    pub fn reference(&self) -> &Reference {
        &self.component.reference
    }

    /// Validates a configuration (JSON text) against the schema and then with the plugin itself.
    pub async fn validate(&self, config: &str) -> Result<(), PluginError> {
        config_schema::check(&self.manifest.config_schema, config)
            .map_err(|error| self.component.schema_error(error))?;
        let (call, mut store) = self.component.begin("validate", &CallContext::EMPTY).await?;
        let result = call.with_timeout(self.prepared.validate(&mut store, config)).await;
        let verdict = call.finish(store, result, Ok)?.value;
        verdict.map_err(|problems| self.component.config_error(problems))
    }
}

async fn describe<W: World>(
    component: &CallableComponent,
    prepared: &PreparedWorld<W>,
) -> Result<CallOutput<Manifest>, PluginError> {
    let (call, mut store) = component.begin("describe", &CallContext::EMPTY).await?;
    let result = call.with_timeout(prepared.describe(&mut store)).await;
    call.finish(store, result, Ok)
}
