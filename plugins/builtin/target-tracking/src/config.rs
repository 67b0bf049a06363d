//! The configuration; `schema.json` describes the same to the host.

use doproxy_policy_sdk::numbers::seconds_to_ms;
use doproxy_policy_sdk::{Problem, parse_json, validated};
use serde::Deserialize;

use crate::preset::{PeakEffect, Preset, Rule, WindowLength};

/// The target of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// The series is a total over the fleet; this is the amount per droplet.
    PerDroplet(f64),
    /// The series is an average over the droplets.
    Average(f64),
}

impl Target {
    /// Returns the target value.
    pub fn value(self) -> f64 {
        let (Self::PerDroplet(number) | Self::Average(number)) = self;
        number
    }
}

/// A metric and its target.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Name of the series.
    pub name: String,
    /// Its target.
    pub target: Target,
}

/// The tolerated deviation from the target, as shares of the target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Above the target.
    pub scale_out: f64,
    /// Below the target.
    pub scale_in: f64,
    /// Additional tolerance for division errors.
    pub epsilon: f64,
}

/// Maximum change in one decision; if both limits are set, the larger applies, as with `selectPolicy: Max` of the HPA.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepLimit {
    /// Limit in percent of the size.
    pub percent: Option<u32>,
    /// Limit in droplets.
    pub droplets: Option<u32>,
}

impl StepLimit {
    /// Returns the maximum change of a fleet of `size`, in droplets; `None` if unlimited. A fraction of a droplet is
    /// rounded up.
    pub fn droplets(self, size: u32) -> Option<u32> {
        let percent = self.percent.map(|percent| {
            let droplets = (u64::from(size) * u64::from(percent)).div_ceil(100);
            u32::try_from(droplets).unwrap_or(u32::MAX)
        });
        percent.max(self.droplets)
    }
}

/// A validated configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The metrics, at least one.
    pub metrics: Vec<Metric>,
    /// The scaling rule.
    pub rule: Rule,
    /// The tolerated deviation from the targets.
    pub tolerance: Tolerance,
    /// Length of the recommendation window.
    pub window: WindowLength,
    /// The effect of the largest recommendation in the window.
    pub peak_effect: PeakEffect,
    /// If set, the initial size counts as a recommendation.
    pub counts_initial_size: bool,
    /// Time for which a serving droplet is not yet ready, in milliseconds.
    pub warm_up_ms: u64,
    /// If set, the fleet may shrink while droplets are starting.
    pub scale_in_during_startup: bool,
    /// Maximum growth.
    pub scale_out: StepLimit,
    /// Maximum shrinkage.
    pub scale_in: StepLimit,
}

/// The host's series that are averages; `target_per_droplet` is meaningless for them.
const AVERAGES: [&str; 2] = [crate::measure::UTILIZATION, crate::measure::RESPONSE_TIME];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    #[serde(default)]
    preset: Preset,
    metric: Option<String>,
    target_per_droplet: Option<f64>,
    target_average: Option<f64>,
    metrics: Option<Vec<RawMetric>>,
    tolerance: Option<f64>,
    tolerance_out: Option<f64>,
    tolerance_in: Option<f64>,
    scale_in_stabilization_s: Option<u64>,
    #[serde(default)]
    warm_up_s: u64,
    scale_in_during_startup: Option<bool>,
    datapoints_out: Option<u32>,
    datapoints_in: Option<u32>,
    max_scale_out_percent: Option<u32>,
    max_scale_out_droplets: Option<u32>,
    max_scale_in_percent: Option<u32>,
    max_scale_in_droplets: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMetric {
    metric: String,
    target_per_droplet: Option<f64>,
    target_average: Option<f64>,
}

