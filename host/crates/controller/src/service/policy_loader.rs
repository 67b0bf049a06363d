//! Loads policies in the background, so that no tick waits for a compiler.

use std::fmt;
use std::sync::Arc;

use doproxy_metrics::Collector;
use doproxy_plugin_host::{ConfiguredPolicy, PluginHost};
use tokio::task::JoinHandle;

use crate::service::service_spec::{PolicySpec, ServiceSpec};

/// Looks up the bytes of a previously used component by their SHA-256 in hexadecimal.
pub type ComponentLookup = Arc<dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync>;

/// A loaded policy, or the reason that it failed to load.
pub(super) type LoadResult = Result<ConfiguredPolicy, String>;

/// Loads policies.
#[derive(Clone, Default)]
pub struct PolicyLoader {
    host: Option<PluginHost>,
    components: Option<ComponentLookup>,
}

impl fmt::Debug for PolicyLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyLoader").field("host", &self.host).finish_non_exhaustive()
    }
}

impl PolicyLoader {
    /// Creates a loader that loads into `host`.
    pub fn new(host: PluginHost) -> Self {
        Self { host: Some(host), components: None }
    }

    /// Creates a loader for a fleet without policies.
    pub fn without_plugins() -> Self {
        Self::default()
    }

    /// Sets the lookup of previously used components, the fallback when a reference fails to load.
    #[must_use]
    pub fn with_components(self, components: ComponentLookup) -> Self {
        Self { components: Some(components), ..self }
    }

    /// Loads a policy and validates its configuration.
    pub(super) async fn load(&self, spec: &PolicySpec) -> LoadResult {
        let Some(host) = &self.host else { return Err("cannot load plugins: no plugin host is configured".to_owned()) };
        let policy = host.policy(&spec.plugin).await.map_err(|error| error.to_string())?;
        policy.validate(&spec.config).await.map_err(|error| error.to_string())?;
        Ok(configured_policy(spec, policy))
    }

    /// Loads the component that last succeeded in an earlier process, if its bytes are still available. `identity` is
    /// that of the stored state: a digest and a configuration.
    pub(super) async fn last_good(&self, spec: &PolicySpec, identity: &str) -> Option<ConfiguredPolicy> {
        let (digest, config) = identity.split_once(' ')?;
        let bytes = self.components.as_ref()?(digest)?;
        let policy = match self.host.as_ref()?.policy_from_bytes(&spec.plugin, bytes).await {
            Ok(policy) => policy,
            Err(error) => {
                tracing::warn!(policy = spec.name, "failed to load the last good component as a fallback: {error}");
                return None;
            }
        };
        // Bytes stored under a digest may be corrupt.
        (policy.digest() == digest)
            .then(|| configured_policy(&PolicySpec { config: config.to_owned(), ..spec.clone() }, policy))
    }

    /// Loads all policies of a specification in a separate task.
    pub(super) fn start_load(&self, spec: ServiceSpec, why: LoadReason) -> PendingLoad {
        let (loader, specs) = (self.clone(), spec.policies.clone());
        let task = tokio::spawn(async move {
            let mut loaded = Vec::with_capacity(specs.len());
            for spec in &specs {
                loaded.push(loader.load(spec).await);
            }
            loaded
        });
        PendingLoad { spec, reason: why, task: LoadTask(task) }
    }
}

fn configured_policy(spec: &PolicySpec, policy: doproxy_plugin_host::Policy) -> ConfiguredPolicy {
    ConfiguredPolicy { name: spec.name.clone(), mode: spec.mode, policy, config: spec.config.clone() }
}

/// The reason that policies are loaded.
#[derive(Debug)]
pub(super) enum LoadReason {
    /// The service starts, or some policies failed to load earlier.
    Unavailable,
    /// Configuration or components changed: the reload is applied completely or not at all.
    Reload {
        /// The metric sources, if they changed.
        collector: Option<Box<Collector>>,
        /// Changed keys that require a restart.
        needs_restart: Vec<String>,
    },
}

/// Policies that are being loaded.
#[derive(Debug)]
pub(super) struct PendingLoad {
    spec: ServiceSpec,
    reason: LoadReason,
    task: LoadTask,
}

/// A task that is aborted when its handle is dropped.
#[derive(Debug)]
struct LoadTask(JoinHandle<Vec<LoadResult>>);

impl Drop for LoadTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl PendingLoad {
    /// Returns the specification and the reason.
    pub(super) fn into_parts(self) -> (ServiceSpec, LoadReason) {
        (self.spec, self.reason)
    }

    /// Returns the result for each policy, in the order of the specification. Cancel-safe: it can be awaited repeatedly
    /// until it returns.
    pub(super) async fn wait(&mut self) -> Vec<LoadResult> {
        match (&mut self.task.0).await {
            Ok(loaded) => loaded,
            Err(error) => self.spec.policies.iter().map(|_| Err(format!("loading was aborted: {error}"))).collect(),
        }
    }
}
