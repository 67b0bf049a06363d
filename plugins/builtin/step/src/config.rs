//! The configuration; `schema.json` describes the same to the host.

use doproxy_policy_sdk::numbers::seconds_to_ms;
use doproxy_policy_sdk::{Problem, parse_json, validated};
use serde::Deserialize;

use crate::adjust::AdjustmentType;

/// The aggregation of the metric's series into one value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statistic {
    /// The sum.
    #[default]
    Sum,
    /// The mean.
    Mean,
    /// The sum divided by the number of ready droplets.
    PerDroplet,
}

/// The side of the threshold on which an alarm fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Comparison {
    /// At or above the threshold.
    Above,
    /// At or below the threshold.
    Below,
}

/// A step: an interval of distances from the threshold, and its adjustment.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Lower bound; minus infinity if `None`.
    pub from: Option<f64>,
    /// Upper bound; infinity if `None`.
    pub to: Option<f64>,
    /// The adjustment, in droplets or percent.
    pub adjustment: i32,
}

/// An alarm and its steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    /// The side on which it fires.
    pub comparison: Comparison,
    /// Threshold in the unit of the metric.
    pub threshold: f64,
    /// Number of breaching datapoints required to fire.
    pub datapoints: u32,
    /// Number of recent datapoints considered.
    pub evaluation_periods: u32,
    /// The meaning of the steps' numbers.
    pub adjustment_type: AdjustmentType,
    /// Minimum change of a percentage, in droplets.
    pub min_magnitude: u32,
    /// The steps in ascending order, at least one, without gaps.
    pub steps: Vec<Step>,
}

/// A validated configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Name of the series.
    pub metric: String,
    /// The aggregation of the series.
    pub statistic: Statistic,
    /// Length of a datapoint in milliseconds.
    pub period_ms: u64,
    /// Time for which a serving droplet still counts as starting, in milliseconds.
    pub warm_up_ms: u64,
    /// The alarms, at least one.
    pub alarms: Vec<Alarm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    metric: String,
    #[serde(default)]
    statistic: Statistic,
    #[serde(default = "minute")]
    period_s: u64,
    #[serde(default = "warm_up")]
    warm_up_s: u64,
    alarms: Vec<RawAlarm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAlarm {
    comparison: Comparison,
    threshold: f64,
    datapoints: Option<u32>,
    evaluation_periods: Option<u32>,
    adjustment: AdjustmentType,
    #[serde(default)]
    min_magnitude: u32,
    steps: Vec<Step>,
}

fn minute() -> u64 {
    60
}

/// The default cooldown of an Auto Scaling group, which AWS uses if no warm-up is set.
fn warm_up() -> u64 {
    300
}

/// AWS's maximum number of steps in a policy.
const MAX_STEPS: usize = 20;

/// Maximum number of datapoints considered by an alarm: a day of minutes.
const MAX_DATAPOINTS: u32 = 1440;

impl Config {
    /// Parses JSON text that has passed the schema.
    pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
        let written: RawConfig = parse_json(json)?;
        let mut problems = Vec::new();
        if written.alarms.is_empty() {
            problems.push(Problem::at("/alarms", "at least one alarm is required"));
        }
        if written.period_s == 0 {
            problems.push(Problem::at("/period_s", "a period must be at least 1 s"));
        }
        let alarms = (0..)
            .zip(written.alarms)
            .map(|(index, alarm): (usize, _)| alarm.validate(&format!("/alarms/{index}"), &mut problems))
            .collect();
        let config = Self {
            metric: written.metric,
            statistic: written.statistic,
            period_ms: seconds_to_ms(written.period_s),
            warm_up_ms: seconds_to_ms(written.warm_up_s),
            alarms,
        };
        validated(config, problems)
    }
}

