//! What an operator sets; `schema.json` says the same to the host.

use doproxy_policy_sdk::numbers::seconds_to_ms;
use doproxy_policy_sdk::{Problem, parse_json, validated};
use serde::Deserialize;

use crate::erlang::ServiceLevel;

/// Where a number comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A series.
    Series(String),
    /// The operator.
    Constant(f64),
}

/// A checked configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Requests per second.
    pub arrivals: Source,
    /// Milliseconds to serve one.
    pub service_ms: Source,
    /// Requests that a droplet serves at a time.
    pub slots: u32,
    /// What is promised.
    pub service_level: ServiceLevel,
    /// The series are averaged over so many milliseconds.
    pub window_ms: u64,
    /// For how long a size that was needed keeps the fleet from shrinking below it, in milliseconds.
    pub scale_in_stabilization_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    arrivals_metric: Option<String>,
    arrivals_per_second: Option<f64>,
    service_metric: Option<String>,
    service_ms: Option<f64>,
    #[serde(default = "one")]
    slots: u32,
    #[serde(default)]
    wait_ms: f64,
    #[serde(default = "one_in_twenty")]
    probability: f64,
    #[serde(default = "minute")]
    window_s: u64,
    #[serde(default = "five_minutes")]
    scale_in_stabilization_s: u64,
}

fn one() -> u32 {
    1
}

fn one_in_twenty() -> f64 {
    0.05
}

fn minute() -> u64 {
    60
}

fn five_minutes() -> u64 {
    300
}

/// Where requests are counted unless the operator says otherwise.
pub const DEFAULT_ARRIVALS_METRIC: &str = "haproxy.requests_per_second";

/// Longest that is averaged over, in milliseconds: the host is asked for samples of so long.
pub const MAX_WINDOW_MS: u64 = 600_000;

/// Most requests that a droplet serves at a time.
const MAX_SLOTS: u32 = 100_000;

impl Config {
    /// Reads JSON text that has passed the schema.
    pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
        let written: RawConfig = parse_json(json)?;
        let mut problems = Vec::new();
        let arrivals = match (written.arrivals_metric, written.arrivals_per_second) {
            (Some(_), Some(_)) => {
                problems.push(Problem::at("/arrivals_per_second", "the arrivals are measured or known, not both"));
                None
            }
            (None, Some(number)) => Some(Source::Constant(number)),
            (Some(name), None) => Some(Source::Series(name)),
            (None, None) => Some(Source::Series(DEFAULT_ARRIVALS_METRIC.to_owned())),
        };
        let service = match (written.service_metric, written.service_ms) {
            (Some(name), None) => Some(Source::Series(name)),
            (None, Some(number)) => Some(Source::Constant(number)),
            _ => {
                problems.push(Problem::at("", "one of service_ms and service_metric is needed"));
                None
            }
        };
        let is_a_number = |source: &Option<Source>, least: f64| match source {
            Some(Source::Constant(number)) => number.is_finite() && *number >= least,
            _ => true,
        };
        if !is_a_number(&arrivals, 0.0) {
            problems.push(Problem::at("/arrivals_per_second", "there are 0 requests per second or more"));
        }
        if !is_a_number(&service, f64::MIN_POSITIVE) {
            problems.push(Problem::at("/service_ms", "to serve a request takes more than 0 ms"));
        }
        if !(1..=MAX_SLOTS).contains(&written.slots) {
            problems.push(Problem::at("/slots", format!("a droplet serves 1 to {MAX_SLOTS} requests at a time")));
        }
        if !(written.wait_ms.is_finite() && written.wait_ms >= 0.0) {
            problems.push(Problem::at("/wait_ms", "a wait is 0 ms or more"));
        }
        if !(written.probability > 0.0 && written.probability < 1.0) {
            problems.push(Problem::at("/probability", "a probability is above 0 and below 1: 0.05 is 5 %"));
        }
        if seconds_to_ms(written.window_s) > MAX_WINDOW_MS {
            problems.push(Problem::at("/window_s", "a window is 600 s at the longest"));
        }
        let nothing = Source::Constant(0.0);
        let config = Self {
            arrivals: arrivals.unwrap_or(nothing.clone()),
            service_ms: service.unwrap_or(nothing),
            slots: written.slots,
            service_level: ServiceLevel { wait: written.wait_ms / 1000.0, probability: written.probability },
            window_ms: seconds_to_ms(written.window_s),
            scale_in_stabilization_ms: seconds_to_ms(written.scale_in_stabilization_s),
        };
        validated(config, problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doproxy_policy_sdk::testing::problems;

    #[test]
    fn requests_are_counted_by_haproxy_where_nothing_else_is_said() {
        let config = Config::parse(r#"{"service_ms": 20}"#).unwrap();

        assert_eq!(config.arrivals, Source::Series("haproxy.requests_per_second".to_owned()));
        assert_eq!(config.service_level, ServiceLevel { wait: 0.0, probability: 0.05 });
        assert_eq!((config.slots, config.window_ms, config.scale_in_stabilization_ms), (1, 60_000, 300_000));
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let config = r#"{"arrivals_per_second": -1, "slots": 0, "wait_ms": -1, "probability": 5, "window_s": 601}"#;

        assert_eq!(
            problems::<crate::Queueing>(config),
            [
                ": one of service_ms and service_metric is needed",
                "/arrivals_per_second: there are 0 requests per second or more",
                "/slots: a droplet serves 1 to 100000 requests at a time",
                "/wait_ms: a wait is 0 ms or more",
                "/probability: a probability is above 0 and below 1: 0.05 is 5 %",
                "/window_s: a window is 600 s at the longest",
            ]
        );
        let both = r#"{"arrivals_metric": "m", "arrivals_per_second": 1, "service_ms": 0}"#;
        assert_eq!(
            problems::<crate::Queueing>(both),
            [
                "/arrivals_per_second: the arrivals are measured or known, not both",
                "/service_ms: to serve a request takes more than 0 ms",
            ]
        );
    }
}
