//! `metrics`: the metric sources other than HAProxy, and the retention of their series.

use std::path::{Path, PathBuf};
use std::time::Duration;

use doproxy_metrics::{AgentMetric, Endpoint, Options, Retention, SourceKind, SourceOptions};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::schema;
use crate::values::Span;

/// Default polling interval of a source.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(15);
/// Default polling interval of `digitalocean` sources, whose agent reports every two minutes.
const DIGITALOCEAN_INTERVAL: Duration = Duration::from_mins(2);
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Default timeout of a poll.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// Default timeout of `digitalocean` sources, which make several calls of varying duration.
const DIGITALOCEAN_TIMEOUT: Duration = Duration::from_secs(30);
const MIN_TIMEOUT: Duration = Duration::from_millis(100);
/// Default lookback of a series, for policies that do not specify theirs.
const DEFAULT_LOOKBACK: Duration = Duration::from_mins(5);
const MIN_RETENTION: Duration = Duration::from_hours(1);
/// Default number of droplets queried at the monitoring API per poll.
const DEFAULT_DROPLETS_PER_POLL: usize = 5;
/// Maximum number of monitoring API calls per hour. Most of a token's 5,000 requests are reserved for the fleet.
const MAX_CALLS_PER_HOUR: f64 = 2000.0;
const MAX_NAME_LENGTH: usize = 100;
const MAX_QUERY_LENGTH: usize = 4096;

/// Metric sources and the retention of their series.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, try_from = "UncheckedMetrics")]
pub struct Metrics {
    /// Path of the metrics database, relative to the file.
    pub(super) database: Option<PathBuf>,
    retention: Retention,
    sources: Vec<Source>,
}

impl Metrics {
    /// Returns the options of the collector. Paths are relative to `dir`, and HAProxy is polled every `interval`.
    pub(super) fn options(self, dir: &Path, interval: Duration) -> Options {
        let sources = self.sources.into_iter().map(|source| source.0.relative_to(dir)).collect();
        Options { sources, retention: self.retention, ..Options::new(interval) }
    }

    /// Reports whether any source reads DigitalOcean's agent.
    pub(super) fn uses_agent(&self) -> bool {
        self.sources.iter().any(|source| matches!(source.0.kind, SourceKind::DigitalOcean { .. }))
    }
}

/// [`Metrics`] before its values are validated against each other.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UncheckedMetrics {
    /// Path of the metrics database. Default: the inventory's name with `.history.db`.
    database: Option<PathBuf>,
    /// Retention of raw samples.
    #[schemars(extend("default" = "14d"))]
    retention: Option<Span>,
    /// Retention of the mean and maximum of every five minutes.
    #[schemars(extend("default" = "400d"))]
    downsampled_retention: Option<Span>,
    /// The sources other than HAProxy.
    #[schemars(with = "Vec<UncheckedSource>", extend("default" = []))]
    sources: Vec<Source>,
}

impl TryFrom<UncheckedMetrics> for Metrics {
    type Error = String;

    fn try_from(unchecked: UncheckedMetrics) -> Result<Self, String> {
        let UncheckedMetrics { database, retention, downsampled_retention, sources } = unchecked;
        let default = Retention::default();
        let retention = Retention {
            raw: retention.map_or(default.raw, |span| span.0),
            downsampled: downsampled_retention.map_or(default.downsampled, |span| span.0),
        };
        if retention.raw < MIN_RETENTION {
            return Err(format!("metrics.retention must be at least {MIN_RETENTION:?}"));
        }
        if retention.downsampled < retention.raw {
            return Err("metrics.downsampled_retention must not be shorter than metrics.retention".to_owned());
        }
        for (index, source) in sources.iter().enumerate() {
            let Source(SourceOptions { name, lookback, .. }) = source;
            if sources[..index].iter().any(|before| before.0.name == *name) {
                return Err(format!("metrics.sources has two sources named {name}"));
            }
            if *lookback > retention.raw {
                return Err(format!("the lookback of {name} exceeds metrics.retention"));
            }
        }
        Ok(Self { database, retention, sources })
    }
}

/// A validated source.
#[derive(Debug, Deserialize)]
#[serde(try_from = "UncheckedSource")]
struct Source(SourceOptions);

