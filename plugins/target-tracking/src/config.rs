//! What an operator sets; `schema.json` says the same to the host.

use serde::Deserialize;

/// What the metric is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// The series is a total over the fleet: this much for each droplet.
    PerDroplet(f64),
    /// The series is an average over the droplets already.
    Average(f64),
}

/// Most that changes in one decision; where both are given, the larger counts, as with `selectPolicy: Max` of the HPA.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepLimit {
    /// In percent of the size.
    pub percent: Option<u32>,
    /// In droplets.
    pub droplets: Option<u32>,
}

impl StepLimit {
    /// The droplets that a step of a fleet of `size` may take; `None` for any number. A part of a droplet counts as one.
    pub fn droplets(self, size: u32) -> Option<u32> {
        let percent = self.percent.map(|percent| {
            let droplets = (u64::from(size) * u64::from(percent)).div_ceil(100);
            u32::try_from(droplets).unwrap_or(u32::MAX)
        });
        percent.max(self.droplets)
    }
}

/// A checked configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The name of the series.
    pub metric: String,
    /// What it is held against.
    pub target: Target,
    /// How far from the target counts as on it, as a share of it.
    pub tolerance: f64,
    /// For how long a size that was needed keeps the fleet from shrinking below it, in milliseconds.
    pub scale_in_stabilisation_ms: u64,
    /// Most that it grows.
    pub scale_out: StepLimit,
    /// Most that it shrinks.
    pub scale_in: StepLimit,
}

/// The series of the host that are averages; `target_per_droplet` makes no sense with them.
const AVERAGES: [&str; 2] = ["haproxy.utilisation", "haproxy.response_time_ms"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    metric: String,
    target_per_droplet: Option<f64>,
    target_average: Option<f64>,
    #[serde(default = "default_tolerance")]
    tolerance: f64,
    #[serde(default = "default_stabilisation")]
    scale_in_stabilisation_s: u64,
    max_scale_out_percent: Option<u32>,
    max_scale_out_droplets: Option<u32>,
    max_scale_in_percent: Option<u32>,
    max_scale_in_droplets: Option<u32>,
}

/// `--horizontal-pod-autoscaler-tolerance` of the HPA.
fn default_tolerance() -> f64 {
    0.1
}

/// `--horizontal-pod-autoscaler-downscale-stabilization` of the HPA.
fn default_stabilisation() -> u64 {
    300
}

/// `behavior.scaleUp` of the HPA: 100 % or 4, whichever is more.
const DEFAULT_SCALE_OUT: StepLimit = StepLimit { percent: Some(100), droplets: Some(4) };

impl Config {
    /// Reads JSON text that has passed the schema.
    pub fn parse(json: &str) -> Result<Self, String> {
        let written: Written = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let target = match (written.target_per_droplet, written.target_average) {
            (Some(target), None) => Target::PerDroplet(target),
            (None, Some(target)) => Target::Average(target),
            _ => return Err("one of target_per_droplet and target_average is needed".to_owned()),
        };
        let (Target::PerDroplet(number) | Target::Average(number)) = target;
        if !(number.is_finite() && number > 0.0) {
            return Err("the target must be above 0".to_owned());
        }
        let scale_out = StepLimit { percent: written.max_scale_out_percent, droplets: written.max_scale_out_droplets };
        Ok(Self {
            metric: written.metric,
            target,
            tolerance: written.tolerance,
            scale_in_stabilisation_ms: written.scale_in_stabilisation_s.saturating_mul(1000),
            scale_out: if scale_out == StepLimit::default() { DEFAULT_SCALE_OUT } else { scale_out },
            scale_in: StepLimit { percent: written.max_scale_in_percent, droplets: written.max_scale_in_droplets },
        })
    }

    /// What the schema cannot say: pairs of JSON pointer and message.
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        if matches!(self.target, Target::PerDroplet(_)) && AVERAGES.contains(&self.metric.as_str()) {
            problems.push((
                "/target_per_droplet".to_owned(),
                format!("{} is an average over the droplets: set target_average instead", self.metric),
            ));
        }
        if self.scale_out.droplets(1) == Some(0) {
            problems.push((
                "/max_scale_out_droplets".to_owned(),
                "the fleet could never grow: allow at least 1 droplet or 1 percent".to_owned(),
            ));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_in_kubernetes() {
        let config = Config::parse(r#"{"metric": "haproxy.sessions", "target_per_droplet": 50}"#).unwrap();

        assert_eq!(
            config,
            Config {
                metric: "haproxy.sessions".to_owned(),
                target: Target::PerDroplet(50.0),
                tolerance: 0.1,
                scale_in_stabilisation_ms: 300_000,
                scale_out: StepLimit { percent: Some(100), droplets: Some(4) },
                scale_in: StepLimit::default(),
            }
        );
    }

    #[test]
    fn a_total_is_no_target_for_an_average() {
        let config = Config::parse(r#"{"metric": "haproxy.utilisation", "target_per_droplet": 0.6}"#).unwrap();

        let problems = config.problems();

        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].0, "/target_per_droplet");
    }

    #[test]
    fn a_part_of_a_droplet_is_a_step_too() {
        let limit = StepLimit { percent: Some(10), droplets: None };

        assert_eq!(limit.droplets(4), Some(1));
        assert_eq!(StepLimit { droplets: Some(3), ..limit }.droplets(50), Some(5));
        assert_eq!(StepLimit::default().droplets(50), None);
    }
}
