//! `doproxy.yml`: what may stand in it, the old DOProxy keys among it, and what it means.
//!
//! [`file`] is the shape of the file, [`yaml`] reads it and says where it is wrong, [`token`] finds the API token.
//! Here the two meet: a [`Config`] is complete, checked, and its paths are absolute. Nothing here calls the API,
//! runs HAProxy or loads a plugin.

mod advice;
mod error;
pub mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod metrics;
#[cfg(test)]
mod tests;
pub mod token;
mod values;
mod yaml;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use advice::Advice;
pub use error::ConfigError;
pub use token::{Environment, TokenSource};
pub use values::{Span, user_cache_dir, user_store_dir};

use crate::balancer::haproxy::{self, ReloadMethod, RunAs, UpdateMode};
use crate::cloud::digitalocean::ApiUrl;
use crate::controller::{AddressKind, Deadlines};
use crate::model::{Fallback, FleetName, GuardRules, HourlyPrice, Limits, Mode, Money, Template};
use crate::plugin::{LockFile, OciReference, PluginSettings, Reference};

/// The time between two ticks.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(15);

/// How long decision records are kept where nothing is said.
const DEFAULT_DECISION_LOG_RETENTION: Duration = Duration::from_hours(14 * 24);

/// Where a service is asked how it is: the port that OpenTelemetry's exporters for Prometheus use.
const DEFAULT_TELEMETRY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9464));

/// How long policies fail before the fleet is kept at its fallback.
const DEFAULT_FALLBACK_AFTER: Duration = Duration::from_mins(5);

/// The name of the file where nothing else is said.
pub const DEFAULT_FILE: &str = "doproxy.yml";

/// The name of the file beside it that says what the tags of plugins mean.
const LOCK_FILE: &str = "doproxy.lock";

/// Everything that a configuration file says, complete.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it came from.
    pub path: PathBuf,
    /// The fleet.
    pub fleet: FleetName,
    /// What names of droplets begin with.
    pub hostname_prefix: String,
    /// What droplets are made of.
    pub template: Template,
    /// Ids or fingerprints.
    pub ssh_keys: Vec<String>,
    /// The private network.
    pub vpc_uuid: Option<String>,
    /// Whether DigitalOcean's metrics agent is installed.
    pub monitoring: bool,
    /// Which address HAProxy uses.
    pub droplet_address: AddressKind,
    /// The API; `DIGITALOCEAN_API_URL` goes before it.
    pub api_url: ApiUrl,
    /// Where user data comes from.
    pub user_data: UserDataConfig,
    /// The bounds of the fleet.
    pub limits: Limits,
    /// What the guard holds beside them.
    pub rules: GuardRules,
    /// The time between two ticks.
    pub interval: Duration,
    /// The policies.
    pub policies: Vec<PolicyConfig>,
    /// How long things may take.
    pub deadlines: Deadlines,
    /// HAProxy.
    pub haproxy: haproxy::Options,
    /// Where `generate` writes to.
    pub generated_file: PathBuf,
    /// The inventory.
    pub inventory: PathBuf,
    /// The history, where it is named.
    pub metrics_database: Option<PathBuf>,
    /// Where series come from, and how long they are kept.
    pub metrics: crate::metrics::Options,
    /// How long decision records are kept.
    pub decision_log_retention: Duration,
    /// DOProxy's inventory, where it is named and there.
    pub old_inventory: Option<PathBuf>,
    /// Where a service serves what it tells about itself.
    pub telemetry: TelemetryAddress,
    /// Plugins.
    pub plugins: PluginSettings,
    /// What the file would rather say.
    pub advice: Vec<Advice>,
    token: token::TokenConfig,
}

/// Where a service serves its metrics, its health and its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TelemetryAddress {
    /// Nowhere.
    None,
    /// At the usual place, where that is free: another fleet on this machine may have it.
    Default(SocketAddr),
    /// Here.
    Explicit(SocketAddr),
}

/// Where user data comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum UserDataConfig {
    /// Nowhere.
    None,
    /// A file, the same for all droplets.
    File(PathBuf),
    /// A user-data generator.
    Plugin {
        /// Which.
        plugin: Reference,
        /// Its configuration, as JSON text.
        config: String,
    },
}

/// A policy with its configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyConfig {
    /// What messages call it.
    pub name: String,
    /// Which component.
    pub plugin: Reference,
    /// Its configuration, as JSON text.
    pub config: String,
    /// Whether it is acted upon.
    pub mode: Mode,
}