impl RawAlarm {
    fn validate(self, path: &str, problems: &mut Vec<Problem>) -> Alarm {
        // Scale out quickly and in slowly: after three and fifteen minutes, as in AWS target tracking.
        let usual = match self.comparison {
            Comparison::Above => 3,
            Comparison::Below => 15,
        };
        let datapoints = self.datapoints.or(self.evaluation_periods).unwrap_or(usual);
        let of = self.evaluation_periods.unwrap_or(datapoints);
        if datapoints == 0 || datapoints > of || of > MAX_DATAPOINTS {
            let message =
                format!("{datapoints} of {of} is invalid: use 1 to {MAX_DATAPOINTS} datapoints, of at least as many");
            problems.push(Problem::at(format!("{path}/datapoints"), message));
        }
        if !self.threshold.is_finite() {
            problems.push(Problem::at(format!("{path}/threshold"), "a threshold must be a finite number"));
        }
        if self.min_magnitude > 0 && self.adjustment != AdjustmentType::Percent {
            let message = "only a percentage may have a minimum change";
            problems.push(Problem::at(format!("{path}/min_magnitude"), message));
        }
        check_steps(self.comparison, &self.steps, &format!("{path}/steps"), problems);
        if self.adjustment == AdjustmentType::Exact
            && let Some(index) = self.steps.iter().position(|step| step.adjustment < 0)
        {
            problems.push(Problem::at(format!("{path}/steps/{index}/adjustment"), "a count must not be negative"));
        }
        Alarm {
            comparison: self.comparison,
            threshold: self.threshold,
            datapoints,
            evaluation_periods: of,
            adjustment_type: self.adjustment,
            min_magnitude: self.min_magnitude,
            steps: self.steps,
        }
    }
}

