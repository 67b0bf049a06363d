//! The configuration in the form that the service uses, and the part of it that can be reloaded at run time.

use std::fmt::Debug;
use std::sync::Arc;

use doproxy_config::{Config, PolicyConfig};
use doproxy_controller::{PolicySpec, ReloadedConfig, ServiceSpec};
use doproxy_core::pipeline::ScalingRules;
use doproxy_digitalocean::DigitalOcean;
use doproxy_metrics as metrics;
use doproxy_metrics::{Collector, TimeSeriesStore};

use crate::cli::context::CommandContext;
use crate::cli::output;
use crate::cli::run::Global;

/// Returns the service specification of a configuration.
pub(super) fn service_spec(config: &Config) -> ServiceSpec {
    let policy = |policy: &PolicyConfig| PolicySpec {
        name: policy.name.clone(),
        plugin: policy.plugin.clone(),
        config: policy.config.clone(),
        mode: policy.mode,
    };
    ServiceSpec {
        policies: config.policies.iter().map(policy).collect(),
        scaling: ScalingRules { limits: config.limits, rules: config.rules.clone() },
        interval: config.interval,
    }
}

/// Reloads the configuration.
pub(super) struct ConfigReloader {
    pub(super) global: Global,
    /// The configuration at the start of the service.
    pub(super) started: Config,
    pub(super) store: Arc<TimeSeriesStore>,
    pub(super) cloud: DigitalOcean,
}

impl ConfigReloader {
    /// Reads the configuration. Builds a new collector if the metric sources differ from those `in_effect`.
    pub(super) fn read(&self, in_effect: &metrics::Options) -> Result<ReloadedConfig, String> {
        let context = CommandContext::load(&self.global).map_err(|error| output::format_error(&error))?;
        let sources = context.config.metrics.clone();
        let collector =
            differs(in_effect, &sources).then(|| Collector::new(sources, Arc::clone(&self.store), Some(&self.cloud)));
        let needs_restart = needs_restart(&self.started, &context.config);
        Ok(ReloadedConfig { spec: service_spec(&context.config), collector, needs_restart })
    }
}

/// Reports whether two values differ. `Debug` output contains everything except secrets; the token is only read at a
/// restart anyway.
fn differs(one: &impl Debug, other: &impl Debug) -> bool {
    format!("{one:?}") != format!("{other:?}")
}

/// Returns the changed keys that only take effect after a restart, because the service was built from them.
fn needs_restart(started: &Config, now: &Config) -> Vec<String> {
    let options = |config: &Config| {
        (config.hostname_prefix.clone(), config.template.clone(), config.vpc_uuid.clone(), config.monitoring)
    };
    let timeouts = |config: &Config| {
        let mut deadlines = config.deadlines.clone();
        deadlines.poll_interval = std::time::Duration::ZERO;
        deadlines
    };
    let changed = [
        ("fleet", differs(&started.fleet, &now.fleet)),
        ("droplet_options", differs(&options(started), &options(now))),
        ("ssh_key_ids", differs(&started.ssh_keys, &now.ssh_keys)),
        ("user_data", differs(&started.user_data, &now.user_data)),
        ("api", differs(&started.api_url, &now.api_url)),
        ("haproxy", differs(&(&started.haproxy, started.droplet_address), &(&now.haproxy, now.droplet_address))),
        ("scaling.poll_interval", differs(&started.deadlines.poll_interval, &now.deadlines.poll_interval)),
        ("scaling.timeouts", differs(&timeouts(started), &timeouts(now))),
        ("inventory", differs(&started.inventory, &now.inventory)),
        ("metrics.database", differs(&started.metrics_database, &now.metrics_database)),
        ("telemetry", differs(&started.telemetry, &now.telemetry)),
        ("plugins", differs(&started.plugins, &now.plugins)),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key.to_owned()).collect()
}
