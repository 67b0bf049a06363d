//! Alarms: their state, and the selection of a step.

use serde::{Deserialize, Serialize};

use crate::config::{Alarm, Comparison, Step};

/// The breaches of the last datapoints, oldest first, with one character each to keep the state short.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaches(String);

const BREACHED: char = 'x';
const OK: char = '.';

impl Breaches {
    /// Records a datapoint.
    pub fn record(&mut self, alarm: &Alarm, datapoint: f64) {
        self.0.push(if alarm.is_breached(datapoint) { BREACHED } else { OK });
        let of = usize::try_from(alarm.evaluation_periods).unwrap_or(usize::MAX);
        // A foreign state may contain anything.
        while self.0.chars().count() > of {
            self.0.remove(0);
        }
    }

    /// Returns the number of recorded breaches.
    pub fn count(&self) -> u32 {
        doproxy_policy_sdk::numbers::saturating_u32(self.0.chars().filter(|breach| *breach == BREACHED).count())
    }
}

impl Alarm {
    fn is_breached(&self, datapoint: f64) -> bool {
        match self.comparison {
            Comparison::Above => datapoint >= self.threshold,
            Comparison::Below => datapoint <= self.threshold,
        }
    }

    /// Returns the step that contains a datapoint; `None` if it is on the other side of the threshold.
    pub fn matching_step(&self, datapoint: f64) -> Option<&Step> {
        if !self.is_breached(datapoint) {
            return None;
        }
        let distance = datapoint - self.threshold;
        let holds = |step: &&Step| {
            let (from, to) = (step.from.unwrap_or(f64::NEG_INFINITY), step.to.unwrap_or(f64::INFINITY));
            match self.comparison {
                Comparison::Above => (from <= distance || step.from.is_none()) && (distance < to || step.to.is_none()),
                Comparison::Below => (from < distance || step.from.is_none()) && (distance <= to || step.to.is_none()),
            }
        };
        self.steps.iter().find(holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn alarm(when: &str, steps: &str) -> Alarm {
        let config = format!(
            r#"{{"metric": "m", "alarms": [{{"comparison": "{when}", "threshold": 5, "datapoints": 2, "evaluation_periods": 3,
                "adjustment": "change", "steps": {steps}}}]}}"#
        );
        Config::parse(&config).unwrap().alarms.remove(0)
    }

    #[test]
    fn bound_belongs_to_the_outer_step_above() {
        let alarm = alarm("above", r#"[{"from": 0, "to": 2, "adjustment": 1}, {"from": 2, "adjustment": 3}]"#);
        let by = |datapoint| alarm.matching_step(datapoint).map(|step| step.adjustment);

        let taken = [4.9, 5.0, 6.9, 7.0, 1e300, f64::INFINITY].map(by);

        assert_eq!(taken, [None, Some(1), Some(1), Some(3), Some(3), Some(3)]);
    }

    #[test]
    fn bound_belongs_to_the_outer_step_below() {
        let alarm = alarm("below", r#"[{"to": -2, "adjustment": -3}, {"from": -2, "to": 0, "adjustment": -1}]"#);
        let by = |datapoint| alarm.matching_step(datapoint).map(|step| step.adjustment);

        assert_eq!([5.1, 5.0, 3.1, 3.0, -1e300].map(by), [None, Some(-1), Some(-1), Some(-3), Some(-3)]);
    }

    #[test]
    fn alarm_requires_its_number_of_breaches() {
        let alarm = alarm("above", r#"[{"adjustment": 1}]"#);
        let mut breaches = Breaches::default();
        let counts = [9.0, 1.0, 9.0, 1.0, 1.0, 9.0].map(|datapoint| {
            breaches.record(&alarm, datapoint);
            breaches.count()
        });

        assert_eq!(counts, [1, 1, 2, 1, 1, 1]);
    }
}
