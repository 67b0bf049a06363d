//! The decision: the range of sizes selected by the backtest, and the droplets to delete first when scaling in.

use doproxy_policy_sdk::numbers::to_f64;
use doproxy_policy_sdk::reading::Combine;
use doproxy_policy_sdk::words::{format_droplets, format_duration, format_number};
use doproxy_policy_sdk::{Decision, Observation, Outcome, Signal};

use crate::backtest::{Band, Choice};
use crate::cadence::Cadence;
use crate::config::Config;
use crate::forecast::{ForecastHorizon, METHODS};
use crate::memory::PolicyState;
use crate::scale_in::{ScaleIn, max_prepaid_s};

/// Upper bound of the demand, in droplets' worth of work.
const MAX_DEMAND: f64 = 1e6;

/// Time between samples if the observation does not include it.
const DEFAULT_INTERVAL_MS: u64 = 15_000;

/// Decides; see the crate documentation.
pub fn decide(config: &Config, observation: &Observation, state: &[u8]) -> Decision {
    let metric = &config.metric;
    let value = match observation.newest(metric, Combine::Sum) {
        Ok(value) => value.max(0.0),
        Err(gap) => return Decision::hold(format!("{metric} {gap}: the fleet is held"), state),
    };
    let demand = (value / config.capacity_per_droplet).min(MAX_DEMAND);
    // Without an interval, assume that of the controller's ticks.
    let interval_ms = Some(observation.interval_ms(metric)).filter(|ms| *ms > 0).unwrap_or(DEFAULT_INTERVAL_MS);
    let capacity = observation.capacity(0);
    let began = observation.now.saturating_sub(interval_ms);
    let mut memory = PolicyState::read(state, config, began, capacity.size);
    let cadence = Cadence::new(interval_ms, observation.boot_time_ms, memory.step_ms);
    memory.peak_demand = memory.peak_demand.max(demand);

    let work = format!("{metric} is {}, which fills {} droplets", format_number(value), format_number(demand));
    let is_set_back = memory.step_started_at > observation.now;
    let (band, why, signals) = match memory.band {
        Some(band) if !cadence.is_over(memory.step_started_at, observation.now) && !is_set_back => {
            (band, format!("the next forecast is due {} after the last", format_duration(cadence.step_ms)), Vec::new())
        }
        _ => {
            let (band, choice, horizon) = complete_step(config, observation, &mut memory, cadence, capacity.ready);
            let why = describe_choice(
                config,
                &choice,
                &horizon,
                format_duration(cadence.step_ms.saturating_mul(cadence.lead_steps as u64)).as_str(),
            );
            (band, why, signals(config, value, capacity.size, band, &choice, &horizon))
        }
    };
    let band = Band { min: observation.limits.clamp(band.min), max: observation.limits.clamp(band.max) };
    let wanted = band.clamp(capacity.size);
    let scale_in = ScaleIn::plan(observation, wanted);
    let mut reason = format!("{work}; {why}, so the target is {}", format_band(band));
    if scale_in.retained > 0 {
        reason += &format!("; {} more are kept because they are paid for", scale_in.retained);
    }
    let size = wanted + scale_in.retained;
    let outcome = if size == capacity.size { Outcome::Hold } else { Outcome::ScaleTo(size) };
    Decision { outcome, delete_first: scale_in.delete_first, reason, signals, state: memory.write(config) }
}