impl Config {
    /// Parses JSON text that has passed the schema.
    pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
        let written: RawConfig = parse_json(json)?;
        let mut problems = Vec::new();
        let metrics = metrics(&written, &mut problems);
        let constants = written.preset.constants();
        let tolerance = Tolerance {
            scale_out: written.tolerance_out.or(written.tolerance).unwrap_or(constants.tolerance.scale_out),
            scale_in: written.tolerance_in.or(written.tolerance).unwrap_or(constants.tolerance.scale_in),
            ..constants.tolerance
        };
        let scale_out = StepLimit { percent: written.max_scale_out_percent, droplets: written.max_scale_out_droplets };
        let config = Self {
            metrics,
            rule: rule(&written, constants.rule, &mut problems),
            tolerance,
            window: written
                .scale_in_stabilization_s
                .map_or(constants.window, |given| WindowLength::Fixed(seconds_to_ms(given))),
            peak_effect: constants.peak_effect,
            counts_initial_size: constants.counts_initial_size,
            warm_up_ms: seconds_to_ms(written.warm_up_s),
            scale_in_during_startup: written.scale_in_during_startup.unwrap_or(constants.scale_in_during_startup),
            scale_out: if scale_out == StepLimit::default() { constants.scale_out } else { scale_out },
            scale_in: StepLimit { percent: written.max_scale_in_percent, droplets: written.max_scale_in_droplets },
        };
        if config.scale_out.droplets(1) == Some(0) {
            problems.push(Problem::at(
                "/max_scale_out_droplets",
                "the fleet could never grow; allow at least 1 droplet or 1 percent",
            ));
        }
        validated(config, problems)
    }
}

fn metrics(written: &RawConfig, problems: &mut Vec<Problem>) -> Vec<Metric> {
    let several = match (&written.metric, &written.metrics) {
        (Some(name), None) => {
            let target = (written.target_per_droplet, written.target_average);
            return metric(name, target, "", problems).into_iter().collect();
        }
        (None, Some(several)) => several,
        _ => {
            problems.push(Problem::at("", "one of metric and metrics is required"));
            return Vec::new();
        }
    };
    if written.target_per_droplet.is_some() || written.target_average.is_some() {
        problems.push(Problem::at("", "each entry of metrics has its own target; move the target there"));
    }
    let mut metrics: Vec<Metric> = Vec::new();
    for (index, one) in several.iter().enumerate() {
        let path = format!("/metrics/{index}");
        if metrics.iter().any(|metric| metric.name == one.metric) {
            problems.push(Problem::at(format!("{path}/metric"), format!("duplicate metric {}", one.metric)));
        }
        metrics.extend(metric(&one.metric, (one.target_per_droplet, one.target_average), &path, problems));
    }
    if several.is_empty() {
        problems.push(Problem::at("/metrics", "at least one metric is required"));
    }
    metrics
}

/// Creates a metric from its per-droplet and average targets, exactly one of which must be set.
fn metric(name: &str, target: (Option<f64>, Option<f64>), path: &str, problems: &mut Vec<Problem>) -> Option<Metric> {
    let target = match target {
        (Some(target), None) => Target::PerDroplet(target),
        (None, Some(target)) => Target::Average(target),
        _ => {
            problems.push(Problem::at(path, "one of target_per_droplet and target_average is required"));
            return None;
        }
    };
    if !(target.value().is_finite() && target.value() > 0.0) {
        problems.push(Problem::at(path, "the target must be above 0"));
    }
    if matches!(target, Target::PerDroplet(_)) && AVERAGES.contains(&name) {
        problems.push(Problem::at(
            format!("{path}/target_per_droplet"),
            format!("{name} is an average over the droplets; set target_average instead"),
        ));
    }
    Some(Metric { name: name.to_owned(), target })
}

fn rule(written: &RawConfig, rule: Rule, problems: &mut Vec<Problem>) -> Rule {
    if let Rule::Alarms(mut alarms) = rule {
        alarms.scale_out_datapoints = written.datapoints_out.unwrap_or(alarms.scale_out_datapoints).max(1);
        alarms.scale_in_datapoints = written.datapoints_in.unwrap_or(alarms.scale_in_datapoints).max(1);
        return Rule::Alarms(alarms);
    }
    for (given, path) in [(written.datapoints_out, "/datapoints_out"), (written.datapoints_in, "/datapoints_in")] {
        if given.is_some() {
            problems.push(Problem::at(path, "only preset aws supports datapoints"));
        }
    }
    let tolerances = [
        (written.tolerance, "/tolerance"),
        (written.tolerance_out, "/tolerance_out"),
        (written.tolerance_in, "/tolerance_in"),
    ];
    for (given, path) in tolerances {
        if given.is_some() && matches!(rule, Rule::Panic(_)) {
            problems.push(Problem::at(path, "preset knative does not support a tolerance"));
        }
    }
    rule
}

