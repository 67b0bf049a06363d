//! What an operator sets; `schema.json` says the same to the host.

use doproxy_policy_sdk::numbers::seconds_to_ms;
use doproxy_policy_sdk::{Problem, parse_json, validated};
use serde::Deserialize;

use crate::adjust::AdjustmentType;

/// How the series of the metric become one value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statistic {
    /// Added up.
    #[default]
    Sum,
    /// Averaged.
    Mean,
    /// Added up and divided by the droplets that are ready.
    PerDroplet,
}

/// On which side of its threshold an alarm looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Comparison {
    /// At the threshold and above.
    Above,
    /// At the threshold and below.
    Below,
}

/// A step: an interval of the distance from the threshold, and what it does.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Lower bound; none for minus infinity.
    pub from: Option<f64>,
    /// Upper bound; none for infinity.
    pub to: Option<f64>,
    /// Droplets or percent.
    pub adjustment: i32,
}

/// An alarm and its steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    /// On which side it looks.
    pub comparison: Comparison,
    /// In the unit of the metric.
    pub threshold: f64,
    /// So many of the last must breach it.
    pub datapoints: u32,
    /// So many are looked at.
    pub evaluation_periods: u32,
    /// How the numbers of the steps are meant.
    pub adjustment_type: AdjustmentType,
    /// Least change of a percentage.
    pub min_magnitude: u32,
    /// From the lowest up; never empty, without gaps.
    pub steps: Vec<Step>,
}

/// A checked configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The name of the series.
    pub metric: String,
    /// How they become one value.
    pub statistic: Statistic,
    /// The length of a datapoint in milliseconds.
    pub period_ms: u64,
    /// For how long a droplet that serves has not yet come up, in milliseconds.
    pub warm_up_ms: u64,
    /// Never empty.
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

/// The default cooldown of an Auto Scaling group, which stands in for a warm-up that was not set.
fn warm_up() -> u64 {
    300
}

/// Most steps of a policy at AWS.
const MAX_STEPS: usize = 20;

/// Most datapoints that an alarm looks at: a day of minutes.
const MAX_DATAPOINTS: u32 = 1440;

