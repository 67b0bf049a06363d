//! The decision: the current requirement, and that of the forecast if it is trusted.

use doproxy_policy_sdk::numbers::{ceil_u32, to_f64};
use doproxy_policy_sdk::reading::Combine;
use doproxy_policy_sdk::words::{format_droplets, format_duration, format_number};
use doproxy_policy_sdk::{Decision, Observation, Outcome, Signal};

use crate::config::Config;
use crate::memory::PolicyState;
use crate::model::Model;

/// Added to the boot time if no forecast horizon is configured.
const MARGIN_MS: u64 = 60_000;

/// Boot time before the first measured boot.
const DEFAULT_BOOT_TIME_MS: u64 = 120_000;

/// Maximum forecast horizon, in buckets.
const MAX_STEPS: u64 = 48;

/// The highest forecast.
struct PeakForecast {
    demand: f64,
    wants: u32,
}

/// Decides; see the crate documentation.
pub fn decide(config: &Config, observation: &Observation, state: &[u8]) -> Decision {
    let metric = &config.metric;
    let value = match observation.newest(metric, Combine::Sum) {
        Ok(value) => value.max(0.0),
        Err(gap) => return Decision::hold(format!("{metric} {gap}: the fleet is held"), state),
    };
    let bucket = observation.now / config.calendar.bucket_ms;
    let mut memory = PolicyState::read(state, config.calendar, bucket);
    let look_ahead_ms = config
        .look_ahead_ms
        .unwrap_or_else(|| observation.boot_time_ms.unwrap_or(DEFAULT_BOOT_TIME_MS).saturating_add(MARGIN_MS));
    // The incomplete bucket is the first step.
    let steps = look_ahead_ms.div_ceil(config.calendar.bucket_ms).saturating_add(1).min(MAX_STEPS);
    let steps = steps.min(config.calendar.slots as u64);
    record_value(config, &mut memory, bucket, value, steps);

    let model = &memory.model;
    let ahead = peak_forecast(config, model, steps);
    let now = ceil_u32(value / config.target_per_droplet);
    let trusted = ahead.as_ref().filter(|_| model.beats_naive());
    let needed = observation.limits.clamp(trusted.map_or(now, |ahead| ahead.wants.max(now)));
    let size = observation.size();
    memory.window.seed(observation.now, observation.interval_ms(metric), size);
    let peak = memory.window.peak(observation.now, config.scale_in_stabilization_ms, needed);
    let wanted = observation.limits.clamp(peak);

    let mut signals = vec![Signal {
        name: format!("{metric} per droplet"),
        value: value / f64::from(size.max(1)),
        target: Some(config.target_per_droplet),
        wants: Some(now),
    }];
    signals.extend(ahead.as_ref().map(|ahead| Signal {
        name: format!("{metric} forecast"),
        value: ahead.demand,
        target: None,
        wants: Some(ahead.wants),
    }));
    if let Some(errors) = model.errors() {
        let error = |name: &str, value| Signal { name: name.to_owned(), value, target: None, wants: None };
        signals.push(error("forecast error", errors.model));
        signals.push(error("seasonal-naive forecast error", errors.naive));
    }
    let mut reason = format!(
        "{metric} is {} for a target of {} per droplet, which needs {}; {}",
        format_number(value),
        format_number(config.target_per_droplet),
        format_droplets(now),
        describe_forecast(model, ahead.as_ref(), look_ahead_ms)
    );
    if wanted > needed {
        reason +=
            &format!("; {wanted} were needed within the last {}", format_duration(config.scale_in_stabilization_ms));
    }
    let outcome = if wanted == size { Outcome::Hold } else { Outcome::ScaleTo(wanted) };
    Decision { outcome, delete_first: Vec::new(), reason, signals, state: memory.write() }
}

/// Adds a value to its bucket; the first value of a bucket makes the model learn the previous one.
fn record_value(config: &Config, memory: &mut PolicyState, bucket: u64, value: f64, lead: u64) {
    let (current, count, sum) = memory.bucket;
    if current == bucket {
        memory.bucket = (bucket, count.saturating_add(1), sum + value);
        return;
    }
    let mean = sum / to_f64(u64::from(count));
    if mean.is_finite() {
        memory.model.learn(config.calendar, config.smoothing, current, mean, lead);
    }
    memory.bucket = (bucket, 1, value);
}

/// Returns the highest forecast of the next buckets.
fn peak_forecast(config: &Config, model: &Model, steps: u64) -> Option<PeakForecast> {
    let forecasts = (1..=steps).filter_map(|step| model.forecast(config.smoothing, step));
    let demand = forecasts.reduce(f64::max)?;
    Some(PeakForecast { demand, wants: ceil_u32(demand / config.target_per_droplet) })
}

fn describe_forecast(model: &Model, ahead: Option<&PeakForecast>, look_ahead_ms: u64) -> String {
    let Some(ahead) = ahead else { return "no forecast in the first season".to_owned() };
    let Some(errors) = model.errors() else { return "the forecasts are still being evaluated".to_owned() };
    let errors = format!(
        "{} on average, {} for the seasonal-naive forecast",
        format_number(errors.model),
        format_number(errors.naive)
    );
    if model.beats_naive() {
        format!(
            "within {} a demand of {} is forecast, which needs {} (forecast error {errors})",
            format_duration(look_ahead_ms),
            format_number(ahead.demand),
            ahead.wants
        )
    } else {
        format!("the forecast is not used (forecast error {errors})")
    }
}

#[cfg(test)]
mod tests {
    use doproxy_policy_sdk::testing::{ObservationBuilder, decide};
    use proptest::prelude::*;

    use super::*;
    use crate::config::MAX_SLOTS;