impl Config {
    /// Reads and checks the file at `path`.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let absolute =
            std::path::absolute(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path, &absolute)
    }

    /// `shown` is the path as the user wrote it, for messages.
    fn parse(text: &str, shown: &Path, absolute: &Path) -> Result<Self, ConfigError> {
        let file: file::File = yaml::parse(text, shown)?;
        Ok(Self::from_file(file, shown, absolute))
    }

    /// The API token, and where it was found.
    pub fn token(&self, environment: &Environment) -> Result<(crate::model::Token, TokenSource), ConfigError> {
        token::find(&self.token, &self.path, environment)
    }

    /// Where the history is: where it is named, else beside the inventory at `inventory`.
    pub fn metrics_database_path(&self, inventory: &Path) -> PathBuf {
        self.metrics_database.clone().unwrap_or_else(|| inventory.with_extension("history.db"))
    }

    /// Every plugin that is named, the one that writes user data first.
    pub fn plugins_used(&self) -> impl Iterator<Item = &Reference> {
        let generator = match &self.user_data {
            UserDataConfig::Plugin { plugin, .. } => Some(plugin),
            UserDataConfig::None | UserDataConfig::File(_) => None,
        };
        generator.into_iter().chain(self.policies.iter().map(|policy| &policy.plugin))
    }

    fn from_file(file: file::File, shown: &Path, absolute: &Path) -> Self {
        let advice = advice::advice(&file, absolute);
        let dir = absolute.parent().unwrap_or(Path::new("/"));
        let own = file.droplet_options;
        let fleet = file.fleet.unwrap_or_else(|| own.hostname_prefix.fleet_name());
        let cfg_file = file.haproxy_cfg_file.unwrap_or_else(|| PathBuf::from("haproxy.cfg"));
        let installed =
            dir.join(file.haproxy_cfg_path.unwrap_or_else(|| PathBuf::from("/etc/haproxy"))).join(&cfg_file);
        let template_file = file.haproxy_template_file.filter(|path| !advice::is_erb(path)).map(|path| dir.join(path));
        let interval = file.scaling.interval.map_or(DEFAULT_INTERVAL, |span| span.0);
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
            policies: file.scaling.policies.into_iter().map(|policy| policy_config(policy, dir)).collect(),
            deadlines: deadlines(&file.scaling.timeouts),
            haproxy: haproxy_options(file.haproxy, fleet, installed, template_file, dir),
            generated_file: dir.join(cfg_file),
            inventory,
            metrics_database: file.history.map(|path| dir.join(path)),
            decision_log_retention: records_retention,
            metrics,
            old_inventory: file.inventory_file.map(|path| dir.join(path)).filter(|path| path.is_file()),
            telemetry: match file.telemetry.listen {
                None => TelemetryAddress::Default(DEFAULT_TELEMETRY),
                Some(values::Loopback(None)) => TelemetryAddress::None,
                Some(values::Loopback(Some(address))) => TelemetryAddress::Explicit(address),
            },
            plugins: file.plugins.settings(dir, lock),
            token: token::TokenConfig { file: file.token_file.map(|path| dir.join(path)), inline: file.token },
            advice,
        }
    }
}

fn policy_config(policy: file::Policy, dir: &Path) -> PolicyConfig {
    PolicyConfig {
        name: policy.name(),
        plugin: resolve_path(policy.plugin, dir),
        config: config_json(&policy.config),
        mode: policy.mode,
    }
}

fn limits(scaling: &file::Scaling) -> Limits {
    Limits {
        min: scaling.min,
        max: scaling.max,
        max_hourly_cost: scaling.max_hourly_cost.map(HourlyPrice::from_dollars),
        max_create: scaling.max_create_per_tick,
        max_delete: scaling.max_delete_per_tick,
    }
}

fn guard_rules(scaling: &file::Scaling) -> GuardRules {
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

fn deadlines(timeouts: &file::Timeouts) -> Deadlines {
    let or = |given: Option<Span>, default| given.map_or(default, |span| span.0);
    let default = Deadlines::default();
    Deadlines {
        create_visibility: or(timeouts.create_visibility, default.create_visibility),
        boot: or(timeouts.boot, default.boot),
        warm_up: or(timeouts.warm_up, default.warm_up),
        drain: or(timeouts.drain, default.drain),
        delete: or(timeouts.delete, default.delete),
        poll_interval: or(timeouts.poll, default.poll_interval),
    }
}

fn haproxy_options(
    given: file::Haproxy,
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
            file::ReloadPolicy::Auto => UpdateMode::Dynamic,
            file::ReloadPolicy::Always => UpdateMode::ReloadOnly,
        },
        min_reload_interval: given.min_reload_interval.map_or(default.min_reload_interval, |span| span.0),
        run_as: match given.run_as {
            None => default.run_as,
            Some(file::RunAs::Inherit) => None,
            Some(file::RunAs::Account { user, group, chroot }) => Some(RunAs { user, group, chroot }),
        },
        ..default
    }
}

/// A relative path is relative to the configuration.
fn resolve_path(reference: Reference, dir: &Path) -> Reference {
    match reference {
        Reference::File(path) => Reference::File(dir.join(path)),
        elsewhere @ (Reference::Builtin(_) | Reference::Oci(_)) => elsewhere,
    }
}

/// A plugin's configuration as the plugin gets it: an absent one is an empty object.
fn config_json(value: &serde_json::Value) -> String {
    if value.is_null() { "{}".to_owned() } else { value.to_string() }
}

impl From<file::Address> for AddressKind {
    fn from(address: file::Address) -> Self {
        match address {
            file::Address::Private => Self::Private,
            file::Address::Public => Self::Public,
        }
    }
}
