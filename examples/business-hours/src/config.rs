//! The configuration, and the business hours in it.

use serde::Deserialize;

const HOUR_MS: f64 = 3_600_000.0;
const DAY_MS: i64 = 86_400_000;

#[derive(Debug, Deserialize)]
pub struct Config {
    pub floor: u32,
    #[serde(default = "default_opens")]
    pub opens: f64,
    #[serde(default = "default_closes")]
    pub closes: f64,
    #[serde(default = "default_days")]
    pub days: Vec<u8>,
    #[serde(default)]
    pub utc_offset_hours: f64,
    pub queue: String,
    pub jobs_per_droplet: f64,
    #[serde(default = "default_calm_minutes")]
    pub calm_minutes: u32,
}

fn default_opens() -> f64 {
    8.0
}

fn default_closes() -> f64 {
    18.0
}

fn default_calm_minutes() -> u32 {
    10
}

fn default_days() -> Vec<u8> {
    vec![1, 2, 3, 4, 5]
}

impl Config {
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// Reports whether a time, in milliseconds since the epoch, is within business hours.
    pub fn is_open(&self, at: u64) -> bool {
        let local = i64::try_from(at).unwrap_or(i64::MAX).saturating_add((self.utc_offset_hours * HOUR_MS) as i64);
        // The epoch started on a Thursday, which is day 4.
        let day = (local.div_euclid(DAY_MS) + 3).rem_euclid(7) + 1;
        let hour = local.rem_euclid(DAY_MS) as f64 / HOUR_MS;
        self.days.iter().any(|open| i64::from(*open) == day) && self.opens <= hour && hour < self.closes
    }
}
