//! The format of `doproxy.yml`: every key with its meaning and default.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use doproxy_core::domain::{FleetName, Mode, Tag, TerminationPolicy};
use doproxy_digitalocean::ApiUrl;
use doproxy_plugin_host::{Limits, PluginSettings};
use doproxy_plugin_registry::{KeySource, LockFile, Reference, RegistrySettings, RepositoryPattern, Rule};
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::metrics::{Metrics, UncheckedMetrics};
use crate::schema;
use crate::values;
use crate::values::{HostnamePrefix, Span, Text};

/// The whole file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "these are the keys of DOProxy's own file")]
pub struct File {
    /// The API token. Prefer, in order of precedence, `DIGITALOCEAN_TOKEN`, systemd's credential `doproxy-token`, or a
    /// `token_file`; all three override this key.
    #[schemars(extend("writeOnly" = true))]
    pub token: Option<Text>,
    /// A file that contains only the token and is readable only by its owner.
    pub token_file: Option<PathBuf>,
    /// SSH keys of new droplets, as IDs or fingerprints.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    pub ssh_key_ids: Vec<Text>,
    /// File with the user data of every droplet.
    pub userdata_file: Option<PathBuf>,
    /// File name of HAProxy's configuration. `generate` writes it next to this file.
    #[schemars(extend("default" = "haproxy.cfg"))]
    pub haproxy_cfg_file: Option<PathBuf>,
    /// Directory in which HAProxy's configuration is installed.
    #[schemars(extend("default" = "/etc/haproxy"))]
    pub haproxy_cfg_path: Option<PathBuf>,
    /// A custom template.
    pub haproxy_template_file: Option<PathBuf>,
    /// The DOProxy inventory, for `import`.
    pub inventory_file: Option<PathBuf>,
    /// Properties of new droplets.
    pub droplet_options: DropletOptions,
    /// The fleet's name; its droplets have the tag `doproxy:NAME`. Default: the hostname prefix.
    #[serde(default)]
    #[schemars(schema_with = "schema::fleet_name")]
    pub fleet: Option<FleetName>,
    /// The API.
    #[serde(default)]
    pub api: Api,
    /// Plugin that generates user data; takes precedence over `userdata_file`.
    pub user_data: Option<Plugin>,
    /// Limits, policies and timeouts.
    #[serde(default, deserialize_with = "checked_scaling")]
    pub scaling: Scaling,
    /// HAProxy.
    #[serde(default)]
    pub haproxy: Haproxy,
    /// Path of the inventory.
    #[schemars(extend("default" = "doproxy.db"))]
    pub inventory: Option<PathBuf>,
    /// Metric sources other than HAProxy, and the retention of their series.
    #[serde(default)]
    #[schemars(with = "UncheckedMetrics")]
    pub metrics: Metrics,
    /// Decision records.
    #[serde(default)]
    pub decision_log: DecisionLog,
    /// Metrics, health and status endpoints of `doproxy run`.
    #[serde(default)]
    pub telemetry: Telemetry,
    /// Plugin limits and the cache of compiled plugins.
    #[serde(default)]
    pub plugins: Plugins,
}

/// Properties of new droplets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DropletOptions {
    /// Prefix of droplet names.
    pub hostname_prefix: HostnamePrefix,
    /// Region slug.
    pub region: Text,
    /// Size slug.
    pub size: Text,
    /// Image slug or ID.
    pub image: Text,
    /// Tags in addition to the fleet's own.
    #[serde(default)]
    #[schemars(schema_with = "schema::tags", extend("default" = []))]
    pub tags: Vec<Tag>,
    /// The private network. Default: the region's default network.
    pub vpc_uuid: Option<String>,
    /// Installs the metrics agent.
    #[serde(default)]
    pub monitoring: bool,
}

/// The API.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Base URL; must be https unless it is on the local machine.
    #[serde(deserialize_with = "values::parsed")]
    #[schemars(schema_with = "schema::api_url", extend("default" = "https://api.digitalocean.com"))]
    pub url: ApiUrl,
}

/// A plugin with its configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    /// `builtin:NAME`, `file:PATH` or `oci://REGISTRY/REPOSITORY:TAG`.
    #[serde(deserialize_with = "values::parsed")]
    #[schemars(schema_with = "schema::plugin_reference")]
    pub plugin: Reference,
    /// Configuration passed to the plugin.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub config: serde_json::Value,
}

