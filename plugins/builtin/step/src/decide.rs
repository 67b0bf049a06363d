//! The decision: selects an alarm's step for a datapoint.

use doproxy_policy_sdk::numbers::to_f64;
use doproxy_policy_sdk::period::Period;
use doproxy_policy_sdk::reading::Combine;
use doproxy_policy_sdk::words::{format_droplets, format_duration, format_number};
use doproxy_policy_sdk::{Decision, FleetCapacity, Observation, Outcome, Signal, state};
use serde::{Deserialize, Serialize};

use crate::adjust::{AdjustmentType, apply_adjustment};
use crate::alarm::Breaches;
use crate::config::{Alarm, Comparison, Config, Statistic};

/// Version of the state format; a state in another format is discarded.
const VERSION: u32 = 1;

/// The policy state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct PolicyState {
    /// The incomplete datapoint; `None` before the first value.
    period: Option<Period>,
    /// Breaches of each alarm.
    breaches: Vec<Breaches>,
}

/// A firing alarm and its result.
struct FiringAlarm<'a> {
    alarm: &'a Alarm,
    adjustment: i32,
    target_size: u32,
    breach_count: u32,
}

/// Decides; see the crate documentation.
pub fn decide(config: &Config, observation: &Observation, state: &[u8]) -> Decision {
    let metric = &config.metric;
    let capacity = observation.capacity(config.warm_up_ms);
    let value = match read_metric(config, observation, capacity) {
        Ok(value) => value,
        Err(reason) => return Decision::hold(reason, state),
    };
    let mut memory: PolicyState = state::read(VERSION, state).unwrap_or_default();
    let interval_ms = observation.interval_ms(metric);
    let period = memory.period.get_or_insert_with(|| Period::start(observation.now, interval_ms));
    let datapoint = period.add(observation.now, interval_ms, config.period_ms, value);
    let Some(datapoint) = datapoint else {
        let reason = format!(
            "{metric} is {}; a datapoint is the mean over {}",
            format_number(value),
            format_duration(config.period_ms)
        );
        return Decision::hold(reason, &state::write(VERSION, &memory));
    };
    memory.breaches.resize(config.alarms.len(), Breaches::default());
    let mut firing: Vec<FiringAlarm<'_>> = Vec::new();
    for (alarm, breaches) in config.alarms.iter().zip(&mut memory.breaches) {
        breaches.record(alarm, datapoint);
        let breached = breaches.count();
        if breached >= alarm.datapoints
            && let Some(step) = alarm.matching_step(datapoint)
        {
            let wanted = target_size(alarm, step.adjustment, capacity);
            firing.push(FiringAlarm {
                alarm,
                adjustment: step.adjustment,
                target_size: observation.limits.clamp(wanted),
                breach_count: breached,
            });
        }
    }
    let signals = config.alarms.iter().map(|alarm| Signal {
        name: format!("{metric} {}", describe_comparison(alarm.comparison)),
        value: datapoint,
        target: Some(alarm.threshold),
        wants: firing.iter().find(|firing| std::ptr::eq(firing.alarm, alarm)).map(|firing| firing.target_size),
    });
    let signals = signals.collect();
    let state = state::write(VERSION, &memory);
    let Some(largest) = firing.iter().max_by_key(|firing| firing.target_size) else {
        let reason = format!("{metric} is {} and no alarm is firing", format_number(datapoint));
        return Decision { signals, ..Decision::hold(reason, &state) };
    };
    let outcome =
        if largest.target_size == capacity.size { Outcome::Hold } else { Outcome::ScaleTo(largest.target_size) };
    let reason = format_reason(config, capacity, datapoint, largest);
    Decision { outcome, delete_first: Vec::new(), reason, signals, state }
}

/// Returns the value of the metric, or the reason to hold the fleet.
fn read_metric(config: &Config, observation: &Observation, capacity: FleetCapacity) -> Result<f64, String> {
    let combine = match config.statistic {
        Statistic::Sum | Statistic::PerDroplet => Combine::Sum,
        Statistic::Mean => Combine::Mean,
    };
    let metric = &config.metric;
    let value = observation.newest(metric, combine).map_err(|gap| format!("{metric} {gap}: the fleet is held"))?;
    match config.statistic {
        Statistic::Sum | Statistic::Mean => Ok(value),
        Statistic::PerDroplet if capacity.ready == 0 => {
            Err(format!("no droplet is serving yet, so {metric} cannot be divided among them: the fleet is held"))
        }
        Statistic::PerDroplet => Ok(value / to_f64(u64::from(capacity.ready))),
    }
}

