//! Policies of the loop: loaded beside it, so that no tick waits for a compiler, and put in their places by the ticker.

use std::fmt;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::ServiceSpec;
use crate::controller::policy_slot::ConfiguredPolicy;
use crate::metrics::Collector;
use crate::model::Mode;
use crate::plugin::{PluginHost, Reference};

/// A policy that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicySpec {
    /// What messages call it.
    pub name: String,
    /// Which component.
    pub plugin: Reference,
    /// Its configuration, as JSON text.
    pub config: String,
    /// Whether it is acted upon.
    pub mode: Mode,
}

/// Finds the bytes of a component that was used before, by the SHA-256 of them in hexadecimal.
pub type ComponentLookup = Arc<dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync>;

/// Loads policies.
#[derive(Clone, Default)]
pub struct PolicyLoader {
    host: Option<PluginHost>,
    components: Option<ComponentLookup>,
}

impl fmt::Debug for PolicyLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").field("host", &self.host).finish_non_exhaustive()
    }
}

impl PolicyLoader {
    /// Loads them into `host`.
    pub fn new(host: PluginHost) -> Self {
        Self { host: Some(host), components: None }
    }

    /// For a fleet without policies.
    pub fn without_plugins() -> Self {
        Self::default()
    }

    /// Where components of before are found when what a reference points to cannot be loaded.
    #[must_use]
    pub fn with_components(self, components: ComponentLookup) -> Self {
        Self { components: Some(components), ..self }
    }

    /// A policy that is loaded, and whose configuration it takes; the error says why not.
    pub(super) async fn load(&self, wish: &PolicySpec) -> Result<ConfiguredPolicy, String> {
        let Some(host) = &self.host else { return Err("there is nothing to load plugins with".to_owned()) };
        let policy = host.policy(&wish.plugin).await.map_err(|error| error.to_string())?;
        policy.validate(&wish.config).await.map_err(|error| error.to_string())?;
        Ok(configured_policy(wish, policy))
    }

    /// The component that answered last in an earlier process, where its bytes are still to be had. `identity` is that of
    /// what it remembered: a digest and a configuration.
    pub(super) async fn last_good(&self, wish: &PolicySpec, identity: &str) -> Option<ConfiguredPolicy> {
        let (digest, config) = identity.split_once(' ')?;
        let bytes = self.components.as_ref()?(digest)?;
        let policy = match self.host.as_ref()?.policy_from_bytes(&wish.plugin, bytes).await {
            Ok(policy) => policy,
            Err(error) => {
                tracing::warn!(policy = wish.name, "its last good component cannot stand in for it: {error}");
                return None;
            }
        };
        // What is found under a digest may be damaged.
        (policy.digest() == digest)
            .then(|| configured_policy(&PolicySpec { config: config.to_owned(), ..wish.clone() }, policy))
    }

    /// Loads all that a wish names, in a task of its own.
    pub(super) fn start_load(&self, wish: ServiceSpec, why: LoadReason) -> PendingLoad {
        let (loader, wanted) = (self.clone(), wish.policies.clone());
        let task = tokio::spawn(async move {
            let mut loaded = Vec::with_capacity(wanted.len());
            for wish in &wanted {
                loaded.push(loader.load(wish).await);
            }
            loaded
        });
        PendingLoad { spec: wish, reason: why, task: LoadTask(task) }
    }
}

fn configured_policy(wish: &PolicySpec, policy: crate::plugin::Policy) -> ConfiguredPolicy {
    ConfiguredPolicy { name: wish.name.clone(), mode: wish.mode, policy, config: wish.config.clone() }
}

/// Why policies are loaded.
#[derive(Debug)]
pub(super) enum LoadReason {
    /// The service starts, or could not load some before.
    Unavailable,
    /// Something changed: all of it is taken, or nothing.
    Reload {
        /// Sources of series that are others than before.
        collector: Option<Box<Collector>>,
        /// Keys that need a restart.
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

/// The task ends with whoever waits for it.
#[derive(Debug)]
struct LoadTask(JoinHandle<Vec<Result<ConfiguredPolicy, String>>>);

impl Drop for LoadTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl PendingLoad {
    /// What was wanted, and why.
    pub(super) fn into_parts(self) -> (ServiceSpec, LoadReason) {
        (self.spec, self.reason)
    }

    /// What became of each, in the order of the wish. Can be waited for time and again, until it answered.
    pub(super) async fn wait(&mut self) -> Vec<Result<ConfiguredPolicy, String>> {
        match (&mut self.task.0).await {
            Ok(loaded) => loaded,
            Err(error) => self.spec.policies.iter().map(|_| Err(format!("loading it broke off: {error}"))).collect(),
        }
    }
}