/// Validates that the steps are contiguous from the threshold to infinity, or from minus infinity to the threshold.
fn check_steps(side: Comparison, steps: &[Step], path: &str, problems: &mut Vec<Problem>) {
    if steps.is_empty() || steps.len() > MAX_STEPS {
        problems.push(Problem::at(path, format!("1 to {MAX_STEPS} steps are required")));
        return;
    }
    let mut wrong = |index: usize, key: &str, message: &str| {
        problems.push(Problem::at(format!("{path}/{index}/{key}"), message));
    };
    let last = steps.len() - 1;
    for (index, step) in steps.iter().enumerate() {
        let bounds = [step.from, step.to];
        if bounds.iter().flatten().any(|bound| !bound.is_finite()) {
            wrong(index, "from", "a bound must be a finite number; omit it for infinity");
        }
        if let (Some(from), Some(to)) = (step.from, step.to)
            && from >= to
        {
            wrong(index, "to", "a step must end above its beginning");
        }
        if let Some(next) = steps.get(index + 1) {
            match (step.to, next.from) {
                (Some(to), Some(from)) if to < from => wrong(index + 1, "from", "there is a gap before this step"),
                (Some(to), Some(from)) if to > from => {
                    wrong(index + 1, "from", "this step overlaps with the previous one");
                }
                (Some(_), Some(_)) => {}
                _ => wrong(index + 1, "from", "steps must be contiguous: each must begin where the previous one ends"),
            }
        }
    }
    match side {
        Comparison::Above => {
            if !matches!(steps[0].from, None | Some(0.0)) {
                wrong(0, "from", "the first step above a threshold must begin at 0, which is the threshold");
            }
            if steps[last].to.is_some() {
                wrong(last, "to", "the last step above a threshold must have no end; omit it");
            }
        }
        Comparison::Below => {
            if steps[0].from.is_some() {
                wrong(0, "from", "the first step below a threshold must have no beginning; omit it");
            }
            if !matches!(steps[last].to, None | Some(0.0)) {
                wrong(last, "to", "the last step below a threshold must end at 0, which is the threshold");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use doproxy_policy_sdk::testing::problems;

    use super::*;

    fn alarm(when: &str, steps: &str) -> String {
        format!(
            r#"{{"metric": "m", "alarms": [{{"comparison": "{when}", "threshold": 5, "adjustment": "change", "steps": {steps}}}]}}"#
        )
    }

    #[test]
    fn defaults_fire_quickly_above_and_slowly_below() {
        for (when, usual) in [("above", 3), ("below", 15)] {
            let config = Config::parse(&alarm(when, r#"[{"adjustment": 1}]"#)).unwrap();

            assert_eq!((config.alarms[0].datapoints, config.alarms[0].evaluation_periods), (usual, usual));
            assert_eq!((config.period_ms, config.warm_up_ms), (60_000, 300_000));
        }
    }

    #[test]
    fn steps_must_cover_their_side_without_gaps() {
        for (when, steps, problem) in [
            ("above", "[]", "/alarms/0/steps: 1 to 20 steps are required"),
            (
                "above",
                r#"[{"from": 1, "adjustment": 1}]"#,
                "/alarms/0/steps/0/from: the first step above a threshold must begin at 0, which is the threshold",
            ),
            (
                "above",
                r#"[{"to": 3, "adjustment": 1}]"#,
                "/alarms/0/steps/0/to: the last step above a threshold must have no end; omit it",
            ),
            (
                "above",
                r#"[{"to": 3, "adjustment": 1}, {"from": 4, "adjustment": 2}]"#,
                "/alarms/0/steps/1/from: there is a gap before this step",
            ),
            (
                "above",
                r#"[{"to": 3, "adjustment": 1}, {"from": 2, "adjustment": 2}]"#,
                "/alarms/0/steps/1/from: this step overlaps with the previous one",
            ),
            (
                "above",
                r#"[{"adjustment": 1}, {"from": 2, "adjustment": 2}]"#,
                "/alarms/0/steps/1/from: steps must be contiguous: each must begin where the previous one ends",
            ),
            (
                "above",
                r#"[{"to": -3, "from": 0, "adjustment": 1}, {"from": -3, "adjustment": 2}]"#,
                "/alarms/0/steps/0/to: a step must end above its beginning",
            ),
            (
                "below",
                r#"[{"from": -3, "adjustment": -1}]"#,
                "/alarms/0/steps/0/from: the first step below a threshold must have no beginning; omit it",
            ),
            (
                "below",
                r#"[{"to": -3, "adjustment": -1}]"#,
                "/alarms/0/steps/0/to: the last step below a threshold must end at 0, which is the threshold",
            ),
        ] {
            assert_eq!(problems::<crate::Step>(&alarm(when, steps)), [problem], "{steps}");
        }
        for (when, steps) in [
            ("above", r#"[{"from": 0, "to": 3, "adjustment": 1}, {"from": 3, "adjustment": 2}]"#),
            ("below", r#"[{"to": -3, "adjustment": -2}, {"from": -3, "to": 0, "adjustment": -1}]"#),
        ] {
            assert_eq!(problems::<crate::Step>(&alarm(when, steps)), [""; 0], "{steps}");
        }
    }

    #[test]
    fn every_other_problem_is_reported_with_its_path() {
        let config = r#"{"metric": "m", "period_s": 0, "alarms": [
            {"comparison": "above", "threshold": 5, "datapoints": 4, "evaluation_periods": 3, "adjustment": "exact", "min_magnitude": 2,
             "steps": [{"adjustment": -1}]}]}"#;

        assert_eq!(
            problems::<crate::Step>(config),
            [
                "/period_s: a period must be at least 1 s",
                "/alarms/0/datapoints: 4 of 3 is invalid: use 1 to 1440 datapoints, of at least as many",
                "/alarms/0/min_magnitude: only a percentage may have a minimum change",
                "/alarms/0/steps/0/adjustment: a count must not be negative",
            ]
        );
        assert_eq!(problems::<crate::Step>(r#"{"metric": "m", "alarms": []}"#).len(), 1);
    }
}