    const CONFIG: &str = r#"{"metric": "m", "target_per_droplet": 10, "season_s": 7200, "bucket_s": 300}"#;
    const TICK_MS: u64 = 60_000;

    fn noise(tick: u64) -> f64 {
        let mut state = tick.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        state ^= state >> 31;
        to_f64(state.wrapping_mul(0xbf58_476d_1ce4_e5b9) % 1001) / 50.0
    }

    /// Two hours: quiet, then busy for an hour, with an abrupt change.
    fn demand(tick: u64) -> f64 {
        if tick % 120 < 60 { 20.0 + noise(tick) } else { 180.0 + noise(tick) }
    }

    /// Returns the requested size of each tick and the last decision.
    fn run(config: &str, ticks: u64, demand: impl Fn(u64) -> f64) -> (Vec<u32>, Decision) {
        let mut last = Decision::hold("", b"");
        let mut sizes = Vec::new();
        for tick in 0..ticks {
            let size = sizes.last().copied().unwrap_or(3);
            let scene =
                ObservationBuilder::at(TICK_MS * tick).serving(size).series("m", &[demand(tick)]).boot_time(120_000);
            last = decide::<crate::Predictive>(config, scene, &last.state);
            sizes.push(last.size(size));
        }
        (sizes, last)
    }

    #[test]
    fn droplets_serve_before_a_seasonal_peak() {
        let (sizes, _) = run(CONFIG, 120 * 6, demand);

        let minutes_before = |season: usize| sizes[120 * season + 55];
        assert!(minutes_before(0) <= 4, "the first season is for learning: {}", minutes_before(0));
        assert!(minutes_before(5) >= 17, "five minutes before the peak: {}", minutes_before(5));
    }

    #[test]
    fn forecast_no_better_than_naive_is_not_used() {
        let (sizes, last) = run(CONFIG, 120 * 5, |tick| if tick % 120 < 60 { 20.0 } else { 180.0 });

        assert_eq!(sizes[120 * 4 + 55], 2);
        assert!(last.reason.contains("the forecast is not used"), "{}", last.reason);
    }

    #[test]
    fn current_requirement_is_met_despite_the_forecast() {
        let (_, before) = run(CONFIG, 120 * 4, demand);

        let scene = ObservationBuilder::at(TICK_MS * 480).serving(3).series("m", &[900.0]);
        assert_eq!(decide::<crate::Predictive>(CONFIG, scene, &before.state).size(3), 90);
    }

    #[test]
    fn reason_describes_the_forecast() {
        let (_, first) = run(CONFIG, 10, demand);
        let (_, second) = run(CONFIG, 130, demand);
        let (_, later) = run(CONFIG, 120 * 5 - 2, demand);

        assert!(first.reason.ends_with("no forecast in the first season"), "{}", first.reason);
        assert!(second.reason.contains("the forecasts are still being evaluated"), "{}", second.reason);
        assert!(later.reason.contains("within 180 s a demand of"), "{}", later.reason);
        assert_eq!(later.signals.len(), 4);
    }

    #[test]
    fn missing_metric_holds_and_keeps_the_state() {
        for scene in
            [ObservationBuilder::at(0).serving(3), ObservationBuilder::at(0).serving(3).series("m", &[99.0]).stale()]
        {
            let decided = decide::<crate::Predictive>(CONFIG, scene, b"anything");

            assert_eq!((decided.outcome, decided.state.as_slice()), (Outcome::Hold, &b"anything"[..]));
        }
    }

    #[test]
    fn fleet_settles_under_constant_load() {
        let (sizes, _) = run(CONFIG, 120 * 4, |_| 55.0);

        assert!(sizes[10..].iter().all(|size| *size == 6), "{sizes:?}");
    }

    #[test]
    fn same_ticks_produce_the_same_state() {
        assert_eq!(run(CONFIG, 500, demand).1, run(CONFIG, 500, demand).1);
    }

    proptest! {
        #[test]
        fn arbitrary_input_never_panics_and_output_stays_in_limits(
            times in prop::collection::vec(any::<u64>(), 1..8), values in prop::collection::vec(any::<f64>(), 8),
            step in 0..1_000_000_u64, size in 0..50_u32, min in any::<u32>(), max in any::<u32>(),
            boot_time in any::<u64>(), noise in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let config = r#"{"metric": "m", "target_per_droplet": 1e-300, "season_s": 4, "bucket_s": 1, "alpha": 1, "gamma": 1}"#;
            let mut state = noise;
            // Arbitrary times, followed by consecutive ones.
            let follow = (1..20).map(|number| step.saturating_mul(number));
            for (now, value) in times.into_iter().chain(follow).zip(values.into_iter().cycle()) {
                let scene = ObservationBuilder::at(now).serving(size).series("m", &[value]).limits(min, max).boot_time(boot_time);
                let limits = scene.clone().build().limits;
                let decided = decide::<crate::Predictive>(config, scene, &state);
                let wanted = decided.size(size);
                prop_assert!(wanted == size || wanted == limits.clamp(wanted), "{decided:?}");
                prop_assert!(decided.state.len() <= doproxy_policy_sdk::state::MAX_BYTES);
                state = decided.state;
            }
        }
    }

    #[test]
    fn week_of_five_minutes_is_supported() {
        let config =
            format!(r#"{{"metric": "m", "target_per_droplet": 1, "season_s": {}, "bucket_s": 300}}"#, 300 * MAX_SLOTS);

        let (_, decided) = run(&config, 3, demand);

        assert!(
            (32_000..doproxy_policy_sdk::state::MAX_BYTES).contains(&decided.state.len()),
            "{}",
            decided.state.len()
        );
    }
}
