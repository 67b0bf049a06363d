//! Callable components of either kind, and the parts common to all calls.

use std::future::Future;
use std::time::{Duration, Instant};

use doproxy_core::domain::Problem;
use doproxy_plugin_registry::Reference;
use tokio::sync::SemaphorePermit;
use wasmtime::Store;

use crate::call_context::CallContext;
use crate::config_schema::SchemaError;
use crate::error::{CallError, Limit, LoadError, PluginError};
use crate::host::PluginHost;
use crate::log::LogLine;
use crate::store_data;
use crate::store_data::StoreData;

/// The resources used by a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallUsage {
    /// Wall-clock time, from instantiation to dropping the instance.
    pub duration: Duration,
    /// Fuel; identical for identical calls on every machine.
    pub fuel: u64,
    /// Bytes of linear memory, all memories together.
    pub memory_bytes: usize,
}

/// The result of a call, with its log and resource usage.
#[derive(Debug, Clone, PartialEq)]
pub struct CallOutput<T> {
    /// The result.
    pub value: T,
    /// The lines logged and printed by the plugin.
    pub log: Vec<LogLine>,
    /// The resources used by the call.
    pub usage: CallUsage,
}

/// A component that is ready to be called.
#[derive(Debug, Clone)]
pub(super) struct CallableComponent {
    pub(super) host: PluginHost,
    pub(super) reference: Reference,
    pub(super) digest: String,
}

/// A call in progress.
pub(super) struct Call<'a> {
    component: &'a CallableComponent,
    function: &'static str,
    started: Instant,
    /// Released only after the store is dropped.
    permit: Option<SemaphorePermit<'a>>,
}

impl CallableComponent {
    /// Starts a call of `function`: creates a fresh store, and the [`Call`] that finishes it.
    pub(super) async fn begin(
        &self,
        function: &'static str,
        context: &CallContext,
    ) -> Result<(Call<'_>, Store<StoreData>), PluginError> {
        let turn = self.host.engine().acquire().await;
        let started = Instant::now();
        let store = store_data::store(self.host.engine(), self.host.limits(), context)
            .map_err(|error| PluginError::Engine(format!("{error:#}")))?;
        Ok((Call { component: self, function, started, permit: turn }, store))
    }

    /// Returns an error about this plugin's configuration.
    pub(super) fn config_error(&self, problems: Vec<Problem>) -> PluginError {
        PluginError::Config { reference: self.reference.clone(), problems }
    }

    /// Converts an error of the schema check.
    pub(super) fn schema_error(&self, error: SchemaError) -> PluginError {
        match error {
            SchemaError::Config(problems) => self.config_error(problems),
            SchemaError::Schema(reason) => {
                PluginError::Load { reference: self.reference.clone(), source: LoadError::Schema(reason) }
            }
        }
    }
}

impl Call<'_> {
    /// Waits for a guest up to the call timeout. Fuel and epochs stop a guest that is running; this stops one that is
    /// blocked in a host call.
    pub(super) async fn with_timeout<T>(
        &self,
        guest: impl Future<Output = wasmtime::Result<T>>,
    ) -> wasmtime::Result<T> {
        let deadline = self.component.host.limits().call_timeout;
        match tokio::time::timeout(deadline, guest).await {
            Ok(result) => result,
            Err(_) => Err(Limit::CallTimeout(deadline).into()),
        }
    }

    /// Finishes the call: `check` converts the result, or returns the reason why it is invalid.
    pub(super) fn finish<T, U>(
        self,
        store: Store<StoreData>,
        result: wasmtime::Result<T>,
        check: impl FnOnce(T) -> Result<U, CallError>,
    ) -> Result<CallOutput<U>, PluginError> {
        let limits = self.component.host.limits();
        let value = match result {
            Ok(result) => check(result),
            Err(error) => Err(store_data::call_error(&error, &store, limits)),
        };
        let (fuel, memory_bytes) = store_data::usage(&store, limits);
        let log = store_data::take_log(store);
        drop(self.permit);
        match value {
            Ok(value) => {
                Ok(CallOutput { value, log, usage: CallUsage { duration: self.started.elapsed(), fuel, memory_bytes } })
            }
            Err(source) => Err(PluginError::Call {
                reference: self.component.reference.clone(),
                function: self.function,
                source: Box::new(source),
                log,
            }),
        }
    }
}