/// A policy with its configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Name of the policy in messages. Default: the plugin's reference.
    pub name: Option<String>,
    /// `builtin:NAME`, `file:PATH` or `oci://REGISTRY/REPOSITORY:TAG`.
    #[serde(deserialize_with = "values::parsed")]
    #[schemars(schema_with = "schema::plugin_reference")]
    pub plugin: Reference,
    /// Configuration passed to the plugin.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub config: serde_json::Value,
    /// `active` or `shadow`.
    #[serde(default)]
    #[schemars(schema_with = "schema::mode", extend("default" = "active"))]
    pub mode: Mode,
}

impl Policy {
    /// Returns the name of the policy in messages.
    pub(super) fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.plugin.to_string())
    }
}

/// Limits, policies and timeouts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Scaling {
    /// Minimum number of droplets.
    pub min: u32,
    /// Maximum number of droplets.
    pub max: u32,
    /// Maximum number of droplets created per tick.
    pub max_create_per_tick: u32,
    /// Maximum number of droplets deleted per tick.
    pub max_delete_per_tick: u32,
    /// Maximum number of droplets created per hour, both manually and by policies.
    pub max_create_per_hour: u32,
    /// Maximum cost of the fleet per hour, in dollars. Default: no cap.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub max_hourly_cost: Option<f64>,
    /// Maximum cost of the fleet per calendar month (UTC), in dollars. Default: no cap.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub max_monthly_cost: Option<f64>,
    /// The time between two ticks.
    #[schemars(extend("default" = "15s"))]
    pub interval: Option<Span>,
    /// Interval between polls of the API while operations are in progress.
    #[schemars(extend("default" = "5s"))]
    pub poll_interval: Option<Span>,
    /// Minimum times between changes.
    pub cooldown: Cooldown,
    /// Window of past recommendations: the fleet shrinks no further than the largest size recommended within it.
    #[schemars(extend("default" = "60s"))]
    pub stabilization_window: Option<Span>,
    /// Prevents a scale-in that would immediately cause a scale-out.
    #[schemars(extend("default" = true))]
    pub flap_protection: Option<bool>,
    /// Order in which droplets are deleted, if the policy does not choose them.
    #[schemars(schema_with = "schema::termination_policy", extend("default" = "billed_first"))]
    pub termination_policy: TerminationPolicy,
    /// Replacement of droplets that have served and no longer pass their health check.
    pub repair: Repair,
    /// Minimum size of the fleet while its policies fail. Default: the current size.
    pub fallback: Option<Fallback>,
    /// The policies that decide.
    #[schemars(extend("default" = []))]
    pub policies: Vec<Policy>,
    /// Timeouts of operations.
    pub timeouts: Timeouts,
}

impl Default for Scaling {
    fn default() -> Self {
        Self {
            min: 1,
            max: 10,
            max_create_per_tick: 5,
            max_delete_per_tick: 1,
            max_create_per_hour: 120,
            max_hourly_cost: None,
            max_monthly_cost: None,
            interval: None,
            poll_interval: None,
            cooldown: Cooldown::default(),
            stabilization_window: None,
            flap_protection: None,
            termination_policy: TerminationPolicy::default(),
            repair: Repair::default(),
            fallback: None,
            policies: Vec::new(),
            timeouts: Timeouts::default(),
        }
    }
}

/// Deserializes [`Scaling`] and validates its values against each other.
fn checked_scaling<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Scaling, D::Error> {
    let scaling = Scaling::deserialize(deserializer)?;
    scaling.check().map_err(D::Error::custom)?;
    Ok(scaling)
}

