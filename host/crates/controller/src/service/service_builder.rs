//! The components of a service, and the callbacks for its activity.

use std::fmt;
use std::sync::Arc;

use doproxy_core::domain::TickRecord;
use doproxy_core::seams::Platform;
use doproxy_metrics::Collector;
use doproxy_telemetry::Telemetry;

use crate::controller::Controller;
use crate::service::config_reload::ConfigSource;
use crate::service::policy_loader::PolicyLoader;
use crate::service::service_spec::ServiceSpec;

/// Callbacks for the activity of the service.
pub struct Hooks {
    /// Called with each tick after it is committed.
    pub on_tick: Box<dyn FnMut(&TickRecord) + Send>,
    /// Called before a reload (`true`) and after it (`false`).
    pub on_reload: Box<dyn FnMut(bool) + Send>,
}

impl Default for Hooks {
    fn default() -> Self {
        Self { on_tick: Box::new(|_| {}), on_reload: Box::new(|_| {}) }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooks")
    }
}

/// The components of a service.
pub struct ServiceBuilder<P: Platform> {
    /// The controller.
    pub controller: Arc<Controller<P>>,
    /// The policy loader.
    pub loader: PolicyLoader,
    /// The metric collector.
    pub collector: Collector,
    /// The initial specification.
    pub spec: ServiceSpec,
    /// The source from which the specification is reloaded.
    pub config_source: Option<ConfigSource>,
    /// The telemetry of the service.
    pub telemetry: Telemetry,
    /// Callbacks.
    pub hooks: Hooks,
}

impl<P: Platform> fmt::Debug for ServiceBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceBuilder").field("spec", &self.spec).finish_non_exhaustive()
    }
}
