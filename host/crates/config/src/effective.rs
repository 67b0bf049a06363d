//! The effective configuration: every value that applies, and its origin.

use std::path::{Path, PathBuf};
use std::time::Duration;

use doproxy_core::domain::redacted;
use serde_json::{Value, json};

use crate::config::{Config, TelemetryAddress};
use crate::error::ConfigError;
use crate::origin::Origin;
use crate::position::{Key, line_of};
use crate::schema::schema;
use crate::token::{API_URL_VARIABLE, Environment, TokenSource};
use crate::values::Span;

/// The text shown in place of a secret.
const REDACTED: &str = "(redacted)";

/// Parts of names that mark the configuration of a plugin as secret.
const SECRET_NAMES: [&str; 6] = ["password", "secret", "token", "credential", "api_key", "private_key"];

/// A value or a section of the effective configuration. Secrets are redacted.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// A value.
    Value {
        /// The value as written, or the default.
        value: Value,
        /// Its origin.
        origin: Origin,
    },
    /// A section, in the order of the schema.
    Section(Vec<(String, Setting)>),
    /// A list with at least one item.
    List(Vec<Setting>),
}

/// The effective configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct EffectiveConfig {
    /// Path of the configuration file.
    pub path: PathBuf,
    /// All settings.
    pub root: Setting,
}

impl EffectiveConfig {
    /// Reads the file at `path` and applies the environment and the `--inventory` option.
    pub fn load(path: &Path, environment: &Environment, inventory: Option<&Path>) -> Result<Self, ConfigError> {
        let (text, absolute) = Config::read(path)?;
        Self::parse(&text, path, &absolute, environment, inventory)
    }

    pub(crate) fn parse(
        text: &str,
        shown: &Path,
        absolute: &Path,
        environment: &Environment,
        inventory: Option<&Path>,
    ) -> Result<Self, ConfigError> {
        let config = Config::parse(text, shown, absolute)?;
        environment.api_url()?;
        let written: Value = crate::yaml::parse(text, shown)?;
        let source = Source { config: &config, environment, inventory, text, shown };
        let root = source.setting(&schema(), Some(&written), &mut Vec::new());
        Ok(Self { path: shown.to_owned(), root: root.unwrap_or(Setting::Section(Vec::new())) })
    }
}

/// Everything that values come from.
struct Source<'a> {
    config: &'a Config,
    environment: &'a Environment,
    inventory: Option<&'a Path>,
    text: &'a str,
    shown: &'a Path,
}