/// Returns the size after a step; starting droplets are the result of an earlier step.
fn target_size(alarm: &Alarm, adjustment: i32, capacity: FleetCapacity) -> u32 {
    let base = capacity.size.saturating_sub(capacity.starting);
    let wanted = apply_adjustment(alarm.adjustment_type, base, adjustment, alarm.min_magnitude);
    if capacity.starting > 0 { wanted.max(capacity.size) } else { wanted }
}

fn describe_comparison(side: Comparison) -> &'static str {
    match side {
        Comparison::Above => "above",
        Comparison::Below => "below",
    }
}

fn format_reason(config: &Config, capacity: FleetCapacity, datapoint: f64, firing: &FiringAlarm<'_>) -> String {
    let FiringAlarm { alarm, adjustment, target_size: wanted, breach_count: breached } = *firing;
    let step = match alarm.adjustment_type {
        AdjustmentType::Change => format!("{adjustment:+}"),
        AdjustmentType::Exact => format!("exactly {adjustment}"),
        AdjustmentType::Percent => format!("{adjustment:+} %"),
    };
    let distance = datapoint - alarm.threshold;
    let breach = format!(
        "{} is {}, {} {} {}, in {breached} of {} datapoints",
        config.metric,
        format_number(datapoint),
        format_number(distance.abs()),
        describe_comparison(alarm.comparison),
        format_number(alarm.threshold),
        alarm.evaluation_periods
    );
    let size = capacity.size;
    let coming_up = format_droplets(capacity.starting);
    let are = if capacity.starting == 1 { "is" } else { "are" };
    match (wanted == size, capacity.starting) {
        (true, 0) => format!("{breach}: the step of {step} leads to {wanted}, the current size"),
        (true, _) => format!("{breach}: the step of {step} is in progress, {coming_up} {are} starting"),
        (false, 0) => format!("{breach}: the step of {step} changes {size} to {wanted}"),
        (false, _) => {
            format!("{breach}: the step of {step} changes {size} to {wanted}, {coming_up} of which {are} starting")
        }
    }
}

#[cfg(test)]
mod tests {
    use doproxy_policy_sdk::testing::{ObservationBuilder, decide};
    use proptest::prelude::*;

    use super::*;

