//! The configuration; `schema.json` describes the same to the host.

use doproxy_policy_sdk::numbers::seconds_to_ms;
use doproxy_policy_sdk::{Problem, parse_json, validated};
use serde::Deserialize;

/// The smoothing factors of the model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Smoothing {
    /// Of the level.
    pub alpha: f64,
    /// Of the trend.
    pub beta: f64,
    /// Of the season.
    pub gamma: f64,
    /// Damping of the trend per bucket.
    pub phi: f64,
}

/// The division of time into buckets and seasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    /// Length of a bucket in milliseconds, above 0.
    pub bucket_ms: u64,
    /// Number of buckets in a season, above 1.
    pub slots: usize,
}

/// A validated configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Name of the series, which is a total over the fleet.
    pub metric: String,
    /// The amount of the metric one droplet should carry.
    pub target_per_droplet: f64,
    /// The division of time.
    pub calendar: Calendar,
    /// The smoothing factors of the model.
    pub smoothing: Smoothing,
    /// Forecast horizon in milliseconds; the boot time plus a minute if `None`.
    pub look_ahead_ms: Option<u64>,
    /// Stabilization window for scale-in, in milliseconds.
    pub scale_in_stabilization_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    metric: String,
    target_per_droplet: f64,
    #[serde(default = "day")]
    season_s: u64,
    #[serde(default = "five_minutes")]
    bucket_s: u64,
    #[serde(default = "fifth")]
    alpha: f64,
    #[serde(default = "fiftieth")]
    beta: f64,
    #[serde(default = "fifth")]
    gamma: f64,
    #[serde(default = "nearly_all")]
    phi: f64,
    look_ahead_s: Option<u64>,
    #[serde(default = "five_minutes")]
    scale_in_stabilization_s: u64,
}

fn day() -> u64 {
    86_400
}

fn five_minutes() -> u64 {
    300
}

fn fifth() -> f64 {
    0.2
}

fn fiftieth() -> f64 {
    0.02
}

fn nearly_all() -> f64 {
    0.98
}

/// Maximum number of buckets in a season: two weeks of five-minute buckets. The state has two four-byte numbers per
/// bucket, so it stays below 33 KiB.
pub const MAX_SLOTS: u64 = 4032;

impl Config {
    /// Parses JSON text that has passed the schema.
    pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
        let written: RawConfig = parse_json(json)?;
        let mut problems = Vec::new();
        if !(written.target_per_droplet.is_finite() && written.target_per_droplet > 0.0) {
            problems.push(Problem::at("/target_per_droplet", "the target must be above 0"));
        }
        let shares =
            [(written.alpha, "/alpha"), (written.beta, "/beta"), (written.gamma, "/gamma"), (written.phi, "/phi")];
        for (share, path) in shares {
            if !(0.0..=1.0).contains(&share) {
                problems.push(Problem::at(path, "must be a share: 0 to 1"));
            }
        }
        let slots = written.season_s.checked_div(written.bucket_s).unwrap_or(0);
        if !(2..=MAX_SLOTS).contains(&slots) || !written.season_s.is_multiple_of(written.bucket_s) {
            let message = format!("a season must be 2 to {MAX_SLOTS} whole buckets, not {} s", written.season_s);
            problems.push(Problem::at("/season_s", message));
        }
        let config = Self {
            metric: written.metric,
            target_per_droplet: written.target_per_droplet,
            calendar: Calendar {
                bucket_ms: seconds_to_ms(written.bucket_s).max(1),
                slots: usize::try_from(slots.clamp(2, MAX_SLOTS)).unwrap_or(2),
            },
            smoothing: Smoothing { alpha: written.alpha, beta: written.beta, gamma: written.gamma, phi: written.phi },
            look_ahead_ms: written.look_ahead_s.map(seconds_to_ms),
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
    fn default_season_is_a_day_of_five_minutes() {
        let config = Config::parse(r#"{"metric": "m", "target_per_droplet": 5}"#).unwrap();

        assert_eq!(config.calendar, Calendar { bucket_ms: 300_000, slots: 288 });
        assert_eq!(config.look_ahead_ms, None);
    }

    #[test]
    fn every_problem_is_reported_with_its_path() {
        let config = r#"{"metric": "m", "target_per_droplet": 0, "season_s": 1000, "alpha": 2}"#;

        assert_eq!(
            problems::<crate::Predictive>(config),
            [
                "/target_per_droplet: the target must be above 0",
                "/alpha: must be a share: 0 to 1",
                "/season_s: a season must be 2 to 4032 whole buckets, not 1000 s",
            ]
        );
        for season in [r#""season_s": 600, "bucket_s": 0"#, r#""season_s": 604800, "bucket_s": 60"#] {
            let config = format!(r#"{{"metric": "m", "target_per_droplet": 1, {season}}}"#);
            assert_eq!(problems::<crate::Predictive>(&config).len(), 1, "{season}");
        }
    }
}
