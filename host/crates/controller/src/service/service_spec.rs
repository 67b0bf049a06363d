//! The desired state of a service.

use std::path::Path;
use std::time::Duration;

use doproxy_core::domain::Mode;
use doproxy_core::pipeline::ScalingRules;
use doproxy_plugin_registry::Reference;

/// The desired state of the service; it can change while the service runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceSpec {
    /// The policies.
    pub policies: Vec<PolicySpec>,
    /// The scaling limits and guard rules.
    pub scaling: ScalingRules,
    /// The time between two ticks.
    pub interval: Duration,
}

impl ServiceSpec {
    /// Returns the component files of the policies.
    pub(super) fn component_files(&self) -> impl Iterator<Item = &Path> {
        self.policies.iter().filter_map(|policy| match &policy.plugin {
            Reference::File(path) => Some(path.as_path()),
            _ => None,
        })
    }
}

/// A configured policy.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicySpec {
    /// The name in messages.
    pub name: String,
    /// The component.
    pub plugin: Reference,
    /// The policy's configuration, as JSON text.
    pub config: String,
    /// Active or shadow mode.
    pub mode: Mode,
}
