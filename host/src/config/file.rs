//! The shape of `doproxy.yml`. Every key is here, with what it means and what it is when it is left out.

use std::path::PathBuf;

use serde::Deserialize;

use super::values::{self, HostnamePrefix, Span, Text};
use crate::cloud::digitalocean::ApiUrl;
use crate::model::{FleetName, Tag};
use crate::plugin::{Limits, PluginSettings, Reference};

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
    #[serde(default)]
    pub scaling: Scaling,
    /// HAProxy.
    #[serde(default)]
    pub haproxy: Haproxy,
    /// The inventory. Default `doproxy.db` beside this file.
    pub inventory: Option<PathBuf>,
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
    /// `builtin:NAME` or `file:PATH`.
    #[serde(deserialize_with = "values::parsed")]
    pub plugin: Reference,
    /// What the plugin is told.
    #[serde(default)]
    pub config: serde_json::Value,
}

/// Whether a policy is acted upon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Acted upon.
    #[default]
    Active,
    /// Asked, and never acted upon.
    Shadow,
}

/// A policy with its configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What messages call it. Default: the plugin's reference.
    pub name: Option<String>,
    /// `builtin:NAME` or `file:PATH`.
    #[serde(deserialize_with = "values::parsed")]
    pub plugin: Reference,
    /// What the plugin is told.
    #[serde(default)]
    pub config: serde_json::Value,
    /// `active` or `shadow`.
    #[serde(default)]
    pub mode: Mode,
}

/// Limits, policies and timeouts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, try_from = "UncheckedScaling")]
pub struct Scaling {
    /// Fewest droplets. Default 1.
    pub min: u32,
    /// Most droplets. Default 10.
    pub max: u32,
    /// Most created in one tick. Default 5.
    pub max_create: u32,
    /// Most deleted in one tick. Default 1.
    pub max_delete: u32,
    /// Most created in an hour, by hand and by the policies. Default 120.
    pub max_create_per_hour: u32,
    /// Most that the fleet may cost an hour, in dollars. Default: no cap.
    pub max_hourly_cost: Option<f64>,
    /// The policies that decide.
    pub policies: Vec<Policy>,
    /// How long things may take.
    pub timeouts: Timeouts,
}

impl Default for Scaling {
    fn default() -> Self {
        UncheckedScaling::default().into_scaling()
    }
}

/// [`Scaling`] before its numbers are held against each other.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct UncheckedScaling {
    min: u32,
    max: u32,
    max_create: u32,
    max_delete: u32,
    max_create_per_hour: u32,
    max_hourly_cost: Option<f64>,
    policies: Vec<Policy>,
    timeouts: Timeouts,
}

impl Default for UncheckedScaling {
    fn default() -> Self {
        Self {
            min: 1,
            max: 10,
            max_create: 5,
            max_delete: 1,
            max_create_per_hour: 120,
            max_hourly_cost: None,
            policies: Vec::new(),
            timeouts: Timeouts::default(),
        }
    }
}

impl UncheckedScaling {
    fn into_scaling(self) -> Scaling {
        let Self { min, max, max_create, max_delete, max_create_per_hour, max_hourly_cost, policies, timeouts } = self;
        Scaling { min, max, max_create, max_delete, max_create_per_hour, max_hourly_cost, policies, timeouts }
    }
}

impl TryFrom<UncheckedScaling> for Scaling {
    type Error = String;

    fn try_from(unchecked: UncheckedScaling) -> Result<Self, String> {
        let UncheckedScaling { min, max, max_hourly_cost, .. } = unchecked;
        if min > max {
            return Err(format!("scaling.min ({min}) is more than scaling.max ({max})"));
        }
        if max_hourly_cost.is_some_and(|cost| !cost.is_finite() || cost <= 0.0) {
            return Err("scaling.max_hourly_cost is to be more than 0, in dollars; leave it out for no cap".to_owned());
        }
        if unchecked.timeouts.visible.as_ref().is_some_and(|visible| visible.0.is_zero()) {
            return Err(
                "scaling.timeouts.visible is to be more than 0: lists lag, and a create would be sent twice".to_owned()
            );
        }
        let active = unchecked.policies.iter().filter(|policy| policy.mode == Mode::Active).count();
        if active > 1 {
            return Err(format!(
                "scaling.policies has {active} active policies; one can be acted upon, give the others `mode: shadow`"
            ));
        }
        Ok(unchecked.into_scaling())
    }
}