    const CONFIG: &str = r#"{"metric": "m", "warm_up_s": 120, "alarms": [
        {"comparison": "above", "threshold": 60, "datapoints": 2, "evaluation_periods": 3, "adjustment": "percent", "min_magnitude": 1,
         "steps": [{"from": 0, "to": 10, "adjustment": 10}, {"from": 10, "adjustment": 30}]},
        {"comparison": "below", "threshold": 40, "datapoints": 2, "adjustment": "percent",
         "steps": [{"to": -10, "adjustment": -30}, {"from": -10, "to": 0, "adjustment": -10}]}
    ]}"#;

    /// Decides once per minute.
    fn run(scenes: impl IntoIterator<Item = ObservationBuilder>) -> Vec<(u32, String)> {
        let mut state = Vec::new();
        let mut run = Vec::new();
        for scene in scenes {
            let size = scene.clone().build().size();
            let decided = decide::<crate::Step>(CONFIG, scene, &state);
            run.push((decided.size(size), decided.reason));
            state = decided.state;
        }
        run
    }

    fn minute(number: u64, size: u32, value: f64) -> ObservationBuilder {
        ObservationBuilder::at(10_000_000 + 60_000 * number).serving(size).series("m", &[value])
    }

    #[test]
    fn alarm_fires_after_two_of_three_datapoints() {
        let run = run([(1, 65.0), (2, 50.0), (3, 65.0), (4, 75.0)].map(|(number, value)| minute(number, 10, value)));

        let sizes: Vec<u32> = run.iter().map(|(size, _)| *size).collect();
        assert_eq!(sizes, [10, 10, 11, 13]);
        assert_eq!(run[1].1, "m is 50 and no alarm is firing");
        assert_eq!(run[2].1, "m is 65, 5 above 60, in 2 of 3 datapoints: the step of +10 % changes 10 to 11");
    }

    #[test]
    fn higher_step_adds_only_the_difference() {
        let run = run([
            minute(1, 10, 65.0),
            minute(2, 10, 65.0),
            minute(3, 10, 65.0).booting(1),
            minute(4, 10, 75.0).booting(1),
            minute(5, 10, 35.0).booting(3),
            minute(6, 10, 35.0).booting(3),
            minute(7, 13, 35.0),
        ]);

        let sizes: Vec<u32> = run.iter().map(|(size, _)| *size).collect();
        assert_eq!(sizes, [10, 11, 11, 13, 13, 13, 12]);
        assert!(run[2].1.ends_with("the step of +10 % is in progress, 1 droplet is starting"), "{}", run[2].1);
        assert!(run[3].1.ends_with("+30 % changes 11 to 13, 1 droplet of which is starting"), "{}", run[3].1);
    }

    #[test]
    fn droplet_in_warm_up_counts_as_starting() {
        let young = |number, value| minute(number, 10, value).serving_since(1, 10_000_000 + 60_000 * number - 119_000);

        let run = run([young(1, 65.0), young(2, 65.0)]);

        assert_eq!(run[1].0, 11);
    }

    #[test]
    fn shorter_ticks_are_averaged_into_datapoints() {
        let tick = |number: u64, value: f64| {
            ObservationBuilder::at(10_000_000 + 20_000 * number).serving(10).series_every(20_000, "m", &[value])
        };

        let run =
            run([90.0, 50.0, 40.0, 70.0, 65.0, 60.0].into_iter().zip(1..).map(|(value, number)| tick(number, value)));

        let sizes: Vec<u32> = run.iter().map(|(size, _)| *size).collect();
        assert_eq!(sizes, [10, 10, 10, 10, 10, 11], "60 and 65 on average");
        assert_eq!(run[0].1, "m is 90; a datapoint is the mean over 60 s");
    }

    #[test]
    fn missing_metric_holds_and_keeps_the_state() {
        let mut state = decide::<crate::Step>(CONFIG, minute(1, 10, 65.0), b"").state;
        for (scene, reason) in [
            (ObservationBuilder::at(0).serving(4), "m is missing: the fleet is held"),
            (minute(2, 4, 99.0).stale(), "m is stale: the fleet is held"),
        ] {
            let decided = decide::<crate::Step>(CONFIG, scene, &state);

            assert_eq!((decided.outcome, decided.reason.as_str()), (Outcome::Hold, reason));
            state = decided.state;
        }
        assert_eq!(decide::<crate::Step>(CONFIG, minute(3, 10, 65.0), &state).size(10), 11);
    }

    #[test]
    fn total_is_divided_by_ready_droplets() {
        let config = r#"{"metric": "m", "statistic": "per-droplet", "alarms": [{"comparison": "above", "threshold": 10,
            "datapoints": 1, "adjustment": "change", "steps": [{"adjustment": 2}]}]}"#;

        assert_eq!(decide::<crate::Step>(config, minute(1, 5, 50.0), b"").size(5), 7);
        assert_eq!(decide::<crate::Step>(config, minute(1, 5, 49.0), b"").size(5), 5);
        assert_eq!(decide::<crate::Step>(config, minute(1, 0, 49.0).booting(5), b"").outcome, Outcome::Hold);
    }

    proptest! {
        #[test]
        fn arbitrary_input_never_panics_and_output_stays_in_limits(
            times in prop::collection::vec(any::<u64>(), 1..6), values in prop::collection::vec(any::<f64>(), 6),
            serving in 0..30_u32, booting in 0..30_u32, interval_ms in any::<u64>(), min in any::<u32>(),
            max in any::<u32>(), noise in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut state = noise;
            for (now, value) in times.into_iter().zip(values) {
                let scene = ObservationBuilder::at(now).serving(serving).booting(booting).limits(min, max);
                let scene = scene.series_every(interval_ms, "m", &[value]);
                let limits = scene.clone().build().limits;
                let decided = decide::<crate::Step>(CONFIG, scene, &state);
                let wanted = decided.size(serving + booting);
                prop_assert!(wanted == serving + booting || wanted == limits.clamp(wanted), "{decided:?}");
                state = decided.state;
            }
        }

        #[test]
        fn more_load_never_yields_fewer(size in 1..50_u32, less in 0.0..100.0_f64, more in 0.0..100.0_f64) {
            let after_two = |value: f64| run([minute(1, size, value), minute(2, size, value)]).remove(1).0;
            prop_assert!(after_two(less + more) >= after_two(less));
        }
    }
}