impl Source<'_> {
    /// Returns the setting at `path`, or `None` if the key has no value.
    fn setting<'s>(&self, schema: &'s Value, written: Option<&'s Value>, path: &mut Vec<Key<'s>>) -> Option<Setting> {
        let written = written.filter(|value| !value.is_null());
        if let Some(properties) = schema["properties"].as_object() {
            if written.is_none() && is_optional(schema) {
                return None;
            }
            let mut section = Vec::new();
            for (key, schema) in properties {
                path.push(Key::Name(key));
                let setting = self.setting(schema, written.and_then(|value| value.get(key)), path);
                path.pop();
                section.extend(setting.map(|setting| (key.clone(), setting)));
            }
            return (!section.is_empty()).then_some(Setting::Section(section));
        }
        if let Some((value, origin)) = self.overridden(schema, written, path) {
            return Some(Setting::Value { value, origin });
        }
        match written {
            Some(_) if schema["writeOnly"] == true => {
                Some(Setting::Value { value: json!(REDACTED), origin: self.in_file(path) })
            }
            Some(written) => Some(self.written(written, schema.get("items"), path)),
            None => {
                let value = schema.get("default").cloned().or_else(|| self.computed_default(path))?;
                Some(Setting::Value { value, origin: Origin::Default })
            }
        }
    }

    /// Returns a value of the file with the origin of each of its parts.
    fn written<'s>(&self, value: &'s Value, items: Option<&'s Value>, path: &mut Vec<Key<'s>>) -> Setting {
        match value {
            Value::Array(list) if !list.is_empty() => {
                let mut settings = Vec::new();
                for (index, item) in list.iter().enumerate() {
                    path.push(Key::Index(index));
                    let described = items.and_then(|schema| self.setting(schema, Some(item), path));
                    settings.push(described.unwrap_or_else(|| self.written(item, None, path)));
                    path.pop();
                }
                Setting::List(settings)
            }
            Value::Object(map) if !map.is_empty() => {
                let mut settings = Vec::new();
                for (key, value) in map {
                    path.push(Key::Name(key));
                    settings.push((key.clone(), self.written(value, None, path)));
                    path.pop();
                }
                Setting::Section(settings)
            }
            _ => Setting::Value { value: redact(value, path), origin: self.in_file(path) },
        }
    }

    fn in_file(&self, path: &[Key<'_>]) -> Origin {
        Origin::File { path: self.shown.to_owned(), line: line_of(self.text, path) }
    }

    /// Returns the value that takes precedence over the file or the default.
    fn overridden(&self, schema: &Value, written: Option<&Value>, path: &[Key<'_>]) -> Option<(Value, Origin)> {
        match path {
            [Key::Name("token")] => {
                let origin = match self.config.token_source(self.environment)? {
                    TokenSource::Variable(variable) => Origin::Environment { variable },
                    TokenSource::Credential(path) => Origin::Credential { path },
                    TokenSource::File(path) => Origin::TokenFile { path },
                    TokenSource::Inline(_) => return None,
                };
                Some((json!(REDACTED), origin))
            }
            [Key::Name("api"), Key::Name("url")] => {
                let url = self.environment.api_url().ok().flatten()?;
                Some((json!(url.to_string()), Origin::Environment { variable: API_URL_VARIABLE }))
            }
            [Key::Name("inventory")] => self.inventory.map(|path| (json!(path), Origin::Flag { name: "--inventory" })),
            [Key::Name("decision_log"), Key::Name("retention")] => {
                let effective = self.config.decision_log_retention;
                let requested: Option<Span> =
                    written.or(schema.get("default")).and_then(|value| serde_json::from_value(value.clone()).ok());
                requested
                    .filter(|requested| requested.0 > effective)
                    .map(|_| (format_duration(effective), Origin::LimitedBy { key: "metrics.retention" }))
            }
            _ => None,
        }
    }

    /// Returns a default that depends on other keys or on this machine.
    fn computed_default(&self, path: &[Key<'_>]) -> Option<Value> {
        let config = self.config;
        match path {
            [Key::Name("fleet")] => Some(json!(config.fleet)),
            [Key::Name("metrics"), Key::Name("database")] => {
                Some(json!(config.metrics_database_path(self.inventory.unwrap_or(&config.inventory))))
            }
            [Key::Name("metrics"), Key::Name("sources"), Key::Index(index), Key::Name(name)] => {
                let source = config.metrics.sources.get(*index)?;
                match *name {
                    "interval" => Some(format_duration(source.interval)),
                    "timeout" => Some(format_duration(source.timeout)),
                    _ => None,
                }
            }
            [Key::Name("scaling"), Key::Name("policies"), Key::Index(index), Key::Name("name")] => {
                config.policies.get(*index).map(|policy| json!(policy.name))
            }
            [Key::Name("telemetry"), Key::Name("listen")] => match config.telemetry {
                TelemetryAddress::Default(address) => Some(json!(address.to_string())),
                TelemetryAddress::None | TelemetryAddress::Explicit(_) => None,
            },
            [Key::Name("plugins"), Key::Name("cache")] => config.plugins.cache_dir.as_ref().map(|path| json!(path)),
            [Key::Name("plugins"), Key::Name("store")] => {
                config.plugins.registry.store.as_ref().map(|path| json!(path))
            }
            _ => None,
        }
    }
}

/// Reports whether a schema also accepts an absent value.
fn is_optional(schema: &Value) -> bool {
    schema["type"].as_array().is_some_and(|types| types.iter().any(|one| one == "null"))
}

/// Formats a duration as it is written in the file.
fn format_duration(duration: Duration) -> Value {
    match jiff::SignedDuration::try_from(duration) {
        Ok(duration) => json!(format!("{duration:#}")),
        Err(_) => json!(duration.as_secs()),
    }
}

/// Redacts a value of the file: secrets in the configuration of plugins, and credentials in URLs.
fn redact(value: &Value, path: &[Key<'_>]) -> Value {
    let in_plugin = path.contains(&Key::Name("config"));
    let is_secret = path.iter().any(|key| matches!(key, Key::Name(name) if is_secret_name(name)));
    match value {
        _ if in_plugin && is_secret => json!(REDACTED),
        Value::String(text) => json!(redact_url(&redacted(text))),
        other => other.clone(),
    }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    !name.ends_with("_file") && SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

/// Redacts the user name, password and query of a URL, which may be credentials.
fn redact_url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    if !scheme.chars().all(|c| c.is_ascii_alphanumeric()) {
        return text.to_owned();
    }
    let (address, query) = rest.split_once('?').map_or((rest, ""), |(address, _)| (address, "?(redacted)"));
    let (host, path) = address.split_once('/').map_or((address, None), |(host, path)| (host, Some(path)));
    let host = host.rsplit_once('@').map_or(host.to_owned(), |(_, host)| format!("{REDACTED}@{host}"));
    let path = path.map_or(String::new(), |path| format!("/{path}"));
    format!("{scheme}://{host}{path}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
token: 878a490235d53e34b44369b8e78
droplet_options:
  hostname_prefix: www
  region: nyc3
  size: s-1vcpu-1gb
  image: debian-12-x64
scaling:
  max: 5
  policies:
    - plugin: builtin:target-tracking
      config: {metric: haproxy.sessions, password: hunter2}
metrics:
  retention: 7d
  sources:
    - {name: queue.depth, http: {url: 'https://queue.example/stats?key=hunter2', json_pointer: /depth}}
    - digitalocean: {}
";

    /// Returns each value as `key: value  # origin`.
    fn lines(setting: &Setting, key: &str, lines: &mut Vec<String>) {
        match setting {
            Setting::Value { value, origin } => lines.push(format!("{key}: {value}  # {origin}")),
            Setting::Section(section) => {
                for (name, setting) in section {
                    self::lines(setting, &format!("{key}.{name}"), lines);
                }
            }
            Setting::List(list) => {
                list.iter()
                    .enumerate()
                    .for_each(|(index, setting)| self::lines(setting, &format!("{key}[{index}]"), lines));
            }
        }
    }

    fn show(text: &str, environment: &Environment, inventory: Option<&Path>) -> Vec<String> {
        let path = Path::new("doproxy.yml");
        let effective = EffectiveConfig::parse(text, path, Path::new("/srv/doproxy.yml"), environment, inventory);
        let mut shown = Vec::new();
        lines(&effective.unwrap().root, "", &mut shown);
        shown
    }

    #[test]
    fn values_have_their_origin() {
        let mut shown = show(FILE, &Environment::default(), None);
        // They depend on the user of this process.
        shown.retain(|line| !line.starts_with(".plugins.cache") && !line.starts_with(".plugins.store"));

        insta::assert_snapshot!(shown.join("\n"), @r#"
        .token: "(redacted)"  # doproxy.yml:1
        .ssh_key_ids: []  # default
        .haproxy_cfg_file: "haproxy.cfg"  # default
        .haproxy_cfg_path: "/etc/haproxy"  # default
        .droplet_options.hostname_prefix: "www"  # doproxy.yml:3
        .droplet_options.region: "nyc3"  # doproxy.yml:4
        .droplet_options.size: "s-1vcpu-1gb"  # doproxy.yml:5
        .droplet_options.image: "debian-12-x64"  # doproxy.yml:6
        .droplet_options.tags: []  # default
        .droplet_options.monitoring: false  # default
        .fleet: "www"  # default
        .api.url: "https://api.digitalocean.com"  # default
        .scaling.min: 1  # default
        .scaling.max: 5  # doproxy.yml:8
        .scaling.max_create_per_tick: 5  # default
        .scaling.max_delete_per_tick: 1  # default
        .scaling.max_create_per_hour: 120  # default
        .scaling.interval: "15s"  # default
        .scaling.poll_interval: "5s"  # default
        .scaling.cooldown.out: "0s"  # default
        .scaling.cooldown.in: "60s"  # default
        .scaling.stabilization_window: "60s"  # default
        .scaling.flap_protection: true  # default
        .scaling.termination_policy: "billed_first"  # default
        .scaling.repair.enabled: true  # default
        .scaling.repair.grace_period: "3m"  # default
        .scaling.repair.max_per_hour: 6  # default
        .scaling.policies[0].name: "builtin:target-tracking"  # default
        .scaling.policies[0].plugin: "builtin:target-tracking"  # doproxy.yml:10
        .scaling.policies[0].config.metric: "haproxy.sessions"  # doproxy.yml:11
        .scaling.policies[0].config.password: "(redacted)"  # doproxy.yml:11
        .scaling.policies[0].mode: "active"  # default
        .scaling.timeouts.create_visibility: "120s"  # default
        .scaling.timeouts.boot: "10m"  # default
        .scaling.timeouts.warm_up: "10m"  # default
        .scaling.timeouts.drain: "60s"  # default
        .scaling.timeouts.delete: "10m"  # default
        .haproxy.bind: ["*:80"]  # default
        .haproxy.port: 80  # default
        .haproxy.health_path: "/"  # default
        .haproxy.maxconn: 200  # default
        .haproxy.check_interval: "2s"  # default
        .haproxy.log: "/dev/log"  # default
        .haproxy.droplet_address: "private"  # default
        .haproxy.stats_socket: "/run/haproxy/admin.sock"  # default
        .haproxy.master_socket: "/run/haproxy-master.sock"  # default
        .haproxy.reload: "auto"  # default
        .haproxy.min_reload_interval: "5s"  # default
        .haproxy.binary: "/usr/sbin/haproxy"  # default
        .haproxy.run_as: {"user":"haproxy","group":"haproxy","chroot":"/var/lib/haproxy"}  # default
        .inventory: "doproxy.db"  # default
        .metrics.database: "/srv/doproxy.history.db"  # default
        .metrics.retention: "7d"  # doproxy.yml:13
        .metrics.downsampled_retention: "400d"  # default
        .metrics.sources[0].name: "queue.depth"  # doproxy.yml:15
        .metrics.sources[0].interval: "15s"  # default
        .metrics.sources[0].timeout: "5s"  # default
        .metrics.sources[0].lookback: "5m"  # default
        .metrics.sources[0].http.url: "https://queue.example/stats?(redacted)"  # doproxy.yml:15
        .metrics.sources[0].http.json_pointer: "/depth"  # doproxy.yml:15
        .metrics.sources[0].http.allow_http: false  # default
        .metrics.sources[1].interval: "2m"  # default
        .metrics.sources[1].timeout: "30s"  # default
        .metrics.sources[1].lookback: "5m"  # default
        .metrics.sources[1].digitalocean.metrics: ["cpu","memory","load_1"]  # default
        .metrics.sources[1].digitalocean.droplets_per_poll: 5  # default
        .decision_log.retention: "168h"  # limited by metrics.retention
        .telemetry.listen: "127.0.0.1:9464"  # default
        .plugins.limits.component_bytes: 67108864  # default
        .plugins.limits.compile_timeout: "60s"  # default
        .plugins.limits.compile_cpu_time: "60s"  # default
        .plugins.limits.compile_memory_bytes: 2147483648  # default
        .plugins.limits.memory_bytes: 67108864  # default
        .plugins.limits.fuel: 100000000  # default
        .plugins.limits.call_timeout: "250ms"  # default
        .plugins.limits.state_bytes: 65536  # default
        .plugins.limits.decision_bytes: 1048576  # default
        .plugins.limits.user_data_bytes: 65536  # default
        .plugins.limits.log_lines: 100  # default
        "#);
        assert!(!shown.join("\n").contains("hunter2"), "{shown:?}");
    }

    #[test]
    fn environment_and_flag_take_precedence() {
        let environment = Environment::with_token("0123456789");
        let shown = show(FILE, &environment, Some(Path::new("/var/lib/www.db")));

        for line in [
            ".token: \"(redacted)\"  # environment DIGITALOCEAN_TOKEN",
            ".inventory: \"/var/lib/www.db\"  # flag --inventory",
            ".metrics.database: \"/var/lib/www.history.db\"  # default",
        ] {
            assert!(shown.iter().any(|shown| shown == line), "{line} in {shown:?}");
        }
    }

    #[test]
    fn secrets_are_redacted_by_name_and_in_urls() {
        assert!(is_secret_name("API-Key") && is_secret_name("db_password"));
        assert!(!is_secret_name("bearer_token_file") && !is_secret_name("metric"));
        assert_eq!(redact_url("https://a:b@host/x?y=z"), "https://(redacted)@host/x?(redacted)");
        assert_eq!(redact_url("oci://registry.example.com/acme/queue:1"), "oci://registry.example.com/acme/queue:1");
        assert_eq!(redact_url("a@b?c"), "a@b?c");
    }
}
