//! `doproxy.yml`: its keys, including those of DOProxy, and their meaning.
//!
//! [`file`] is the format of the file, [`yaml`] parses it and reports the position of errors, [`token`] finds the API
//! token. This module combines them: a [`Config`] is complete and validated, and its paths are absolute. Nothing here
//! calls the API, runs HAProxy or loads a plugin.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use doproxy_core::domain::{Deadlines, Fallback, FleetName, GuardRules, HourlyPrice, Limits, Mode, Money, Template};
use doproxy_core::seams::AddressKind;
use doproxy_digitalocean::ApiUrl;
use doproxy_haproxy as haproxy;
use doproxy_haproxy::{ReloadMethod, RunAs, UpdateMode};
use doproxy_plugin_host::PluginSettings;
use doproxy_plugin_registry::{LockFile, OciReference, Reference};

use crate::advice::Advice;
use crate::error::ConfigError;
use crate::token::{Environment, TokenSource};
use crate::values::Span;

/// The default time between two ticks.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(15);

/// The default retention of decision records.
const DEFAULT_DECISION_LOG_RETENTION: Duration = Duration::from_hours(14 * 24);

/// The default address of the telemetry endpoints: the port of OpenTelemetry's Prometheus exporters.
const DEFAULT_TELEMETRY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9464));

/// The default time that policies must have failed before the fallback applies.
const DEFAULT_FALLBACK_AFTER: Duration = Duration::from_mins(5);

/// The default file name.
pub const DEFAULT_FILE: &str = "doproxy.yml";

/// The name of the lock file next to it, which pins the tags of plugins to digests.
const LOCK_FILE: &str = "doproxy.lock";

/// A complete, validated configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Path of the configuration file.
    pub path: PathBuf,
    /// Name of the fleet.
    pub fleet: FleetName,
    /// Prefix of droplet names.
    pub hostname_prefix: String,
    /// Properties of new droplets.
    pub template: Template,
    /// SSH keys, as IDs or fingerprints.
    pub ssh_keys: Vec<String>,
    /// The private network.
    pub vpc_uuid: Option<String>,
    /// Installs DigitalOcean's metrics agent.
    pub monitoring: bool,
    /// The address of a droplet that HAProxy connects to.
    pub droplet_address: AddressKind,
    /// Base URL of the API; `DIGITALOCEAN_API_URL` takes precedence.
    pub api_url: ApiUrl,
    /// Source of user data.
    pub user_data: UserDataConfig,
    /// Limits of the fleet.
    pub limits: Limits,
    /// Guard rules in addition to the limits.
    pub rules: GuardRules,
    /// The time between two ticks.
    pub interval: Duration,
    /// The policies.
    pub policies: Vec<PolicyConfig>,
    /// Timeouts of operations.
    pub deadlines: Deadlines,
    /// HAProxy.
    pub haproxy: haproxy::Options,
    /// Path that `generate` writes to.
    pub generated_file: PathBuf,
    /// Path of the inventory.
    pub inventory: PathBuf,
    /// Path of the metrics database, if configured.
    pub metrics_database: Option<PathBuf>,
    /// Metric sources and the retention of their series.
    pub metrics: doproxy_metrics::Options,
    /// Retention of decision records.
    pub decision_log_retention: Duration,
    /// Path of the DOProxy inventory, if configured and existing.
    pub old_inventory: Option<PathBuf>,
    /// Listen address of the telemetry endpoints.
    pub telemetry: TelemetryAddress,
    /// Plugins.
    pub plugins: PluginSettings,
    /// Advice on the file.
    pub advice: Vec<Advice>,
    token: crate::token::TokenConfig,
}

/// Listen address of a service's metrics, health and status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TelemetryAddress {
    /// Disabled.
    None,
    /// The default address, if it is free: another fleet on this machine may use it.
    Default(SocketAddr),
    /// A configured address.
    Explicit(SocketAddr),
}

/// Source of user data.
#[derive(Debug, Clone, PartialEq)]
pub enum UserDataConfig {
    /// No user data.
    None,
    /// A file with the user data of all droplets.
    File(PathBuf),
    /// A user-data generator.
    Plugin {
        /// The generator.
        plugin: Reference,
        /// Its configuration, as JSON text.
        config: String,
    },
}

/// A policy with its configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyConfig {
    /// Name of the policy in messages.
    pub name: String,
    /// The component.
    pub plugin: Reference,
    /// Its configuration, as JSON text.
    pub config: String,
    /// Active or shadow mode.
    pub mode: Mode,
}