/// Completes a step: serves its demand, forecasts, and selects the fleet to follow.
fn complete_step(
    config: &Config,
    observation: &Observation,
    memory: &mut PolicyState,
    cadence: Cadence,
    ready: u32,
) -> (Band, Choice, ForecastHorizon) {
    let now = observation.now;
    let mut elapsed = cadence.elapsed(memory.step_started_at, now, memory.steps);
    elapsed.is_gap |= memory.step_ms.is_some_and(|step_ms| step_ms != cadence.step_ms);
    let demand = memory.peak_demand;
    #[expect(clippy::float_cmp, reason = "an unchanged measurement is identical to the last digit")]
    let is_news = demand != memory.previous_demand;
    memory.backtest.serve(demand, ready, config.max_unserved, max_prepaid_s(observation), &elapsed, cadence.lead_steps);
    let mut candidates: Vec<(ForecastHorizon, Vec<Band>)> = Vec::with_capacity(METHODS.len());
    for (kind, forecaster) in memory.forecasters.iter_mut().enumerate() {
        forecaster.observe(demand, is_news, now, &elapsed, cadence.lead_steps);
        let horizon = forecaster.forecast_horizon(now, &elapsed, cadence.lead_steps);
        let bands = memory.backtest.resize(kind, &horizon, observation.limits);
        candidates.push((horizon, bands));
    }
    let choice = memory.backtest.select(config.max_unserved, &elapsed, cadence.lead_steps);
    let (horizon, bands) = candidates.swap_remove(choice.method);
    let band = bands[choice.price_index];
    memory.step_started_at = now;
    memory.step_ms = Some(cadence.step_ms);
    memory.steps = memory.steps.saturating_add(1);
    memory.peak_demand = 0.0;
    memory.previous_demand = demand;
    memory.band = Some(band);
    (band, choice, horizon)
}

fn format_band(band: Band) -> String {
    if band.min >= band.max {
        format_droplets(band.min)
    } else {
        format!("{} to {}", band.min, format_droplets(band.max))
    }
}

fn describe_choice(config: &Config, choice: &Choice, horizon: &ForecastHorizon, ahead: &str) -> String {
    format!(
        "forecast from {}: {} droplets of demand within {ahead}, ±{}; at a price of {} per droplet of unserved work (a droplet costs \
         1), the backtest leaves {} % unserved with {} times the droplets that the load would fill; the real fleet left {} % \
         unserved, of {} % allowed",
        METHODS[choice.method].name,
        format_number(horizon.forecast.demand),
        format_number(horizon.deviation),
        format_number(choice.price),
        format_number(100.0 * choice.backtest_unserved),
        format_number(choice.cost),
        format_number(100.0 * choice.actual_unserved),
        format_number(100.0 * config.max_unserved),
    )
}

fn signals(
    config: &Config,
    value: f64,
    size: u32,
    band: Band,
    choice: &Choice,
    horizon: &ForecastHorizon,
) -> Vec<Signal> {
    let signal = |name: &str, value| Signal { name: name.to_owned(), value, target: None, wants: None };
    vec![
        Signal {
            target: Some(config.capacity_per_droplet),
            ..signal(&format!("{} per droplet", config.metric), value / to_f64(size.max(1).into()))
        },
        Signal { wants: Some(band.min), ..signal("forecast, in droplets", horizon.forecast.demand) },
        signal("forecast deviation", horizon.deviation),
        signal("price", choice.price),
        Signal {
            target: Some(100.0 * config.max_unserved),
            ..signal("unserved, percent", 100.0 * choice.actual_unserved)
        },
        signal("unserved in the backtest, percent", 100.0 * choice.backtest_unserved),
    ]
}

#[cfg(test)]
mod tests {
    use doproxy_policy_sdk::testing::{ObservationBuilder, decide, droplet};
    use doproxy_policy_sdk::{Droplet, Phase, state};
    use proptest::prelude::*;

    use super::*;

    const CONFIG: &str = r#"{"metric": "m", "capacity_per_droplet": 10}"#;
    const MINUTE_MS: u64 = 60_000;

    fn noise(tick: u64) -> f64 {
        let mut state = tick.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        state ^= state >> 31;
        to_f64(state.wrapping_mul(0xbf58_476d_1ce4_e5b9) % 1001) / 500.0 - 1.0
    }

    /// A fleet whose droplets take two minutes to boot, one tick per minute.
    struct TestFleet {
        /// The minute from which each droplet serves.
        ready_at: Vec<u64>,
        /// Sizes, unserved load and load of each minute.
        sizes: Vec<u32>,
        unserved_load: Vec<f64>,
        load: Vec<f64>,
        last: Decision,
    }