/// How long each wait may take: `90s`, `10m`, or a number of seconds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// For a droplet to show up after a request whose answer was lost. Default 120s.
    pub visible: Option<Span>,
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
    Caller,
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
    pub max_sessions: Option<u32>,
    /// The time between two health checks of a droplet. Default 2s.
    pub check_interval: Option<Span>,
    /// Where Prometheus scrapes HAProxy, in the form of `bind`. Default: nowhere.
    pub metrics: Option<String>,
    /// The syslog socket, or `none`. Default `/dev/log`.
    pub log: Option<PathBuf>,
    /// Which address of a droplet is used. Default `private`.
    pub address: Address,
    /// The runtime API. Default `/run/haproxy/admin.sock`.
    pub stats_socket: Option<PathBuf>,
    /// The master CLI, for reloads. Default `/run/haproxy-master.sock`.
    pub master_socket: Option<PathBuf>,
    /// A command that reloads HAProxy, in place of the master CLI.
    pub reload_command: Option<Vec<String>>,
    /// The program. Default `haproxy`.
    pub binary: Option<PathBuf>,
    /// The account it runs as. Default user and group `haproxy`.
    pub run_as: Option<RunAs>,
}

/// Limits of plugins, and where compiled ones are kept.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plugins {
    /// Where compiled plugins are kept. Default `doproxy/plugins` in the user's cache folder.
    pub cache: Option<PathBuf>,
    /// What one call may use.
    pub limits: PluginLimits,
}

/// What a plugin may use up; over any of these is an error that names the key. Sizes are in bytes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PluginLimits {
    /// A component. Default 64 MiB.
    pub component_bytes: Option<usize>,
    /// Compiling a component. Default 60s.
    pub compile_time: Option<Span>,
    /// Processor time to compile a component, in whole seconds. Default 60s.
    pub compile_cpu: Option<Span>,
    /// The process that compiles: itself and what it allocates. Default 2 GiB.
    pub compile_memory_bytes: Option<usize>,
    /// All linear memories in one call. Default 64 MiB.
    pub memory_bytes: Option<usize>,
    /// Fuel in one call: about one unit an instruction. Default 100,000,000.
    pub fuel: Option<u64>,
    /// Wall-clock time of one call. Default 250ms.
    pub deadline: Option<Span>,
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
    pub(super) fn settings(self, dir: &std::path::Path) -> PluginSettings {
        let (given, default) = (self.limits, Limits::default());
        let limits = Limits {
            component_bytes: given.component_bytes.unwrap_or(default.component_bytes),
            compile_time: given.compile_time.map_or(default.compile_time, |span| span.0),
            compile_cpu: given.compile_cpu.map_or(default.compile_cpu, |span| span.0),
            compile_memory_bytes: given.compile_memory_bytes.unwrap_or(default.compile_memory_bytes),
            memory_bytes: given.memory_bytes.unwrap_or(default.memory_bytes),
            fuel: given.fuel.unwrap_or(default.fuel),
            deadline: given.deadline.map_or(default.deadline, |span| span.0),
            state_bytes: given.state_bytes.unwrap_or(default.state_bytes),
            decision_bytes: given.decision_bytes.unwrap_or(default.decision_bytes),
            user_data_bytes: given.user_data_bytes.unwrap_or(default.user_data_bytes),
            log_lines: given.log_lines.unwrap_or(default.log_lines),
        };
        let cache_dir = self.cache.map(|path| dir.join(path)).or_else(values::user_cache);
        PluginSettings { limits, cache_dir, ..PluginSettings::default() }
    }
}
