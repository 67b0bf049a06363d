//! The shape of `doproxy.yml`. Every key is here, with what it means and what it is when it is left out.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::metrics::Metrics;
use super::values::{self, HostnamePrefix, Span, Text};
use crate::cloud::digitalocean::ApiUrl;
use crate::model::{FleetName, Mode, Tag, TerminationPolicy};
use crate::plugin::{
    KeySource, Limits, LockFile, PluginSettings, Reference, RegistrySettings, RepositoryPattern, Rule,
};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The API token; `DIGITALOCEAN_TOKEN`, systemd's credential `doproxy-token` and a `token_file` are better, and go
    /// before it in this order.
    pub token: Option<Text>,
    /// A file that holds the token and nothing else, readable by its owner alone.
    pub token_file: Option<PathBuf>,
    /// SSH keys of new droplets: ids or fingerprints.
    #[serde(default)]
    pub ssh_key_ids: Vec<Text>,
    /// User data, the same for every droplet.
    pub userdata_file: Option<PathBuf>,
    /// The name of HAProxy's configuration. `generate` writes it beside this file.
    pub haproxy_cfg_file: Option<PathBuf>,
    /// The folder that it is installed to. Default `/etc/haproxy`.
    pub haproxy_cfg_path: Option<PathBuf>,
    /// A template of your own.
    pub haproxy_template_file: Option<PathBuf>,
    /// DOProxy's inventory, for `import`.
    pub inventory_file: Option<PathBuf>,
    /// What droplets are made of.
    pub droplet_options: DropletOptions,
    /// The fleet's name: its droplets bear the tag `doproxy:NAME`. Default: the hostname prefix.
    pub fleet: Option<FleetName>,
    /// The API.
    #[serde(default)]
    pub api: Api,
    /// A plugin that writes user data; goes before `userdata_file`.
    pub user_data: Option<Plugin>,
    /// Limits, policies, timeouts.
    #[serde(default, deserialize_with = "checked_scaling")]
    pub scaling: Scaling,
    /// HAProxy.
    #[serde(default)]
    pub haproxy: Haproxy,
    /// The inventory. Default `doproxy.db` beside this file.
    pub inventory: Option<PathBuf>,
    /// What was measured. Default `doproxy.history.db` beside the inventory, after whose name it is called.
    pub history: Option<PathBuf>,
    /// Where series come from beside HAProxy, and how long they are kept.
    #[serde(default)]
    pub metrics: Metrics,
    /// Decision records.
    #[serde(default)]
    pub decision_log: DecisionLog,
    /// What `doproxy run` tells about itself.
    #[serde(default)]
    pub telemetry: Telemetry,
    /// Limits of plugins, and where compiled ones are kept.
    #[serde(default)]
    pub plugins: Plugins,
}

/// What droplets are made of.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropletOptions {
    /// What names begin with.
    pub hostname_prefix: HostnamePrefix,
    /// Region slug.
    pub region: Text,
    /// Size slug.
    pub size: Text,
    /// Image slug or id.
    pub image: Text,
    /// Tags beside the fleet's own.
    #[serde(default)]
    pub tags: Vec<Tag>,
    /// The private network; the region's default when left out.
    pub vpc_uuid: Option<String>,
    /// Whether the metrics agent is installed.
    #[serde(default)]
    pub monitoring: bool,
}

/// The API.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Where it is; https unless it is on this machine.
    #[serde(deserialize_with = "values::parsed")]
    pub url: ApiUrl,
}

/// A plugin with its configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    /// `builtin:NAME`, `file:PATH` or `oci://REGISTRY/REPOSITORY:TAG`.
    #[serde(deserialize_with = "values::parsed")]
    pub plugin: Reference,
    /// What the plugin is told.
    #[serde(default)]
    pub config: serde_json::Value,
}

/// A policy with its configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What messages call it. Default: the plugin's reference.
    pub name: Option<String>,
    /// `builtin:NAME`, `file:PATH` or `oci://REGISTRY/REPOSITORY:TAG`.
    #[serde(deserialize_with = "values::parsed")]
    pub plugin: Reference,
    /// What the plugin is told.
    #[serde(default)]
    pub config: serde_json::Value,
    /// `active` or `shadow`.
    #[serde(default)]
    pub mode: Mode,
}

impl Policy {
    /// What messages call it.
    pub(super) fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.plugin.to_string())
    }
}