    fn run(minutes: u64, load: impl Fn(u64) -> f64) -> TestFleet {
        let mut fleet = TestFleet {
            ready_at: vec![0; 3],
            sizes: Vec::new(),
            unserved_load: Vec::new(),
            load: Vec::new(),
            last: Decision::hold("", b""),
        };
        for minute in 0..minutes {
            let (now, load) = (MINUTE_MS * (minute + 1), load(minute));
            let ready = fleet.ready_at.iter().filter(|at| **at <= minute).count();
            fleet.unserved_load.push((load - 10.0 * to_f64(ready as u64)).max(0.0));
            fleet.load.push(load);
            let mut scene = ObservationBuilder::at(now).series("m", &[load]).boot_time(2 * MINUTE_MS).build();
            scene.fleet = fleet
                .ready_at
                .iter()
                .map(|at| droplet(if *at <= minute { Phase::Serving } else { Phase::Booting }, 0))
                .collect();
            fleet.last = crate::decide::decide(&Config::parse(CONFIG).unwrap(), &scene, &fleet.last.state);
            let wanted = fleet.last.size(u32::try_from(fleet.ready_at.len()).unwrap()) as usize;
            fleet.ready_at.resize(wanted, minute + 3);
            fleet.sizes.push(u32::try_from(wanted).unwrap());
        }
        fleet
    }

    impl TestFleet {
        /// Returns the unserved percentage of the load over some minutes.
        fn unserved(&self, minutes: std::ops::Range<usize>) -> f64 {
            100.0 * self.unserved_load[minutes.clone()].iter().sum::<f64>() / self.load[minutes].iter().sum::<f64>()
        }

        /// Returns the droplets relative to the number the load would fill.
        fn cost(&self, minutes: std::ops::Range<usize>) -> f64 {
            let paid: u32 = self.sizes[minutes.clone()].iter().sum();
            10.0 * f64::from(paid) / self.load[minutes].iter().sum::<f64>()
        }
    }

    /// A day with little noise.
    fn smooth(minute: u64) -> f64 {
        let hours = to_f64(minute) / 60.0;
        100.0 + 60.0 * (hours * std::f64::consts::TAU / 24.0).sin() + 2.0 * noise(minute)
    }

    #[test]
    fn rough_load_gets_more_headroom_than_smooth() {
        let smooth = run(1440, smooth);
        let rough = run(1440, |minute| 100.0 + 60.0 * noise(minute));

        // The first fleet is too small under any policy.
        assert!(smooth.cost(720..1440) < 1.2, "{}", smooth.cost(720..1440));
        assert!(smooth.unserved(10..1440) < 0.1, "{}", smooth.unserved(10..1440));
        assert!((1.5..1.9).contains(&rough.cost(720..1440)), "{}", rough.cost(720..1440));
        assert!(rough.unserved(10..1440) < 0.1, "{}", rough.unserved(10..1440));
    }

    #[test]
    fn hourly_peak_is_anticipated_once_learned() {
        let hourly = |minute: u64| if minute % 60 / 2 == 15 { 160.0 } else { 40.0 } + 2.0 * noise(minute);

        let fleet = run(2880, hourly);

        let (before, between) = (fleet.sizes[2849], fleet.sizes[2820]);
        assert!(before >= 16 && between <= 6, "at the peak: {before}, half an hour earlier: {between}");
        assert!(fleet.cost(2160..2880) < 1.4, "{}", fleet.cost(2160..2880));
        assert!(fleet.unserved(2160..2880) < 0.1, "{}", fleet.unserved(2160..2880));
        assert!(fleet.last.reason.contains("this minute of the hour"), "{}", fleet.last.reason);
    }

    #[test]
    fn fleet_settles_under_constant_load() {
        let fleet = run(400, |_| 55.0);

        assert!(fleet.sizes[300..].iter().all(|size| *size == 6), "{:?}", fleet.sizes);
    }

    #[test]
    fn reason_names_the_forecast_and_the_backtest() {
        let first = run(1, smooth).last;
        let later = run(200, smooth).last;

        assert!(first.reason.starts_with("m is 99."), "{}", first.reason);
        assert!(first.reason.contains("droplets of demand within 180 s"), "{}", first.reason);
        for words in ["±", "the backtest leaves", "of 0.1 % allowed, so "] {
            assert!(later.reason.contains(words), "{}", later.reason);
        }
        assert_eq!(later.signals.len(), 6);
    }

    #[test]
    fn missing_metric_holds_and_keeps_the_state() {
        for scene in
            [ObservationBuilder::at(0).serving(3), ObservationBuilder::at(0).serving(3).series("m", &[99.0]).stale()]
        {
            let decided = decide::<crate::Adaptive>(CONFIG, scene, b"anything");

            assert_eq!((decided.outcome, decided.state.as_slice()), (Outcome::Hold, &b"anything"[..]));
        }
    }

