//! The configuration; `schema.json` describes the same to the host.

use doproxy_policy_sdk::numbers::seconds_to_ms;
use doproxy_policy_sdk::{Problem, parse_json, validated};
use serde::Deserialize;

use crate::erlang::ServiceLevel;

/// The source of a number.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A series.
    Series(String),
    /// A constant from the configuration.
    Constant(f64),
}

/// A validated configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Source of the request rate, per second.
    pub arrivals: Source,
    /// Source of the service time of a request, in milliseconds.
    pub service_ms: Source,
    /// Requests a droplet serves concurrently.
    pub slots: u32,
    /// The service level to meet.
    pub service_level: ServiceLevel,
    /// Averaging window of the series, in milliseconds.
    pub window_ms: u64,
    /// Stabilization window for scale-in, in milliseconds.
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

/// The default series of the request rate.
pub const DEFAULT_ARRIVALS_METRIC: &str = "haproxy.requests_per_second";

/// Maximum averaging window in milliseconds; the policy requires samples of this length from the host.
pub const MAX_WINDOW_MS: u64 = 600_000;

/// Maximum number of concurrent requests of a droplet.
const MAX_SLOTS: u32 = 100_000;

impl Config {
    /// Parses JSON text that has passed the schema.
    pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
        let written: RawConfig = parse_json(json)?;
        let mut problems = Vec::new();
        let arrivals = match (written.arrivals_metric, written.arrivals_per_second) {
            (Some(_), Some(_)) => {
                problems.push(Problem::at(
                    "/arrivals_per_second",
                    "set either arrivals_per_second or arrivals_metric, not both",
                ));
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
                problems.push(Problem::at("", "one of service_ms and service_metric is required"));
                None
            }
        };
        let is_a_number = |source: &Option<Source>, least: f64| match source {
            Some(Source::Constant(number)) => number.is_finite() && *number >= least,
            _ => true,
        };
        if !is_a_number(&arrivals, 0.0) {
            problems.push(Problem::at("/arrivals_per_second", "the rate must be 0 requests per second or more"));
        }
        if !is_a_number(&service, f64::MIN_POSITIVE) {
            problems.push(Problem::at("/service_ms", "the service time must be above 0 ms"));
        }
        if !(1..=MAX_SLOTS).contains(&written.slots) {
            problems.push(Problem::at("/slots", format!("a droplet must serve 1 to {MAX_SLOTS} concurrent requests")));
        }
        if !(written.wait_ms.is_finite() && written.wait_ms >= 0.0) {
            problems.push(Problem::at("/wait_ms", "the wait must be 0 ms or more"));
        }
        if !(written.probability > 0.0 && written.probability < 1.0) {
            problems.push(Problem::at("/probability", "the probability must be above 0 and below 1: 0.05 is 5 %"));
        }
        if seconds_to_ms(written.window_s) > MAX_WINDOW_MS {
            problems.push(Problem::at("/window_s", "the window must be at most 600 s"));
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
    use doproxy_policy_sdk::testing::problems;

    use super::*;

    #[test]
    fn arrivals_default_to_haproxy_requests() {
        let config = Config::parse(r#"{"service_ms": 20}"#).unwrap();

        assert_eq!(config.arrivals, Source::Series("haproxy.requests_per_second".to_owned()));
        assert_eq!(config.service_level, ServiceLevel { wait: 0.0, probability: 0.05 });
        assert_eq!((config.slots, config.window_ms, config.scale_in_stabilization_ms), (1, 60_000, 300_000));
    }

    #[test]
    fn every_problem_is_reported_with_its_path() {
        let config = r#"{"arrivals_per_second": -1, "slots": 0, "wait_ms": -1, "probability": 5, "window_s": 601}"#;

        assert_eq!(
            problems::<crate::Queueing>(config),
            [
                ": one of service_ms and service_metric is required",
                "/arrivals_per_second: the rate must be 0 requests per second or more",
                "/slots: a droplet must serve 1 to 100000 concurrent requests",
                "/wait_ms: the wait must be 0 ms or more",
                "/probability: the probability must be above 0 and below 1: 0.05 is 5 %",
                "/window_s: the window must be at most 600 s",
            ]
        );
        let both = r#"{"arrivals_metric": "m", "arrivals_per_second": 1, "service_ms": 0}"#;
        assert_eq!(
            problems::<crate::Queueing>(both),
            [
                "/arrivals_per_second: set either arrivals_per_second or arrivals_metric, not both",
                "/service_ms: the service time must be above 0 ms",
            ]
        );
    }
}