#[cfg(test)]
mod tests {
    use doproxy_policy_sdk::testing::problems;

    use super::*;
    use crate::TargetTracking;

    #[test]
    fn defaults_match_kubernetes() {
        let config = Config::parse(r#"{"metric": "haproxy.sessions", "target_per_droplet": 50}"#).unwrap();

        assert_eq!(
            config,
            Config {
                metrics: vec![Metric { name: "haproxy.sessions".to_owned(), target: Target::PerDroplet(50.0) }],
                rule: Rule::Ratio,
                tolerance: Tolerance { scale_out: 0.1, scale_in: 0.1, epsilon: 1e-9 },
                window: WindowLength::Fixed(300_000),
                peak_effect: PeakEffect::BlocksScaleIn,
                counts_initial_size: true,
                warm_up_ms: 0,
                scale_in_during_startup: true,
                scale_out: StepLimit { percent: Some(100), droplets: Some(4) },
                scale_in: StepLimit::default(),
            }
        );
    }

    #[test]
    fn settings_override_the_preset() {
        let config = r#"{"preset": "aws", "metric": "m", "target_average": 2, "tolerance": 0.2, "tolerance_in": 0.3,
            "datapoints_in": 5, "scale_in_stabilization_s": 60}"#;
        let config = Config::parse(config).unwrap();

        assert_eq!((config.tolerance.scale_out, config.tolerance.scale_in), (0.2, 0.3));
        assert_eq!(config.window, WindowLength::Fixed(60_000));
        assert!(
            matches!(config.rule, Rule::Alarms(alarms) if alarms.scale_out_datapoints == 3 && alarms.scale_in_datapoints == 5)
        );
    }

    #[test]
    fn every_problem_is_reported_with_its_path() {
        let config = r#"{"max_scale_out_droplets": 0, "datapoints_out": 2, "metrics": [
            {"metric": "haproxy.utilization", "target_per_droplet": 0.6},
            {"metric": "m"},
            {"metric": "n", "target_average": -1},
            {"metric": "n", "target_average": 1}
        ]}"#;

        assert_eq!(
            problems::<TargetTracking>(config),
            [
                "/metrics/0/target_per_droplet: haproxy.utilization is an average over the droplets; set target_average instead",
                "/metrics/1: one of target_per_droplet and target_average is required",
                "/metrics/2: the target must be above 0",
                "/metrics/3/metric: duplicate metric n",
                "/datapoints_out: only preset aws supports datapoints",
                "/max_scale_out_droplets: the fleet could never grow; allow at least 1 droplet or 1 percent",
            ]
        );
    }

    #[test]
    fn metric_and_metrics_are_mutually_exclusive() {
        for (config, problem) in [
            ("{}", ": one of metric and metrics is required"),
            (r#"{"metric": "m"}"#, ": one of target_per_droplet and target_average is required"),
            (r#"{"metrics": []}"#, "/metrics: at least one metric is required"),
            (
                r#"{"preset": "knative", "metric": "m", "target_average": 1, "tolerance": 0}"#,
                "/tolerance: preset knative does not support a tolerance",
            ),
        ] {
            assert_eq!(problems::<TargetTracking>(config), [problem], "{config}");
        }
    }

    #[test]
    fn fractional_step_is_rounded_up() {
        let limit = StepLimit { percent: Some(10), droplets: None };

        assert_eq!(limit.droplets(4), Some(1));
        assert_eq!(StepLimit { droplets: Some(3), ..limit }.droplets(50), Some(5));
        assert_eq!(StepLimit::default().droplets(50), None);
    }
}