impl Scaling {
    fn check(&self) -> Result<(), String> {
        let Self { min, max, .. } = self;
        if min > max {
            return Err(format!("scaling.min ({min}) exceeds scaling.max ({max})"));
        }
        for (key, cost) in [("max_hourly_cost", self.max_hourly_cost), ("max_monthly_cost", self.max_monthly_cost)] {
            if cost.is_some_and(|cost| !cost.is_finite() || cost <= 0.0) {
                return Err(format!("scaling.{key} must be greater than 0, in dollars; omit it for no cap"));
            }
        }
        if self.timeouts.create_visibility.as_ref().is_some_and(|span| span.0.is_zero()) {
            return Err(
                "scaling.timeouts.create_visibility must be greater than 0, because lists lag and a create would be sent twice"
                    .to_owned(),
            );
        }
        if self.interval.as_ref().is_some_and(|interval| interval.0 < MIN_INTERVAL) {
            return Err(
                "scaling.interval must be at least 1s, because rates need two samples some time apart".to_owned()
            );
        }
        if self.interval.as_ref().is_some_and(|interval| interval.0 > MAX_INTERVAL) {
            return Err("scaling.interval must be at most one day".to_owned());
        }
        if let Some(fallback) = &self.fallback
            && !(*min..=*max).contains(&fallback.size)
        {
            let size = fallback.size;
            return Err(format!("scaling.fallback.size ({size}) must be between scaling.min and scaling.max"));
        }
        let mut names = HashSet::new();
        for policy in &self.policies {
            let name = policy.name();
            if !names.insert(name.clone()) {
                return Err(format!("scaling.policies has two policies {name:?}; set a unique `name` for each"));
            }
        }
        Ok(())
    }
}

/// The longest tick interval; a longer one is most likely a mistake.
const MAX_INTERVAL: Duration = Duration::from_hours(24);

/// The shortest tick interval, because rates need two samples some time apart.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// Minimum times between changes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cooldown {
    /// From the last create to the next. Starting droplets count as capacity.
    #[schemars(extend("default" = "0s"))]
    pub out: Option<Span>,
    /// From the last create or delete to the next delete.
    #[serde(rename = "in")]
    #[schemars(extend("default" = "60s"))]
    pub in_: Option<Span>,
}

/// Replacement of droplets that have served and no longer pass their health check.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Repair {
    /// Replaces unhealthy droplets.
    #[schemars(extend("default" = true))]
    pub enabled: Option<bool>,
    /// Time that a droplet may be unhealthy before it is replaced.
    #[schemars(extend("default" = "3m"))]
    pub grace_period: Option<Span>,
    /// Maximum number of replacements per hour.
    #[schemars(extend("default" = 6))]
    pub max_per_hour: Option<u32>,
}

/// Minimum size of the fleet while its policies fail.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    /// Minimum number of droplets.
    pub size: u32,
    /// Time that the policies must have failed before the fallback applies.
    #[schemars(extend("default" = "5m"))]
    pub after: Option<Span>,
}

/// Timeouts of operations: `90s`, `10m`, or a number of seconds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// Time for a droplet to appear in lists after a create request whose response was lost.
    #[schemars(extend("default" = "120s"))]
    pub create_visibility: Option<Span>,
    /// Time for a droplet to become active with an address.
    #[schemars(extend("default" = "10m"))]
    pub boot: Option<Span>,
    /// Time for a droplet's health check to pass.
    #[schemars(extend("default" = "10m"))]
    pub warm_up: Option<Span>,
    /// Time for a droplet's sessions to end before it is deleted.
    #[schemars(extend("default" = "60s"))]
    pub drain: Option<Span>,
    /// Time for the API to delete a droplet.
    #[schemars(extend("default" = "10m"))]
    pub delete: Option<Span>,
}

/// The address of a droplet that HAProxy connects to.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Address {
    /// The private address.
    #[default]
    Private,
    /// The public address.
    Public,
}

/// The account that HAProxy runs as.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum RunAs {
    /// A separate account.
    Account {
        /// User name.
        user: String,
        /// Group name.
        group: String,
        /// Directory to chroot into.
        chroot: Option<PathBuf>,
    },
    /// The account that starts HAProxy: `run_as: inherit`.
    #[serde(deserialize_with = "values::inherit")]
    Inherit,
}

/// The changes that are applied by a reload of HAProxy.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReloadPolicy {
    /// Only those that HAProxy's Runtime API does not support.
    #[default]
    Auto,
    /// All changes.
    Always,
}