/// Limits, policies and timeouts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scaling {
    /// Fewest droplets. Default 1.
    pub min: u32,
    /// Most droplets. Default 10.
    pub max: u32,
    /// Most created in one tick. Default 5.
    pub max_create_per_tick: u32,
    /// Most deleted in one tick. Default 1.
    pub max_delete_per_tick: u32,
    /// Most created in an hour, by hand and by the policies. Default 120.
    pub max_create_per_hour: u32,
    /// Most that the fleet may cost an hour, in dollars. Default: no cap.
    pub max_hourly_cost: Option<f64>,
    /// Most that the fleet may cost in a calendar month (UTC), in dollars. Default: no cap.
    pub max_monthly_cost: Option<f64>,
    /// The time between two ticks. Default 15s.
    pub interval: Option<Span>,
    /// The time that has to pass after a change.
    pub cooldown: Cooldown,
    /// The fleet shrinks to no less than the largest size that was wanted within this time. Default 60s.
    pub stabilization_window: Option<Span>,
    /// Whether a scale-in that would at once ask for the opposite is cut. Default true.
    pub flap_protection: Option<bool>,
    /// Whom to delete first, where the policy does not say.
    pub termination_policy: TerminationPolicy,
    /// What is done with droplets that served and do not pass their health check any more.
    pub repair: Repair,
    /// What the fleet is kept at when its policies fail. Default: as it is.
    pub fallback: Option<Fallback>,
    /// The policies that decide.
    pub policies: Vec<Policy>,
    /// How long things may take.
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

/// Reads [`Scaling`], and holds its numbers against each other.
fn checked_scaling<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Scaling, D::Error> {
    let scaling = Scaling::deserialize(deserializer)?;
    scaling.check().map_err(D::Error::custom)?;
    Ok(scaling)
}

impl Scaling {
    fn check(&self) -> Result<(), String> {
        let Self { min, max, .. } = self;
        if min > max {
            return Err(format!("scaling.min ({min}) is more than scaling.max ({max})"));
        }
        for (key, cost) in [("max_hourly_cost", self.max_hourly_cost), ("max_monthly_cost", self.max_monthly_cost)] {
            if cost.is_some_and(|cost| !cost.is_finite() || cost <= 0.0) {
                return Err(format!("scaling.{key} is to be more than 0, in dollars; leave it out for no cap"));
            }
        }
        if self.timeouts.create_visibility.as_ref().is_some_and(|visible| visible.0.is_zero()) {
            return Err(
                "scaling.timeouts.visible is to be more than 0: lists lag, and a create would be sent twice".to_owned()
            );
        }
        if self.interval.as_ref().is_some_and(|interval| interval.0 < MIN_INTERVAL) {
            return Err("scaling.interval is at least 1s: rates need some time between two looks".to_owned());
        }
        if self.interval.as_ref().is_some_and(|interval| interval.0 > MAX_INTERVAL) {
            return Err("scaling.interval is at most a day".to_owned());
        }
        if let Some(fallback) = &self.fallback
            && !(*min..=*max).contains(&fallback.size)
        {
            let size = fallback.size;
            return Err(format!("scaling.fallback.size ({size}) is not between scaling.min and scaling.max"));
        }
        let mut names = HashSet::new();
        for policy in &self.policies {
            let name = policy.name();
            if !names.insert(name.clone()) {
                return Err(format!("scaling.policies has two policies {name:?}: give each a `name` of its own"));
            }
        }
        Ok(())
    }
}

/// Longer is most likely a mistake.
const MAX_INTERVAL: Duration = Duration::from_hours(24);

/// Rates need some time between two looks.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// The time that has to pass after a change.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cooldown {
    /// From the last create to the next. Default 0: droplets that are coming up count as capacity.
    pub out: Option<Span>,
    /// From the last create or delete to the next delete. Default 60s.
    #[serde(rename = "in")]
    pub in_: Option<Span>,
}

/// What is done with droplets that served and do not pass their health check any more.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Repair {
    /// Whether they are replaced. Default true.
    pub enabled: Option<bool>,
    /// How long one may be unhealthy before. Default 3m.
    pub grace_period: Option<Span>,
    /// Most that are replaced in an hour. Default 6.
    pub max_per_hour: Option<u32>,
}

/// What the fleet is kept at when its policies fail.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    /// Fewest droplets then.
    pub size: u32,
    /// How long the policies have to fail before. Default 5m.
    pub after: Option<Span>,
}

/// How long each wait may take: `90s`, `10m`, or a number of seconds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// For a droplet to show up after a request whose answer was lost. Default 120s.
    pub create_visibility: Option<Span>,
    /// For a droplet to be active with an address. Default 10m.
    pub boot: Option<Span>,
    /// For its health check to pass. Default 10m.
    pub warm_up: Option<Span>,
    /// For its sessions to end before it is deleted. Default 60s.
    pub drain: Option<Span>,
    /// For the API to delete it. Default 10m.
    pub delete: Option<Span>,
    /// Between two looks. Default 5s.
    pub poll: Option<Span>,
}

/// Which of a droplet's addresses HAProxy uses.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Address {
    /// The private one.
    #[default]
    Private,
    /// The public one.
    Public,
}

/// The account that HAProxy runs as.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum RunAs {
    /// An account of its own.
    Account {
        /// Its user.
        user: String,
        /// Its group.
        group: String,
        /// The folder that it is shut into.
        chroot: Option<PathBuf>,
    },
    /// Whoever starts it: `run_as: caller`.
    #[serde(deserialize_with = "values::caller")]
    Inherit,
}

/// What is changed by a reload of HAProxy.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReloadPolicy {
    /// What cannot be changed while it runs.
    #[default]
    Auto,
    /// Everything.
    Always,
}