/// A source as written in the file: the common keys, and one of four kinds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(transform = schema::exactly_one_kind)]
struct UncheckedSource {
    /// Name of the series; a `digitalocean` source has none.
    name: Option<String>,
    /// Unit of the series, for display.
    unit: Option<String>,
    /// Polling interval. Default: 15s; 2m for `digitalocean`.
    interval: Option<Span>,
    /// Timeout of a poll. Default: 5s; 30s for `digitalocean`.
    timeout: Option<Span>,
    /// Lookback of the series for policies that do not specify theirs.
    #[schemars(extend("default" = "5m"))]
    lookback: Option<Span>,
    /// A Prometheus query.
    prometheus: Option<PrometheusKeys>,
    /// A number in a JSON document.
    http: Option<HttpKeys>,
    /// Program and its arguments, run without a shell; it prints a number.
    command: Option<Vec<String>>,
    /// The metrics of DigitalOcean's agent; requires `droplet_options.monitoring`.
    digitalocean: Option<DigitalOceanKeys>,
}

/// A Prometheus query.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PrometheusKeys {
    /// Base URL, without `/api/v1`.
    url: String,
    /// The query, in `PromQL`.
    query: String,
    /// A file with a bearer token, readable only by its owner.
    bearer_token_file: Option<PathBuf>,
    /// Allows plain http to another machine.
    #[serde(default)]
    allow_http: bool,
}

/// A number in a JSON document.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HttpKeys {
    /// URL of the document.
    url: String,
    /// A JSON pointer to the number, such as `/queue/depth`; empty for the whole document.
    json_pointer: String,
    /// A file with a bearer token, readable only by its owner.
    bearer_token_file: Option<PathBuf>,
    /// Allows plain http to another machine.
    #[serde(default)]
    allow_http: bool,
}

/// DigitalOcean's monitoring API.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct DigitalOceanKeys {
    /// The metrics to read.
    #[schemars(extend("default" = ["cpu", "memory", "load_1"]))]
    metrics: Option<Vec<DropletMetric>>,
    /// Number of droplets queried per poll, in rotation.
    #[schemars(extend("default" = 5))]
    droplets_per_poll: Option<usize>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum DropletMetric {
    /// CPU utilization.
    Cpu,
    /// Memory utilization.
    Memory,
    /// Load average of one minute.
    #[serde(rename = "load_1")]
    Load1,
}

impl From<DropletMetric> for AgentMetric {
    fn from(metric: DropletMetric) -> Self {
        match metric {
            DropletMetric::Cpu => Self::Cpu,
            DropletMetric::Memory => Self::Memory,
            DropletMetric::Load1 => Self::Load1,
        }
    }
}

impl TryFrom<UncheckedSource> for Source {
    type Error = String;

    fn try_from(unchecked: UncheckedSource) -> Result<Self, String> {
        let is_agent = unchecked.digitalocean.is_some();
        let (interval, timeout) =
            if is_agent { (DIGITALOCEAN_INTERVAL, DIGITALOCEAN_TIMEOUT) } else { (DEFAULT_INTERVAL, DEFAULT_TIMEOUT) };
        let interval = unchecked.interval.map_or(interval, |span| span.0);
        let timeout = unchecked.timeout.map_or(timeout, |span| span.0);
        if interval < MIN_INTERVAL {
            return Err(format!("the interval of a source must be at least {MIN_INTERVAL:?}"));
        }
        if timeout < MIN_TIMEOUT {
            return Err(format!("the timeout of a source must be at least {MIN_TIMEOUT:?}"));
        }
        let name = name(unchecked.name, is_agent)?;
        let UncheckedSource { prometheus, http, command, digitalocean, .. } = unchecked;
        let kind = match (prometheus, http, command, digitalocean) {
            (Some(keys), None, None, None) => keys.kind(),
            (None, Some(keys), None, None) => keys.kind(),
            (None, None, Some(command), None) => command_kind(command),
            (None, None, None, Some(keys)) => keys.kind(interval),
            _ => Err("exactly one of `prometheus`, `http`, `command` and `digitalocean` is required".to_owned()),
        };
        let kind = kind.map_err(|error| format!("source {name}: {error}"))?;
        let unit = unchecked.unit.unwrap_or_default();
        if unit.chars().count() > MAX_NAME_LENGTH || unit.chars().any(char::is_control) {
            return Err(format!("the unit of {name} must be a short text without control characters"));
        }
        let lookback = unchecked.lookback.map_or(DEFAULT_LOOKBACK, |span| span.0);
        Ok(Self(SourceOptions { name, unit, interval, timeout, lookback, kind }))
    }
}