/// HAProxy.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Haproxy {
    /// Addresses to listen on.
    #[schemars(extend("default" = ["*:80"]))]
    pub bind: Option<Vec<String>>,
    /// Port of the droplets.
    #[schemars(extend("default" = 80))]
    pub port: Option<u16>,
    /// Path of the health check. Every web server serves `/`.
    #[schemars(extend("default" = "/"))]
    pub health_path: Option<String>,
    /// Maximum number of concurrent sessions per droplet; more are queued.
    #[schemars(extend("default" = 200))]
    pub maxconn: Option<u32>,
    /// Interval between health checks of a droplet.
    #[schemars(extend("default" = "2s"))]
    pub check_interval: Option<Span>,
    /// Address of HAProxy's Prometheus endpoint, in the format of `bind`. Default: disabled.
    pub prometheus_bind: Option<String>,
    /// Path of the syslog socket, or `none`.
    #[schemars(extend("default" = "/dev/log"))]
    pub log: Option<PathBuf>,
    /// The address of a droplet that HAProxy connects to.
    #[schemars(extend("default" = "private"))]
    pub droplet_address: Address,
    /// Socket of the Runtime API.
    #[schemars(extend("default" = "/run/haproxy/admin.sock"))]
    pub stats_socket: Option<PathBuf>,
    /// Socket of the master CLI, for reloads.
    #[schemars(extend("default" = "/run/haproxy-master.sock"))]
    pub master_socket: Option<PathBuf>,
    /// Command that reloads HAProxy, instead of the master CLI.
    pub reload_command: Option<Vec<String>>,
    /// Applies every change by a reload, or only those that the Runtime API does not support.
    #[schemars(extend("default" = "auto"))]
    pub reload: ReloadPolicy,
    /// Minimum time between reloads; changes in between are applied by the next one.
    #[schemars(extend("default" = "5s"))]
    pub min_reload_interval: Option<Span>,
    /// The HAProxy executable.
    #[schemars(extend("default" = "/usr/sbin/haproxy"))]
    pub binary: Option<PathBuf>,
    /// The account that HAProxy runs as.
    #[schemars(schema_with = "schema::run_as", extend("default" = {"user": "haproxy", "group": "haproxy", "chroot": "/var/lib/haproxy"}))]
    pub run_as: Option<RunAs>,
}

/// The decision log.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DecisionLog {
    /// Retention of decision records; at most `metrics.retention`, because records refer to samples.
    #[schemars(extend("default" = "14d"))]
    pub retention: Option<Span>,
}

/// Metrics, health and status endpoints of `doproxy run`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// Listen address of `/metrics`, `/healthz` and `/status`: a loopback address with a port, or `none`.
    /// Default: `127.0.0.1:9464` if it is free.
    pub listen: Option<values::Loopback>,
}

/// Plugin limits, storage and trust rules.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Plugins {
    /// Cache of compiled plugins. Default: `doproxy/plugins` in the user's cache directory.
    pub cache: Option<PathBuf>,
    /// Store of plugins from registries. Default: `doproxy/plugins` in the user's data directory.
    pub store: Option<PathBuf>,
    /// Trust rules for plugins from registries. Default: all are accepted, signed or not.
    #[schemars(with = "Option<Vec<UncheckedTrustRule>>")]
    pub trust: Option<Vec<TrustRule>>,
    /// Resource limits.
    pub limits: PluginLimits,
}

/// The keys trusted to sign plugins of a repository.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, try_from = "UncheckedTrustRule")]
pub struct TrustRule {
    /// The repositories that the rule applies to.
    pub repository: RepositoryPattern,
    /// Public keys, as files or inline PEM.
    pub keys: Vec<String>,
    /// Accepts unsigned plugins.
    pub allow_unsigned: bool,
}

/// [`TrustRule`] before its keys are validated.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UncheckedTrustRule {
    /// `registry.example.com/acme/queue` for one repository, `registry.example.com/acme/*` for all below a path, `*`
    /// for all.
    #[serde(deserialize_with = "values::parsed")]
    #[schemars(schema_with = "schema::text")]
    repository: RepositoryPattern,
    /// Public keys, as files or inline PEM. One matching signature is sufficient.
    #[serde(default)]
    keys: Vec<String>,
    /// Accepts unsigned plugins.
    #[serde(default)]
    allow_unsigned: bool,
}

impl TryFrom<UncheckedTrustRule> for TrustRule {
    type Error = String;

