//! The decision: computes a size from the request rate and the service time.

use doproxy_policy_sdk::reading::{Combine, SeriesError};
use doproxy_policy_sdk::window::Window;
use doproxy_policy_sdk::words::{format_droplets, format_duration, format_number};
use doproxy_policy_sdk::{Decision, Observation, Outcome, Signal, state};

use crate::config::{Config, Source};
use crate::erlang::Traffic;

/// Version of the state format; a state in another format is discarded.
const VERSION: u32 = 1;

/// Decides; see the crate documentation.
pub fn decide(config: &Config, observation: &Observation, state: &[u8]) -> Decision {
    let size = observation.size();
    let traffic = match traffic(config, observation) {
        Ok(traffic) => traffic,
        Err(reason) => return Decision::hold(reason, state),
    };
    let limits = observation.limits;
    // Search up to one above the limit, to distinguish an insufficient limit from an exact fit.
    let needed = traffic.droplets(config.service_level, config.slots, limits.clamp(u32::MAX).saturating_add(1));
    let bounded = limits.clamp(needed);
    let mut window: Window = state::read(VERSION, state).unwrap_or_default();
    window.seed(observation.now, 0, size);
    let wanted = limits.clamp(window.peak(observation.now, config.scale_in_stabilization_ms, bounded));

    let slots_of = |droplets: u32| u64::from(droplets) * u64::from(config.slots);
    let promise = config.service_level;
    let wait = format!("P(wait > {})", milliseconds(promise.wait));
    let waits = traffic.wait_probability(promise.wait, slots_of(size));
    let load =
        Signal { name: "busy slots".to_owned(), value: traffic.offered_load(), target: None, wants: Some(bounded) };
    let signals =
        vec![load, Signal { name: wait, value: waits, target: Some(promise.probability), wants: Some(bounded) }];

    let mut reason = format!(
        "{} requests/s of {} each keep {} slots busy: {} of {} are needed so that at most {} wait longer than {}",
        format_number(traffic.arrivals),
        milliseconds(traffic.service),
        format_number(traffic.offered_load()),
        format_droplets(needed),
        if config.slots == 1 { "1 slot".to_owned() } else { format!("{} slots", config.slots) },
        percent(promise.probability),
        milliseconds(promise.wait),
    );
    if wanted > bounded {
        reason += &format!(
            ", and {wanted} were needed within the last {}",
            format_duration(config.scale_in_stabilization_ms)
        );
    } else if needed > bounded {
        reason = reason
            .replace(&format!("{} of", format_droplets(needed)), &format!("more than {} of", format_droplets(bounded)));
    }
    let outcome = if wanted == size { Outcome::Hold } else { Outcome::ScaleTo(wanted) };
    Decision { outcome, delete_first: Vec::new(), reason, signals, state: state::write(VERSION, &window) }
}

/// Returns the traffic, or the reason to hold the fleet.
fn traffic(config: &Config, observation: &Observation) -> Result<Traffic, String> {
    let read = |source: &Source, combine| match source {
        Source::Constant(number) => Ok(*number),
        Source::Series(name) => observation
            .mean_over(name, combine, config.window_ms)
            .map_err(|gap: SeriesError| format!("{name} {gap}: the fleet is held")),
    };
    let arrivals = read(&config.arrivals, Combine::Sum)?.max(0.0);
    match read(&config.service_ms, Combine::Mean) {
        Ok(ms) if ms > 0.0 => Ok(Traffic { arrivals, service: ms / 1000.0 }),
        Ok(_) if arrivals > 0.0 => Err("the service time is 0, which is invalid: the fleet is held".to_owned()),
        Err(reason) if arrivals > 0.0 => Err(reason),
        // Without requests there is no service time.
        Ok(_) | Err(_) => Ok(Traffic { arrivals: 0.0, service: 1.0 }),
    }
}

fn milliseconds(seconds: f64) -> String {
    format!("{} ms", format_number(seconds * 1000.0))
}

fn percent(share: f64) -> String {
    format!("{} %", format_number(share * 100.0))
}

#[cfg(test)]
mod tests {
    use doproxy_policy_sdk::testing::{ObservationBuilder, decide};
    use proptest::prelude::*;

    use super::*;

    const CONFIG: &str = r#"{"service_ms": 100, "wait_ms": 50, "probability": 0.01}"#;

