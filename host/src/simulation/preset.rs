//! Other products' algorithms, as settings of `builtin:target-tracking`.

use serde_json::{Value, json};

use crate::metrics::rates::REQUESTS_PER_SECOND;

/// A preset: what `--policy hpa` stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preset {
    /// What it is called.
    pub name: &'static str,
    /// What `builtin:target-tracking` calls it.
    target_tracking_name: &'static str,
    /// The utilisation that it aims at where nothing else is said.
    pub utilization: f64,
}

/// The presets that there are; their rules are in `docs/policies.md`.
pub const PRESETS: [Preset; 6] = [
    Preset { name: "hpa", target_tracking_name: "hpa", utilization: 0.7 },
    Preset { name: "gce", target_tracking_name: "gce", utilization: 0.7 },
    Preset { name: "aws", target_tracking_name: "aws", utilization: 0.7 },
    Preset { name: "kpa", target_tracking_name: "knative", utilization: 0.7 },
    Preset { name: "hold-boot", target_tracking_name: "hold-boot", utilization: 0.7 },
    Preset { name: "react", target_tracking_name: "react", utilization: 1.0 },
];

impl Preset {
    /// The preset of that name.
    pub fn find(name: &str) -> Option<Self> {
        PRESETS.into_iter().find(|preset| preset.name == name)
    }

    /// The configuration for droplets of `capacity` requests per second that are to be used up to `utilisation`.
    pub fn config(self, capacity: f64, utilisation: f64) -> Value {
        json!({
            "preset": self.target_tracking_name,
            "metric": REQUESTS_PER_SECOND,
            "target_per_droplet": capacity * utilisation,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_is_a_configuration_of_target_tracking() {
        let config = Preset::find("kpa").unwrap().config(100.0, 0.5);

        assert_eq!(
            config,
            json!({ "preset": "knative", "metric": "haproxy.requests_per_second", "target_per_droplet": 50.0 })
        );
        assert_eq!(Preset::find("keda"), None);
    }
}