impl Config {
    /// Reads and checks the file at `path`.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let (text, absolute) = Self::read(path)?;
        Self::parse(&text, path, &absolute)
    }

    /// Returns the text of the file at `path`, and its absolute path.
    pub(crate) fn read(path: &Path) -> Result<(String, PathBuf), ConfigError> {
        let read = |source| ConfigError::Read { path: path.to_owned(), source };
        Ok((std::fs::read_to_string(path).map_err(read)?, std::path::absolute(path).map_err(read)?))
    }

    /// Parses a configuration. `shown` is the path as given by the user, for messages.
    pub(crate) fn parse(text: &str, shown: &Path, absolute: &Path) -> Result<Self, ConfigError> {
        let file: crate::file::File = crate::yaml::parse(text, shown)?;
        Ok(Self::from_file(file, shown, absolute))
    }

    /// Returns the API token and its source.
    pub fn token(&self, environment: &Environment) -> Result<(doproxy_core::domain::Token, TokenSource), ConfigError> {
        crate::token::find(&self.token, &self.path, environment)
    }

    /// Returns the source of the API token without reading it; `None` if there is none.
    pub(crate) fn token_source(&self, environment: &Environment) -> Option<TokenSource> {
        crate::token::source(&self.token, &self.path, environment)
    }

    /// Returns the path of the metrics database: the configured one, or a file next to the inventory at `inventory`.
    pub fn metrics_database_path(&self, inventory: &Path) -> PathBuf {
        self.metrics_database.clone().unwrap_or_else(|| inventory.with_extension("history.db"))
    }

    /// Returns every configured plugin, the user-data generator first.
    pub fn plugins_used(&self) -> impl Iterator<Item = &Reference> {
        let generator = match &self.user_data {
            UserDataConfig::Plugin { plugin, .. } => Some(plugin),
            UserDataConfig::None | UserDataConfig::File(_) => None,
        };
        generator.into_iter().chain(self.policies.iter().map(|policy| &policy.plugin))
    }

    fn from_file(file: crate::file::File, shown: &Path, absolute: &Path) -> Self {
        let advice = crate::advice::advice(&file, absolute);
        let dir = absolute.parent().unwrap_or(Path::new("/"));
        let own = file.droplet_options;
        let fleet = file.fleet.unwrap_or_else(|| own.hostname_prefix.fleet_name());
        let cfg_file = file.haproxy_cfg_file.unwrap_or_else(|| PathBuf::from("haproxy.cfg"));
        let installed =
            dir.join(file.haproxy_cfg_path.unwrap_or_else(|| PathBuf::from("/etc/haproxy"))).join(&cfg_file);
        let template_file =
            file.haproxy_template_file.filter(|path| !crate::advice::is_erb(path)).map(|path| dir.join(path));
        let interval = file.scaling.interval.map_or(DEFAULT_INTERVAL, |span| span.0);
        let metrics_database = file.metrics.database.clone().map(|path| dir.join(path));
        let metrics = file.metrics.options(dir, interval);
        let records_retention = file.decision_log.retention.map_or(DEFAULT_DECISION_LOG_RETENTION, |span| span.0);
        let records_retention = records_retention.min(metrics.retention.raw);
        let inventory = dir.join(file.inventory.unwrap_or_else(|| PathBuf::from("doproxy.db")));
        let named = file.user_data.iter().map(|plugin| &plugin.plugin);
        let named = named.chain(file.scaling.policies.iter().map(|policy| &policy.plugin));
        let references = named.filter_map(|plugin| match plugin {
            Reference::Oci(reference) => Some(OciReference::clone(reference)),
            Reference::Builtin(_) | Reference::File(_) => None,
        });
        let lock = LockFile { path: dir.join(LOCK_FILE), references: references.collect() };
        Self {
            path: shown.to_owned(),
            fleet: fleet.clone(),
            hostname_prefix: own.hostname_prefix.into(),
            template: Template {
                size: own.size.into(),
                region: own.region.into(),
                image: own.image.into(),
                tags: own.tags,
            },
            ssh_keys: file.ssh_key_ids.into_iter().map(Into::into).collect(),
            vpc_uuid: own.vpc_uuid,
            monitoring: own.monitoring,
            droplet_address: file.haproxy.droplet_address.into(),
            api_url: file.api.url,
            user_data: match (file.user_data, file.userdata_file) {
                (Some(plugin), _) => UserDataConfig::Plugin {
                    plugin: resolve_path(plugin.plugin, dir),
                    config: config_json(&plugin.config),
                },
                (None, Some(path)) => UserDataConfig::File(dir.join(path)),
                (None, None) => UserDataConfig::None,
            },
            limits: limits(&file.scaling),
            rules: guard_rules(&file.scaling),
            interval,
            deadlines: deadlines(&file.scaling),
            policies: file.scaling.policies.into_iter().map(|policy| policy_config(policy, dir)).collect(),
            haproxy: haproxy_options(file.haproxy, fleet, installed, template_file, dir),
            generated_file: dir.join(cfg_file),
            inventory,
            metrics_database,
            decision_log_retention: records_retention,
            metrics,
            old_inventory: file.inventory_file.map(|path| dir.join(path)).filter(|path| path.is_file()),
            telemetry: match file.telemetry.listen {
                None => TelemetryAddress::Default(DEFAULT_TELEMETRY),
                Some(crate::values::Loopback(None)) => TelemetryAddress::None,
                Some(crate::values::Loopback(Some(address))) => TelemetryAddress::Explicit(address),
            },
            plugins: file.plugins.settings(dir, lock),
            token: crate::token::TokenConfig { file: file.token_file.map(|path| dir.join(path)), inline: file.token },
            advice,
        }
    }
}