/// Validates the name of a source. Names of built-in series are reserved.
fn name(given: Option<String>, is_agent: bool) -> Result<String, String> {
    const AGENT: &str = "digitalocean";
    let name = match (given, is_agent) {
        (None, true) => return Ok(AGENT.to_owned()),
        (Some(_), true) => {
            return Err("a digitalocean source must not have a name, because its series have fixed names such as digitalocean.cpu_mean".to_owned());
        }
        (None, false) => return Err("a source requires a `name`, which becomes the name of its series".to_owned()),
        (Some(name), false) => name,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if !begins || !name.chars().all(plain) || name.len() > MAX_NAME_LENGTH {
        return Err(format!(
            "{name:?} is not a valid series name: use a letter, then letters, digits, '_', '.', ':' and '-', at most {MAX_NAME_LENGTH} characters"
        ));
    }
    let prefix = name.split('.').next().unwrap_or_default();
    if prefix == "haproxy" || prefix == AGENT {
        return Err(format!("the name {name} is reserved; choose one that does not start with {prefix}"));
    }
    Ok(name)
}

impl PrometheusKeys {
    fn kind(self) -> Result<SourceKind, String> {
        if self.query.trim().is_empty() || self.query.len() > MAX_QUERY_LENGTH {
            return Err(format!("the query must not be empty or longer than {MAX_QUERY_LENGTH} characters"));
        }
        let endpoint = Endpoint::new(&self.url, self.bearer_token_file, self.allow_http);
        Ok(SourceKind::Prometheus { endpoint: endpoint.map_err(|error| error.to_string())?, query: self.query })
    }
}

impl HttpKeys {
    fn kind(self) -> Result<SourceKind, String> {
        if !self.json_pointer.is_empty() && !self.json_pointer.starts_with('/') {
            return Err(format!("{:?} is not a JSON pointer; use the form /queue/depth", self.json_pointer));
        }
        let endpoint = Endpoint::new(&self.url, self.bearer_token_file, self.allow_http);
        Ok(SourceKind::Http { endpoint: endpoint.map_err(|error| error.to_string())?, json_pointer: self.json_pointer })
    }
}

fn command_kind(command: Vec<String>) -> Result<SourceKind, String> {
    let mut words = command.into_iter();
    let program = words.next().filter(|program| !program.is_empty());
    let program = program.ok_or_else(|| "the command is empty; use the form [program, argument, …]".to_owned())?;
    Ok(SourceKind::Command { program: program.into(), arguments: words.collect(), working_dir: PathBuf::new() })
}

impl DigitalOceanKeys {
    fn kind(self, interval: Duration) -> Result<SourceKind, String> {
        let metrics: Vec<AgentMetric> = match self.metrics {
            None => vec![AgentMetric::Cpu, AgentMetric::Memory, AgentMetric::Load1],
            Some(metrics) => metrics.into_iter().map(AgentMetric::from).collect(),
        };
        let droplets_per_poll = self.droplets_per_poll.unwrap_or(DEFAULT_DROPLETS_PER_POLL);
        if metrics.is_empty() || droplets_per_poll == 0 {
            return Err("a digitalocean source requires at least one metric and one droplet per poll".to_owned());
        }
        let calls: usize =
            metrics.iter().map(|metric| metric.api_calls()).sum::<usize>().saturating_mul(droplets_per_poll);
        #[expect(clippy::cast_precision_loss, reason = "a number of calls")]
        let per_hour = calls as f64 * 3600.0 / interval.as_secs_f64();
        if per_hour > MAX_CALLS_PER_HOUR {
            return Err(format!(
                "{calls} calls every {interval:?} are {per_hour:.0} per hour, but at most {MAX_CALLS_PER_HOUR} are allowed, because the fleet needs the rest of the token's 5000; reduce droplets_per_poll or metrics, or increase the interval"
            ));
        }
        Ok(SourceKind::DigitalOcean { metrics, droplets_per_poll })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn parse(text: &str) -> Result<Metrics, String> {
        yaml::parse(text, Path::new("doproxy.yml")).map_err(|error| error.to_string())
    }

    #[test]
    fn source_kinds_parse_with_paths_relative_to_file() {
        let metrics = parse(
            "retention: 7d\n\
             sources:\n\
             - {name: http.latency, unit: ms, interval: 30s, prometheus: {url: 'http://127.0.0.1:9090/prom', query: 'sum(up)', bearer_token_file: token}}\n\
             - {name: queue.depth, http: {url: 'https://queue.example/stats', json_pointer: /depth}}\n\
             - {name: jobs, command: [bin/jobs, --count], timeout: 1s}\n\
             - {digitalocean: {metrics: [cpu], droplets_per_poll: 10}}\n",
        );

        let options = metrics.unwrap().options(Path::new("/srv"), DEFAULT_INTERVAL);

        assert_eq!(options.retention.raw, Duration::from_hours(7 * 24));
        assert_eq!(options.sources[0].interval, Duration::from_secs(30));
        assert_eq!(options.sources[1].lookback, DEFAULT_LOOKBACK);
        let SourceKind::Command { program, arguments, working_dir: folder } = &options.sources[2].kind else {
            panic!("{options:?}")
        };
        assert_eq!((program.as_path(), folder.as_path()), (Path::new("/srv/bin/jobs"), Path::new("/srv")));
        assert_eq!(arguments, &["--count"]);
        assert_eq!(
            options.names()[6..],
            ["http.latency", "queue.depth", "jobs", "digitalocean.cpu_mean", "digitalocean.cpu_max"]
        );
    }

    #[test]
    fn parse_rejects_invalid_sources_with_position() {
        let refused = [
            "sources: [{name: a, prometheus: {url: 'http://127.0.0.1', qery: up}}]",
            "sources: [{name: a, promtheus: {}}]",
            "sources: [{name: a}]",
            "sources: [{command: [x]}]",
            "sources: [{name: a, command: [x], http: {url: 'http://127.0.0.1', json_pointer: ''}}]",
            "sources: [{name: a, http: {url: 'http://10.0.0.1', json_pointer: /a}}]",
            "sources: [{name: a, http: {url: 'http://127.0.0.1', json_pointer: a.b}}]",
            "sources: [{name: haproxy.mine, command: [x]}]",
            "sources: [{name: 'a b', command: [x]}]",
            "sources: [{name: a, command: []}]",
            "sources: [{name: a, command: [x]}, {name: a, command: [y]}]",
            "sources: [{name: a, command: [x], interval: 10ms}]",
            "sources: [{name: a, command: [x], lookback: 15d}]",
            "sources: [{digitalocean: {droplets_per_poll: 50}, interval: 60s}]",
            "sources: [{digitalocean: {metrics: [disk]}}]",
            "retention: 1m",
            "downsampled_retention: 1d",
        ]
        .map(|text| parse(text).map(drop).expect_err(text));

        insta::assert_snapshot!(refused.join("\n"), @r#"
        doproxy.yml:1:59: sources[0].prometheus: unknown field `qery`, expected one of `url`, `query`, `bearer_token_file`, `allow_http`; did you mean `query`?
        doproxy.yml:1:21: sources[0]: unknown field `promtheus`, expected one of `name`, `unit`, `interval`, `timeout`, `lookback`, `prometheus`, `http`, `command`, `digitalocean`; did you mean `prometheus`?
        doproxy.yml:1:10: sources: source a: exactly one of `prometheus`, `http`, `command` and `digitalocean` is required
        doproxy.yml:1:10: sources: a source requires a `name`, which becomes the name of its series
        doproxy.yml:1:10: sources: source a: exactly one of `prometheus`, `http`, `command` and `digitalocean` is required
        doproxy.yml:1:10: sources: source a: the url is plain http to another machine, which exposes the metrics to tampering; use https, or set `allow_http: true`
        doproxy.yml:1:10: sources: source a: "a.b" is not a JSON pointer; use the form /queue/depth
        doproxy.yml:1:10: sources: the name haproxy.mine is reserved; choose one that does not start with haproxy
        doproxy.yml:1:10: sources: "a b" is not a valid series name: use a letter, then letters, digits, '_', '.', ':' and '-', at most 100 characters
        doproxy.yml:1:10: sources: source a: the command is empty; use the form [program, argument, …]
        doproxy.yml: metrics.sources has two sources named a
        doproxy.yml:1:10: sources: the interval of a source must be at least 1s
        doproxy.yml: the lookback of a exceeds metrics.retention
        doproxy.yml:1:10: sources: source digitalocean: 200 calls every 60s are 12000 per hour, but at most 2000 are allowed, because the fleet needs the rest of the token's 5000; reduce droplets_per_poll or metrics, or increase the interval
        doproxy.yml:1:37: sources[0].digitalocean.metrics[0]: unknown variant `disk`, expected one of `cpu`, `memory`, `load_1`
        doproxy.yml: metrics.retention must be at least 3600s
        doproxy.yml: metrics.downsampled_retention must not be shorter than metrics.retention
        "#);
    }
}