    #[test]
    fn prepaid_droplet_stays_and_longest_expired_goes_first() {
        let (past, future) = (50_000, 90_000_000);
        let scene =
            ObservationBuilder::at(86_400_000).paid_until(2, future).paid_until(1, past + 1).paid_until(1, past);
        let scene = scene.paid_until(4, future).series("m", &[5.0]);

        let decided = decide::<crate::Adaptive>(CONFIG, scene, b"");

        assert_eq!((decided.outcome, decided.delete_first), (Outcome::ScaleTo(6), vec![4, 3]));
        assert!(decided.reason.ends_with("; 4 more are kept because they are paid for"), "{}", decided.reason);
    }

    #[test]
    fn short_ticks_are_merged_into_steps() {
        let mut state = Vec::new();
        let mut thoughts = 0;
        for tick in 0..64_u64 {
            let scene =
                ObservationBuilder::at(1000 * (tick + 1)).serving(3).boot_time(64_000).series_every(1000, "m", &[15.0]);
            let decided = decide::<crate::Adaptive>(CONFIG, scene, &state);
            thoughts += u32::from(!decided.signals.is_empty());
            state = decided.state;
        }

        assert_eq!(thoughts, 16);
    }

    #[test]
    fn same_ticks_produce_the_same_state() {
        assert_eq!(run(120, smooth).last, run(120, smooth).last);
    }

    #[test]
    fn invalid_or_foreign_state_is_reset() {
        let learned = run(100, smooth).last.state;
        let at = |config: &str, state: &[u8]| {
            decide::<crate::Adaptive>(
                config,
                ObservationBuilder::at(100 * MINUTE_MS).serving(3).series("m", &[100.0]),
                state,
            )
            .state
        };
        let other = r#"{"metric": "m", "capacity_per_droplet": 11}"#;

        assert_eq!(at(other, &learned), at(other, b""));
        for garbage in [&learned[..learned.len() - 1], &[&learned[..], &[0]].concat(), b"\x01", b"{}"] {
            assert_eq!(at(CONFIG, garbage), at(CONFIG, b""));
        }
    }

    #[test]
    fn largest_state_fits_the_host_limit() {
        let config = r#"{"metric": "m", "capacity_per_droplet": 1e-6, "seasonality_s": 2678400}"#;
        let mut state = Vec::new();
        for tick in 0..40_u64 {
            let scene = ObservationBuilder::at(10_000 * tick).limits(1, u32::MAX).boot_time(160_000);
            state = decide::<crate::Adaptive>(config, scene.series_every(10_000, "m", &[1e9]), &state).state;
        }

        assert!((40_000..state::MAX_BYTES).contains(&state.len()), "{}", state.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn arbitrary_input_never_panics_and_output_stays_in_limits(
            times in prop::collection::vec(any::<u64>(), 1..8), values in prop::collection::vec(any::<f64>(), 8),
            step in 0..1_000_000_u64, interval in any::<u64>(), size in 0..50_u32, min in any::<u32>(),
            max in any::<u32>(), boot_time in any::<u64>(), paid_until in any::<Option<u64>>(),
            noise in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let config = r#"{"metric": "m", "capacity_per_droplet": 1e-300}"#;
            let mut state = noise;
            for (index, value) in values.into_iter().enumerate() {
                let at = times[index % times.len()].saturating_add(step * index as u64);
                let mut observation =
                    ObservationBuilder::at(at).limits(min, max).boot_time(boot_time).series_every(interval, "m", &[value]).build();
                observation.fleet =
                    (0..size).map(|id| Droplet { id: Some(id.into()), paid_until, ..droplet(Phase::Serving, 0) }).collect();

                let decided = crate::decide::decide(&Config::parse(config).unwrap(), &observation, &state);

                if let Outcome::ScaleTo(count) = decided.outcome {
                    prop_assert!(count >= min.min(size) && count <= max.max(min).max(size), "{count}");
                }
                prop_assert!(decided.signals.iter().all(|signal| signal.value.is_finite()));
                prop_assert!(decided.state.len() <= state::MAX_BYTES);
                state = decided.state;
            }
        }
    }
}