fn policy_config(policy: crate::file::Policy, dir: &Path) -> PolicyConfig {
    PolicyConfig {
        name: policy.name(),
        plugin: resolve_path(policy.plugin, dir),
        config: config_json(&policy.config),
        mode: policy.mode,
    }
}

fn limits(scaling: &crate::file::Scaling) -> Limits {
    Limits {
        min: scaling.min,
        max: scaling.max,
        max_hourly_cost: scaling.max_hourly_cost.map(HourlyPrice::from_dollars),
        max_create: scaling.max_create_per_tick,
        max_delete: scaling.max_delete_per_tick,
    }
}

fn guard_rules(scaling: &crate::file::Scaling) -> GuardRules {
    let default = GuardRules::default();
    let or = |given: &Option<Span>, default| given.as_ref().map_or(default, |span| span.0);
    let unhealthy = &scaling.repair;
    GuardRules {
        cooldown_out: or(&scaling.cooldown.out, default.cooldown_out),
        cooldown_in: or(&scaling.cooldown.in_, default.cooldown_in),
        stabilization_window: or(&scaling.stabilization_window, default.stabilization_window),
        flap_protection: scaling.flap_protection.unwrap_or(default.flap_protection),
        max_monthly_cost: scaling.max_monthly_cost.map(Money::from_dollars),
        max_create_per_hour: scaling.max_create_per_hour,
        termination_policy: scaling.termination_policy,
        repair_grace_period: match (unhealthy.enabled, &unhealthy.grace_period) {
            (Some(false), _) => None,
            (_, Some(after)) => Some(after.0),
            (_, None) => default.repair_grace_period,
        },
        max_replace_per_hour: unhealthy.max_per_hour.unwrap_or(default.max_replace_per_hour),
        fallback: scaling
            .fallback
            .as_ref()
            .map(|fallback| Fallback { size: fallback.size, after: or(&fallback.after, DEFAULT_FALLBACK_AFTER) }),
    }
}

fn deadlines(scaling: &crate::file::Scaling) -> Deadlines {
    let or = |given: Option<Span>, default| given.map_or(default, |span| span.0);
    let default = Deadlines::default();
    let timeouts = &scaling.timeouts;
    Deadlines {
        create_visibility: or(timeouts.create_visibility, default.create_visibility),
        boot: or(timeouts.boot, default.boot),
        warm_up: or(timeouts.warm_up, default.warm_up),
        drain: or(timeouts.drain, default.drain),
        delete: or(timeouts.delete, default.delete),
        poll_interval: or(scaling.poll_interval, default.poll_interval),
    }
}

fn haproxy_options(
    given: crate::file::Haproxy,
    fleet: FleetName,
    installed: PathBuf,
    template: Option<PathBuf>,
    dir: &Path,
) -> haproxy::Options {
    let default = haproxy::Options::new(installed);
    haproxy::Options {
        fleet: Some(fleet),
        template,
        binary: given.binary.unwrap_or(default.binary),
        bind: given.bind.unwrap_or(default.bind),
        server_port: given.port.unwrap_or(default.server_port),
        health_path: given.health_path.unwrap_or(default.health_path),
        maxconn: given.maxconn.unwrap_or(default.maxconn),
        stats_socket: given.stats_socket.map_or(default.stats_socket, |path| dir.join(path)),
        check_interval: given.check_interval.map_or(default.check_interval, |span| span.0),
        prometheus_bind: given.prometheus_bind,
        log: match given.log {
            None => default.log,
            Some(path) if path.as_os_str() == "none" => None,
            Some(path) => Some(dir.join(path)),
        },
        reload: match (given.reload_command, given.master_socket) {
            (Some(command), _) => ReloadMethod::Command(command),
            (None, Some(socket)) => ReloadMethod::MasterSocket(dir.join(socket)),
            (None, None) => default.reload,
        },
        update_mode: match given.reload {
            crate::file::ReloadPolicy::Auto => UpdateMode::Dynamic,
            crate::file::ReloadPolicy::Always => UpdateMode::ReloadOnly,
        },
        min_reload_interval: given.min_reload_interval.map_or(default.min_reload_interval, |span| span.0),
        run_as: match given.run_as {
            None => default.run_as,
            Some(crate::file::RunAs::Inherit) => None,
            Some(crate::file::RunAs::Account { user, group, chroot }) => Some(RunAs { user, group, chroot }),
        },
        ..default
    }
}

/// Resolves a relative path of a reference against the configuration's directory.
fn resolve_path(reference: Reference, dir: &Path) -> Reference {
    match reference {
        Reference::File(path) => Reference::File(dir.join(path)),
        elsewhere @ (Reference::Builtin(_) | Reference::Oci(_)) => elsewhere,
    }
}

/// Returns the configuration passed to a plugin as JSON text; an empty object if absent.
fn config_json(value: &serde_json::Value) -> String {
    if value.is_null() { "{}".to_owned() } else { value.to_string() }
}

impl From<crate::file::Address> for AddressKind {
    fn from(address: crate::file::Address) -> Self {
        match address {
            crate::file::Address::Private => Self::Private,
            crate::file::Address::Public => Self::Public,
        }
    }
}
