//! Other products' algorithms, as settings of `builtin:target-tracking`.

use serde_json::{Value, json};

use crate::metrics::haproxy::REQUESTS_PER_SECOND;

/// A preset: what `--policy hpa` stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preset {
    /// What it is called.
    pub name: &'static str,
    /// What `builtin:target-tracking` calls it.
    called: &'static str,
    /// The utilisation that it aims at where nothing else is said.
    pub utilisation: f64,
}

/// The presets that there are; their rules are in `docs/policies.md`.
pub const PRESETS: [Preset; 6] = [
    Preset { name: "hpa", called: "hpa", utilisation: 0.7 },
    Preset { name: "gce", called: "gce", utilisation: 0.7 },
    Preset { name: "aws", called: "aws", utilisation: 0.7 },
    Preset { name: "kpa", called: "knative", utilisation: 0.7 },
    Preset { name: "hold-boot", called: "hold-boot", utilisation: 0.7 },
    Preset { name: "react", called: "react", utilisation: 1.0 },
];

impl Preset {
    /// The preset of that name.
    pub fn find(name: &str) -> Option<Self> {
        PRESETS.into_iter().find(|preset| preset.name == name)
    }

    /// The configuration for droplets of `capacity` requests per second that are to be used up to `utilisation`.
    pub fn config(self, capacity: f64, utilisation: f64) -> Value {
        json!({
            "preset": self.called,
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