    fn requests(now: u64, size: u32, values: &[f64]) -> ObservationBuilder {
        ObservationBuilder::at(now).serving(size).series("haproxy.requests_per_second", values)
    }

    fn decided(config: &str, scene: ObservationBuilder, state: &[u8]) -> Decision {
        decide::<crate::Queueing>(config, scene, state)
    }

    #[test]
    fn fleet_meets_the_service_level() {
        let decided = decided(CONFIG, requests(600_000, 12, &[100.0]), b"");

        assert_eq!(decided.outcome, Outcome::ScaleTo(15));
        assert_eq!(
            decided.reason,
            "100 requests/s of 100 ms each keep 10 slots busy: 15 droplets of 1 slot are needed so that at most 1 % wait \
             longer than 50 ms"
        );
        assert_eq!(decided.signals.first().map(|signal| signal.value), Some(10.0));
        assert!(decided.signals[1].value > 0.1, "{:?}", decided.signals);
    }

    #[test]
    fn fleet_shrinks_after_the_window() {
        let before = decided(CONFIG, requests(0, 15, &[100.0]), b"").state;

        let held = decided(CONFIG, requests(300_000, 15, &[50.0]), &before);
        let shrunk = decided(CONFIG, requests(300_001, 15, &[50.0]), &held.state);

        assert_eq!(held.size(15), 15);
        assert!(held.reason.ends_with("and 15 were needed within the last 300 s"), "{}", held.reason);
        assert!(shrunk.size(15) < 15, "{}", shrunk.reason);
    }

    #[test]
    fn reason_reports_an_insufficient_maximum() {
        let decided = decided(CONFIG, requests(0, 12, &[100.0]).limits(1, 12), b"");

        assert_eq!(decided.outcome, Outcome::Hold);
        assert!(decided.reason.contains("more than 12 droplets of 1 slot are needed"), "{}", decided.reason);
    }

    #[test]
    fn arrivals_are_averaged_over_the_window() {
        let config = r#"{"service_ms": 100, "wait_ms": 50, "probability": 0.01, "window_s": 120}"#;

        assert_eq!(decided(config, requests(600_000, 1, &[9000.0, 150.0, 50.0]), b"").outcome, Outcome::ScaleTo(15));
    }

    #[test]
    fn service_time_is_optional_without_requests() {
        let config = r#"{"service_metric": "haproxy.response_time_ms"}"#;

        let quiet = decided(config, requests(0, 4, &[0.0]), b"");
        let unknown = decided(config, requests(0, 4, &[5.0]), b"");

        assert_eq!(quiet.signals[0].wants, Some(1));
        assert!(quiet.reason.contains("0 slots busy"), "{}", quiet.reason);
        assert_eq!(unknown.outcome, Outcome::Hold);
        assert_eq!(unknown.reason, "haproxy.response_time_ms is missing: the fleet is held");
    }

    #[test]
    fn missing_metric_holds_and_keeps_the_state() {
        for scene in [ObservationBuilder::at(0).serving(3), requests(0, 3, &[500.0]).stale()] {
            let decided = decided(CONFIG, scene, b"anything");

            assert_eq!((decided.outcome, decided.state.as_slice()), (Outcome::Hold, &b"anything"[..]));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_input_never_panics_and_output_stays_in_limits(
            now in any::<u64>(), size in 0..50_u32, arrivals in any::<f64>(), service in any::<f64>(),
            min in any::<u32>(), max in any::<u32>(), noise in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let config = r#"{"service_metric": "s", "slots": 7}"#;
            let scene = requests(now, size, &[arrivals]).series("s", &[service]).limits(min, max);
            let limits = scene.clone().build().limits;
            let decided = decided(config, scene, &noise);
            let wanted = decided.size(size);
            prop_assert!(wanted == size || wanted == limits.clamp(wanted), "{decided:?}");
        }

        #[test]
        fn fleet_settles_after_one_step_under_constant_load(start in 1..50_u32, load in 0.0..400.0_f64) {
            let (mut size, mut state, mut sizes) = (start, Vec::new(), Vec::new());
            for minute in 0..10 {
                let decided = decided(CONFIG, requests(60_000 * minute, size, &[load]), &state);
                size = decided.size(size);
                state = decided.state;
                sizes.push(size);
            }
            sizes.dedup();
            prop_assert!(sizes.len() <= 2, "{sizes:?}");
        }
    }
}