    fn try_from(rule: UncheckedTrustRule) -> Result<Self, String> {
        let UncheckedTrustRule { repository, keys, allow_unsigned } = rule;
        if keys.is_empty() && !allow_unsigned {
            return Err(format!(
                "the rule for {repository} has no keys and would reject every plugin; list one under `keys` (`doproxy plugin keygen` generates a pair), or set `allow_unsigned: true`"
            ));
        }
        Ok(Self { repository, keys, allow_unsigned })
    }
}

impl TrustRule {
    fn into_rule(self, dir: &std::path::Path) -> Rule {
        let key = |key: String| match key.trim_start() {
            text if text.starts_with("-----BEGIN ") => KeySource::Pem(key),
            _ => KeySource::File(dir.join(key)),
        };
        Rule {
            repository: self.repository,
            keys: self.keys.into_iter().map(key).collect(),
            allow_unsigned: self.allow_unsigned,
        }
    }
}

/// Resource limits of a plugin; exceeding one is an error that names the key. Sizes are in bytes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PluginLimits {
    /// Size of a component.
    #[schemars(extend("default" = 67_108_864))]
    pub component_bytes: Option<usize>,
    /// Wall-clock time to compile a component.
    #[schemars(extend("default" = "60s"))]
    pub compile_timeout: Option<Span>,
    /// CPU time to compile a component, in whole seconds.
    #[schemars(extend("default" = "60s"))]
    pub compile_cpu_time: Option<Span>,
    /// Memory of the compiling process, including its code.
    #[schemars(extend("default" = 2_147_483_648_u64))]
    pub compile_memory_bytes: Option<usize>,
    /// Total size of the linear memories in one call.
    #[schemars(extend("default" = 67_108_864))]
    pub memory_bytes: Option<usize>,
    /// Fuel per call, about one unit per instruction.
    #[schemars(extend("default" = 100_000_000))]
    pub fuel: Option<u64>,
    /// Wall-clock time per call.
    #[schemars(extend("default" = "250ms"))]
    pub call_timeout: Option<Span>,
    /// Size of the state that a decision returns.
    #[schemars(extend("default" = 65_536))]
    pub state_bytes: Option<usize>,
    /// Size of a whole decision.
    #[schemars(extend("default" = 1_048_576))]
    pub decision_bytes: Option<usize>,
    /// Size of user data.
    #[schemars(extend("default" = 65_536))]
    pub user_data_bytes: Option<usize>,
    /// Log lines per call.
    #[schemars(extend("default" = 100))]
    pub log_lines: Option<usize>,
}

impl Plugins {
    /// Returns the settings of the plugin host.
    pub(super) fn settings(self, dir: &std::path::Path, lock: LockFile) -> PluginSettings {
        let (given, default) = (self.limits, Limits::default());
        let limits = Limits {
            component_bytes: given.component_bytes.unwrap_or(default.component_bytes),
            compile_timeout: given.compile_timeout.map_or(default.compile_timeout, |span| span.0),
            compile_cpu_time: given.compile_cpu_time.map_or(default.compile_cpu_time, |span| span.0),
            compile_memory_bytes: given.compile_memory_bytes.unwrap_or(default.compile_memory_bytes),
            memory_bytes: given.memory_bytes.unwrap_or(default.memory_bytes),
            fuel: given.fuel.unwrap_or(default.fuel),
            call_timeout: given.call_timeout.map_or(default.call_timeout, |span| span.0),
            state_bytes: given.state_bytes.unwrap_or(default.state_bytes),
            decision_bytes: given.decision_bytes.unwrap_or(default.decision_bytes),
            user_data_bytes: given.user_data_bytes.unwrap_or(default.user_data_bytes),
            log_lines: given.log_lines.unwrap_or(default.log_lines),
        };
        let cache_dir = self.cache.map(|path| dir.join(path)).or_else(values::user_cache_dir);
        let sharing = RegistrySettings {
            store: self.store.map(|path| dir.join(path)).or_else(values::user_store_dir),
            lock: Some(lock),
            trust: self.trust.map(|rules| rules.into_iter().map(|rule| rule.into_rule(dir)).collect()),
            ..RegistrySettings::default()
        };
        PluginSettings { limits, cache_dir, registry: sharing, ..PluginSettings::default() }
    }
}
