//! The configuration; `schema.json` describes the same to the host.

use std::time::Duration;

use doproxy_policy_sdk::{Problem, parse_json, validated};
use serde::Deserialize;

use crate::clock::Period;

/// A validated configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Name of the series, which is a total over the fleet.
    pub metric: String,
    /// The amount of the metric one droplet can carry.
    pub capacity_per_droplet: f64,
    /// The share of the metric that may be left unserved, from 0 to 1.
    pub max_unserved: f64,
    /// The repeating period.
    pub seasonality: Period,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    #[serde(default = "requests")]
    metric: String,
    capacity_per_droplet: f64,
    #[serde(default = "tenth")]
    max_unserved_percent: f64,
    #[serde(default = "day")]
    seasonality_s: u64,
}

fn requests() -> String {
    "haproxy.requests_per_second".to_owned()
}

fn tenth() -> f64 {
    0.1
}

fn day() -> u64 {
    86_400
}

/// The shortest and the longest period, in seconds.
const SEASONALITY_S: std::ops::RangeInclusive<u64> = 600..=2_678_400;

impl Config {
    /// Parses JSON text that has passed the schema.
    pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
        let written: RawConfig = parse_json(json)?;
        let mut problems = Vec::new();
        if !(written.capacity_per_droplet.is_finite() && written.capacity_per_droplet > 0.0) {
            problems.push(Problem::at("/capacity_per_droplet", "the capacity must be above 0"));
        }
        if !(0.001..=50.0).contains(&written.max_unserved_percent) {
            problems.push(Problem::at("/max_unserved_percent", "must be 0.001 to 50 percent"));
        }
        if !SEASONALITY_S.contains(&written.seasonality_s) {
            problems.push(Problem::at("/seasonality_s", "a season is 10 minutes to 31 days"));
        }
        let config = Self {
            metric: written.metric,
            capacity_per_droplet: written.capacity_per_droplet,
            max_unserved: written.max_unserved_percent / 100.0,
            seasonality: Period::season(Duration::from_secs(
                written.seasonality_s.clamp(*SEASONALITY_S.start(), *SEASONALITY_S.end()),
            )),
        };
        validated(config, problems)
    }
}

#[cfg(test)]
mod tests {
    use doproxy_policy_sdk::testing::problems;

    use super::*;

    #[test]
    fn capacity_alone_is_sufficient() {
        let config = Config::parse(r#"{"capacity_per_droplet": 100}"#).unwrap();

        assert_eq!((config.metric.as_str(), config.max_unserved), ("haproxy.requests_per_second", 0.001));
        assert_eq!(config.seasonality, Period { length_ms: 86_400_000, slots: 288 });
    }

    #[test]
    fn every_problem_is_reported_with_its_path() {
        let config = r#"{"capacity_per_droplet": 0, "max_unserved_percent": 0, "seasonality_s": 1}"#;

        assert_eq!(
            problems::<crate::Adaptive>(config),
            [
                "/capacity_per_droplet: the capacity must be above 0",
                "/max_unserved_percent: must be 0.001 to 50 percent",
                "/seasonality_s: a season is 10 minutes to 31 days",
            ]
        );
    }
}
