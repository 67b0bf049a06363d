//! Presets that configure `builtin:target-tracking` like other products' algorithms.

use doproxy_core::pipeline::REQUESTS_PER_SECOND;
use serde_json::{Value, json};

/// A preset, selected with for example `--policy hpa`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preset {
    /// Name on the command line.
    pub name: &'static str,
    /// Name of the preset in `builtin:target-tracking`.
    target_tracking_name: &'static str,
    /// Default target utilization.
    pub utilization: f64,
}

/// The available presets; `docs/reference/simulation-inputs.md` lists their rules.
pub const PRESETS: [Preset; 6] = [
    Preset { name: "hpa", target_tracking_name: "hpa", utilization: 0.7 },
    Preset { name: "gce", target_tracking_name: "gce", utilization: 0.7 },
    Preset { name: "aws", target_tracking_name: "aws", utilization: 0.7 },
    Preset { name: "kpa", target_tracking_name: "knative", utilization: 0.7 },
    Preset { name: "ski-rental", target_tracking_name: "ski-rental", utilization: 0.7 },
    Preset { name: "reactive", target_tracking_name: "reactive", utilization: 1.0 },
];

impl Preset {
    /// Returns the preset with this name.
    pub fn find(name: &str) -> Option<Self> {
        PRESETS.into_iter().find(|preset| preset.name == name)
    }

    /// Returns the configuration for droplets that serve `capacity` requests per second, with a target utilization of
    /// `utilization`.
    pub fn config(self, capacity: f64, utilization: f64) -> Value {
        json!({
            "preset": self.target_tracking_name,
            "metric": REQUESTS_PER_SECOND,
            "target_per_droplet": capacity * utilization,
        })
    }
}

#[cfg(test)]
mod tests;