/// HAProxy.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Haproxy {
    /// Addresses to listen on. Default `*:80`.
    pub bind: Option<Vec<String>>,
    /// The port that droplets serve on. Default 80.
    pub port: Option<u16>,
    /// The path of the health check. Default `/`, which every page answers.
    pub health_path: Option<String>,
    /// Most sessions that one droplet gets at a time; more wait. Default 200.
    pub maxconn: Option<u32>,
    /// The time between two health checks of a droplet. Default 2s.
    pub check_interval: Option<Span>,
    /// Where Prometheus scrapes HAProxy, in the form of `bind`. Default: nowhere.
    pub prometheus_bind: Option<String>,
    /// The syslog socket, or `none`. Default `/dev/log`.
    pub log: Option<PathBuf>,
    /// Which address of a droplet is used. Default `private`.
    pub droplet_address: Address,
    /// The runtime API. Default `/run/haproxy/admin.sock`.
    pub stats_socket: Option<PathBuf>,
    /// The master CLI, for reloads. Default `/run/haproxy-master.sock`.
    pub master_socket: Option<PathBuf>,
    /// A command that reloads HAProxy, in place of the master CLI.
    pub reload_command: Option<Vec<String>>,
    /// Whether each change is a reload, or only what cannot be changed while HAProxy runs. Default `auto`.
    pub reload: ReloadPolicy,
    /// The least time between two reloads; what changes meanwhile goes with the next. Default 5s.
    pub min_reload_interval: Option<Span>,
    /// The program. Default `haproxy`.
    pub binary: Option<PathBuf>,
    /// The account it runs as. Default user and group `haproxy`.
    pub run_as: Option<RunAs>,
}

/// Decision records.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecisionLog {
    /// How long they are kept. Default 14d; never longer than `metrics.retention`, since they refer to samples.
    pub retention: Option<Span>,
}

/// What `doproxy run` tells about itself.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// Where `/metrics`, `/healthz` and `/status` are served: an address of this machine's loopback and a port, or `none`.
    /// Default `127.0.0.1:9464`, where that is free.
    pub listen: Option<values::Loopback>,
}

/// Limits of plugins, where they are kept, and whom they are taken from.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plugins {
    /// Where compiled plugins are kept. Default `doproxy/plugins` in the user's cache folder.
    pub cache: Option<PathBuf>,
    /// Where plugins from registries are kept. Default `doproxy/plugins` in the user's data folder.
    pub store: Option<PathBuf>,
    /// Whom plugins from registries are taken from. Default: from anybody, signed or not.
    pub trust: Option<Vec<TrustRule>>,
    /// What one call may use.
    pub limits: PluginLimits,
}

/// Whose signatures count for which repositories.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, try_from = "UncheckedTrustRule")]
pub struct TrustRule {
    /// `registry.example.com/acme/queue` for one, `registry.example.com/acme/*` for all below, `*` for every one.
    pub repository: RepositoryPattern,
    /// Public keys: files, or the text itself in PEM. Any of them is enough.
    pub keys: Vec<String>,
    /// Whether a plugin is taken without a signature. Default false.
    pub allow_unsigned: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UncheckedTrustRule {
    #[serde(deserialize_with = "values::parsed")]
    repository: RepositoryPattern,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    allow_unsigned: bool,
}

impl TryFrom<UncheckedTrustRule> for TrustRule {
    type Error = String;

    fn try_from(rule: UncheckedTrustRule) -> Result<Self, String> {
        let UncheckedTrustRule { repository, keys, allow_unsigned } = rule;
        if keys.is_empty() && !allow_unsigned {
            return Err(format!(
                "the rule for {repository} names no key, so nothing could be taken from there; name one under `keys` (`doproxy plugin keygen` makes a pair), or set `allow_unsigned: true`"
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

/// What a plugin may use up; over any of these is an error that names the key. Sizes are in bytes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PluginLimits {
    /// A component. Default 64 MiB.
    pub component_bytes: Option<usize>,
    /// Compiling a component. Default 60s.
    pub compile_timeout: Option<Span>,
    /// Processor time to compile a component, in whole seconds. Default 60s.
    pub compile_cpu_time: Option<Span>,
    /// The process that compiles: itself and what it allocates. Default 2 GiB.
    pub compile_memory_bytes: Option<usize>,
    /// All linear memories in one call. Default 64 MiB.
    pub memory_bytes: Option<usize>,
    /// Fuel in one call: about one unit an instruction. Default 100,000,000.
    pub fuel: Option<u64>,
    /// Wall-clock time of one call. Default 250ms.
    pub call_timeout: Option<Span>,
    /// The state that a decision hands on. Default 64 KiB.
    pub state_bytes: Option<usize>,
    /// A whole decision. Default 1 MiB.
    pub decision_bytes: Option<usize>,
    /// User data. Default 64 KiB.
    pub user_data_bytes: Option<usize>,
    /// Lines that a call may log. Default 100.
    pub log_lines: Option<usize>,
}

impl Plugins {
    /// What the plugin host is told.
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