impl Config {
    /// Reads JSON text that has passed the schema.
    pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
        let written: RawConfig = parse_json(json)?;
        let mut problems = Vec::new();
        if written.alarms.is_empty() {
            problems.push(Problem::at("/alarms", "at least one alarm is needed"));
        }
        if written.period_s == 0 {
            problems.push(Problem::at("/period_s", "a period takes at least a second"));
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
        // Out soon, in late: three minutes and fifteen, as AWS has it for target tracking.
        let usual = match self.comparison {
            Comparison::Above => 3,
            Comparison::Below => 15,
        };
        let datapoints = self.datapoints.or(self.evaluation_periods).unwrap_or(usual);
        let of = self.evaluation_periods.unwrap_or(datapoints);
        if datapoints == 0 || datapoints > of || of > MAX_DATAPOINTS {
            let message = format!("{datapoints} of {of} is not to be had: 1 to {MAX_DATAPOINTS}, of as many or more");
            problems.push(Problem::at(format!("{path}/datapoints"), message));
        }
        if !self.threshold.is_finite() {
            problems.push(Problem::at(format!("{path}/threshold"), "a threshold is a finite number"));
        }
        if self.min_magnitude > 0 && self.adjustment != AdjustmentType::Percent {
            let message = "only a percentage has a least change";
            problems.push(Problem::at(format!("{path}/min_magnitude"), message));
        }
        check_steps(self.comparison, &self.steps, &format!("{path}/steps"), problems);
        if self.adjustment == AdjustmentType::Exact
            && let Some(index) = self.steps.iter().position(|step| step.adjustment < 0)
        {
            problems.push(Problem::at(format!("{path}/steps/{index}/by"), "there is no count below 0"));
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

/// Steps are one after the other from the threshold to infinity, or from minus infinity to it.
fn check_steps(side: Comparison, steps: &[Step], path: &str, problems: &mut Vec<Problem>) {
    if steps.is_empty() || steps.len() > MAX_STEPS {
        problems.push(Problem::at(path, format!("1 to {MAX_STEPS} steps are needed")));
        return;
    }
    let mut wrong = |index: usize, key: &str, message: &str| {
        problems.push(Problem::at(format!("{path}/{index}/{key}"), message));
    };
    let last = steps.len() - 1;
    for (index, step) in steps.iter().enumerate() {
        let bounds = [step.from, step.to];
        if bounds.iter().flatten().any(|bound| !bound.is_finite()) {
            wrong(index, "from", "a bound is a finite number; leave it out for infinity");
        }
        if let (Some(from), Some(to)) = (step.from, step.to)
            && from >= to
        {
            wrong(index, "to", "a step ends above where it begins");
        }
        if let Some(next) = steps.get(index + 1) {
            match (step.to, next.from) {
                (Some(to), Some(from)) if to < from => wrong(index + 1, "from", "there is a gap before this step"),
                (Some(to), Some(from)) if to > from => {
                    wrong(index + 1, "from", "this step overlaps with the one before it");
                }
                (Some(_), Some(_)) => {}
                _ => wrong(index + 1, "from", "steps follow on each other: each begins where the one before it ends"),
            }
        }
    }
    match side {
        Comparison::Above => {
            if !matches!(steps[0].from, None | Some(0.0)) {
                wrong(0, "from", "the first step above a threshold begins at 0, which is the threshold");
            }
            if steps[last].to.is_some() {
                wrong(last, "to", "the last step above a threshold has no end: leave it out");
            }
        }
        Comparison::Below => {
            if steps[0].from.is_some() {
                wrong(0, "from", "the first step below a threshold has no beginning: leave it out");
            }
            if !matches!(steps[last].to, None | Some(0.0)) {
                wrong(last, "to", "the last step below a threshold ends at 0, which is the threshold");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doproxy_policy_sdk::testing::problems;

    fn alarm(when: &str, steps: &str) -> String {
        format!(
            r#"{{"metric": "m", "alarms": [{{"when": "{when}", "threshold": 5, "adjustment": "change", "steps": {steps}}}]}}"#
        )
    }

    #[test]
    fn alarms_are_soon_above_and_late_below() {
        for (when, usual) in [("above", 3), ("below", 15)] {
            let config = Config::parse(&alarm(when, r#"[{"by": 1}]"#)).unwrap();

            assert_eq!((config.alarms[0].datapoints, config.alarms[0].evaluation_periods), (usual, usual));
            assert_eq!((config.period_ms, config.warm_up_ms), (60_000, 300_000));
        }
    }

    #[test]
    fn steps_cover_their_side_without_gaps_and_overlaps() {
        for (when, steps, problem) in [
            ("above", "[]", "/alarms/0/steps: 1 to 20 steps are needed"),
            (
                "above",
                r#"[{"from": 1, "by": 1}]"#,
                "/alarms/0/steps/0/from: the first step above a threshold begins at 0, which is the threshold",
            ),
            (
                "above",
                r#"[{"to": 3, "by": 1}]"#,
                "/alarms/0/steps/0/to: the last step above a threshold has no end: leave it out",
            ),
            (
                "above",
                r#"[{"to": 3, "by": 1}, {"from": 4, "by": 2}]"#,
                "/alarms/0/steps/1/from: there is a gap before this step",
            ),
            (
                "above",
                r#"[{"to": 3, "by": 1}, {"from": 2, "by": 2}]"#,
                "/alarms/0/steps/1/from: this step overlaps with the one before it",
            ),
            (
                "above",
                r#"[{"by": 1}, {"from": 2, "by": 2}]"#,
                "/alarms/0/steps/1/from: steps follow on each other: each begins where the one before it ends",
            ),
            (
                "above",
                r#"[{"to": -3, "from": 0, "by": 1}, {"from": -3, "by": 2}]"#,
                "/alarms/0/steps/0/to: a step ends above where it begins",
            ),
            (
                "below",
                r#"[{"from": -3, "by": -1}]"#,
                "/alarms/0/steps/0/from: the first step below a threshold has no beginning: leave it out",
            ),
            (
                "below",
                r#"[{"to": -3, "by": -1}]"#,
                "/alarms/0/steps/0/to: the last step below a threshold ends at 0, which is the threshold",
            ),
        ] {
            assert_eq!(problems::<crate::Step>(&alarm(when, steps)), [problem], "{steps}");
        }
        for (when, steps) in [
            ("above", r#"[{"from": 0, "to": 3, "by": 1}, {"from": 3, "by": 2}]"#),
            ("below", r#"[{"to": -3, "by": -2}, {"from": -3, "to": 0, "by": -1}]"#),
        ] {
            assert_eq!(problems::<crate::Step>(&alarm(when, steps)), [""; 0], "{steps}");
        }
    }

    #[test]
    fn every_other_mistake_is_told_with_its_place() {
        let config = r#"{"metric": "m", "period_s": 0, "alarms": [
            {"when": "above", "threshold": 5, "datapoints": 4, "of": 3, "adjustment": "exact", "min_magnitude": 2,
             "steps": [{"by": -1}]}]}"#;

        assert_eq!(
            problems::<crate::Step>(config),
            [
                "/period_s: a period takes at least a second",
                "/alarms/0/datapoints: 4 of 3 is not to be had: 1 to 1440, of as many or more",
                "/alarms/0/min_magnitude: only a percentage has a least change",
                "/alarms/0/steps/0/by: there is no count below 0",
            ]
        );
        assert_eq!(problems::<crate::Step>(r#"{"metric": "m", "alarms": []}"#).len(), 1);
    }
}
