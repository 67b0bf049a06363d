//! The configuration as the loop wants it, and what of it can change while the loop runs.

use std::fmt::Debug;
use std::sync::Arc;

use super::Global;
use crate::cli::context::CommandContext;
use crate::cli::output;
use crate::cloud::digitalocean::DigitalOcean;
use crate::config::{Config, PolicyConfig};
use crate::controller::ScalingRules;
use crate::controller::service::{PolicySpec, ReloadedConfig, ServiceSpec};
use crate::history::TimeSeriesStore;
use crate::metrics::{self, Collector};

/// What the loop is told.
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

/// Reads the configuration again.
pub(super) struct ConfigReloader {
    pub(super) global: Global,
    /// What the service began with.
    pub(super) started: Config,
    pub(super) history: Arc<TimeSeriesStore>,
    pub(super) cloud: DigitalOcean,
}

impl ConfigReloader {
    /// What is wanted now, where the loop has the sources of series that are `in_effect`.
    pub(super) fn read(&self, in_effect: &metrics::Options) -> Result<ReloadedConfig, String> {
        let app = CommandContext::load(&self.global).map_err(|error| output::format_error(&error))?;
        let sources = app.config.metrics.clone();
        let collector =
            differs(in_effect, &sources).then(|| Collector::new(sources, Arc::clone(&self.history), Some(&self.cloud)));
        let needs_restart = needs_restart(&self.started, &app.config);
        Ok(ReloadedConfig { spec: service_spec(&app.config), collector, needs_restart })
    }
}

/// `Debug` says all but what is secret; a token is read at a restart in any case.
fn differs(one: &impl Debug, other: &impl Debug) -> bool {
    format!("{one:?}") != format!("{other:?}")
}

/// Keys that differ, and that the service was built from: it would have to be built anew.
fn needs_restart(started: &Config, now: &Config) -> Vec<String> {
    let options = |config: &Config| {
        (config.hostname_prefix.clone(), config.template.clone(), config.vpc_uuid.clone(), config.monitoring)
    };
    let changed = [
        ("fleet", differs(&started.fleet, &now.fleet)),
        ("droplet_options", differs(&options(started), &options(now))),
        ("ssh_key_ids", differs(&started.ssh_keys, &now.ssh_keys)),
        ("user_data", differs(&started.user_data, &now.user_data)),
        ("api", differs(&started.api_url, &now.api_url)),
        ("haproxy", differs(&(&started.haproxy, started.droplet_address), &(&now.haproxy, now.droplet_address))),
        ("scaling.timeouts", differs(&started.deadlines, &now.deadlines)),
        ("inventory", differs(&started.inventory, &now.inventory)),
        ("history", differs(&started.metrics_database, &now.metrics_database)),
        ("telemetry", differs(&started.telemetry, &now.telemetry)),
        ("plugins", differs(&started.plugins, &now.plugins)),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key.to_owned()).collect()
}
