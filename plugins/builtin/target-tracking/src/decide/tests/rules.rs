//! Properties of all rules for arbitrary input.

use doproxy_policy_sdk::testing::{ObservationBuilder, decide};
use doproxy_policy_sdk::{Limits, Observation, Policy, Sample, Series};
use proptest::prelude::*;

use super::sessions;
use crate::TargetTracking;
use crate::config::Config;

const PRESETS: [&str; 7] = ["hpa-behavior", "hpa", "gce", "ski-rental", "reactive", "aws", "knative"];

fn config(preset: &str, average: bool, warm_up_s: u64) -> String {
    let target = if average { "target_average" } else { "target_per_droplet" };
    format!(r#"{{"preset": "{preset}", "metric": "haproxy.sessions", "{target}": 10, "warm_up_s": {warm_up_s}}}"#)
}

prop_compose! {
    fn arbitrary_observation()(
        now in any::<u64>(), serving in 0..40_u32, booting in 0..40_u32, since in any::<u64>(),
        values in prop::collection::vec(any::<f64>(), 0..4), interval_ms in any::<u64>(), stale in any::<bool>(),
        min in any::<u32>(), max in any::<u32>(), boot_time_ms in any::<Option<u64>>(),
    ) -> Observation {
        let mut observation = ObservationBuilder::at(now).serving_since(serving, since).booting(booting).build();
        let samples = values.into_iter().map(|value| Sample { at: now, value }).collect();
        observation.metrics = vec![Series { name: "haproxy.sessions".to_owned(), interval_ms, stale, samples }];
        observation.limits = Limits { min, max };
        observation.boot_time_ms = boot_time_ms;
        observation
    }
}

proptest! {
    #[test]
    fn arbitrary_input_never_panics_and_output_stays_in_limits(
        preset in prop::sample::select(&PRESETS[..]), average in any::<bool>(), warm_up_s in 0..100_u64,
        observations in prop::collection::vec(arbitrary_observation(), 1..5), noise in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let config = Config::parse(&config(preset, average, warm_up_s)).unwrap();
        let mut state = noise;
        for observation in observations {
            let decision = TargetTracking::decide(&config, &observation, &state);
            let size = observation.size();
            let wanted = decision.size(size);
            prop_assert!(wanted == size || wanted == observation.limits.clamp(wanted), "{decision:?}");
            state = decision.state;
        }
    }

    #[test]
    fn more_load_never_needs_fewer_droplets(
        preset in prop::sample::select(&PRESETS[..]), size in 1..30_u32, less in 0.0..500.0_f64, more in 0.0..500.0_f64,
    ) {
        let config = config(preset, false, 0);
        let wanted = |load| decide::<TargetTracking>(&config, sessions(size, load), b"").size(size);
        prop_assert!(wanted(less + more) >= wanted(less));
    }

    #[test]
    fn fleet_settles_under_constant_load(
        preset in prop::sample::select(&PRESETS[..]), average in any::<bool>(), start in 1..30_u32, load in 0.0..300.0_f64,
    ) {
        let config = config(preset, average, 0);
        let (mut size, mut state) = (start, Vec::new());
        let mut sizes = Vec::new();
        for minute in 1..=60 {
            let value = if average { load / f64::from(size) } else { load };
            let scene = ObservationBuilder::at(60_000 * minute).serving(size).series("haproxy.sessions", &[value]);
            let decided = decide::<TargetTracking>(&config, scene, &state);
            size = decided.size(size);
            state = decided.state;
            sizes.push(size);
        }
        prop_assert!(sizes[40..].iter().all(|later| *later == sizes[40]), "{sizes:?}");
        let grew = sizes.is_sorted();
        let shrank = sizes.is_sorted_by(|one, other| one >= other);
        prop_assert!(grew || shrank, "{sizes:?}");
    }
}
