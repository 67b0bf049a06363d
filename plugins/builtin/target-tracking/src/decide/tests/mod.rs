//! Tests of the HPA rule; [`peers`] contains the runs of the other autoscalers, [`rules`] the properties of all rules.

mod peers;
mod rules;

use doproxy_policy_sdk::testing::{ObservationBuilder, decide};
use doproxy_policy_sdk::{Decision, Signal};

use crate::TargetTracking;

const SESSIONS: &str = r#"{"metric": "haproxy.sessions", "target_per_droplet": 10}"#;
const UTILIZATION: &str = r#"{"metric": "haproxy.utilization", "target_average": 0.5, "scale_in_stabilization_s": 0}"#;

const NOW: u64 = 1_000_000;

fn decide_once(config: &str, scene: ObservationBuilder, state: &[u8]) -> Decision {
    decide::<TargetTracking>(config, scene, state)
}

/// Builds a fleet of serving droplets with a value of its sessions.
fn sessions(size: u32, value: f64) -> ObservationBuilder {
    ObservationBuilder::at(NOW).serving(size).series("haproxy.sessions", &[value])
}

fn utilization(size: u32, ready: u32, value: f64) -> ObservationBuilder {
    ObservationBuilder::at(NOW).serving(ready).booting(size - ready).series("haproxy.utilization", &[value])
}

/// Returns the decided size for an empty state.
fn size(config: &str, scene: ObservationBuilder) -> u32 {
    let size = scene.clone().build().size();
    decide_once(config, scene, b"").size(size)
}

#[test]
fn fleet_near_its_target_is_held() {
    for value in [27.0, 30.0, 33.0] {
        assert_eq!(size(SESSIONS, sessions(3, value)), 3, "{value}");
    }
    assert_eq!(size(SESSIONS, sessions(3, 33.1)), 4);
}

#[test]
fn tolerance_is_configurable_per_direction() {
    let config = r#"{"metric": "haproxy.sessions", "target_per_droplet": 10, "scale_in_stabilization_s": 0,
        "tolerance_out": 0.02, "tolerance_in": 0.5}"#;

    assert_eq!(size(config, sessions(4, 41.0)), 5);
    assert_eq!(size(config, sessions(4, 20.0)), 4);
    assert_eq!(size(config, sessions(4, 19.0)), 2);
}

#[test]
fn starting_droplets_count_as_capacity() {
    assert_eq!(size(SESSIONS, sessions(3, 60.0).booting(3)), 6);
}

#[test]
fn average_counts_starting_droplets_as_idle_before_growth() {
    // 2 of 4 are ready at twice the target; counting the others as idle brings the average to the target.
    assert_eq!(size(UTILIZATION, utilization(4, 2, 1.0)), 4);
    // 1.5 over all four: 6 are needed.
    assert_eq!(size(UTILIZATION, utilization(4, 3, 1.0)), 6);
    // A fully ready fleet grows by the plain ratio.
    assert_eq!(size(UTILIZATION, utilization(4, 4, 1.0)), 8);
    assert_eq!(size(UTILIZATION, utilization(4, 4, 0.2)), 2);
}

#[test]
fn droplet_in_warm_up_is_capacity_but_not_measured() {
    let config = r#"{"metric": "haproxy.utilization", "target_average": 0.5, "warm_up_s": 60}"#;
    let young = |count| ObservationBuilder::at(NOW).serving(2).serving_since(count, NOW - 30_000);

    assert_eq!(size(config, young(0).series("haproxy.utilization", &[1.0])), 4);
    assert_eq!(size(config, young(2).series("haproxy.utilization", &[1.0])), 4);
}

#[test]
fn average_without_ready_droplets_holds() {
    let decided = decide_once(UTILIZATION, utilization(2, 0, 0.9), b"");

    assert_eq!(decided.size(2), 2);
    assert_eq!(decided.reason, "no droplet is serving yet, so haproxy.utilization has no average: the fleet is held");
}

#[test]
fn missing_or_stale_metric_holds_and_keeps_the_state() {
    let before = decide_once(SESSIONS, sessions(3, 30.0), b"").state;
    for (scene, reason) in [
        (ObservationBuilder::at(NOW).serving(3), "haproxy.sessions is missing: the fleet is held"),
        (sessions(3, 90.0).stale(), "haproxy.sessions is stale: the fleet is held"),
    ] {
        let decided = decide_once(SESSIONS, scene, &before);

        assert_eq!(decided.size(3), 3);
        assert_eq!(decided.reason, reason);
        assert_eq!(decided.state, before);
    }
}

#[test]
fn largest_need_of_several_metrics_applies() {
    let config = r#"{"scale_in_stabilization_s": 0, "metrics": [
        {"metric": "haproxy.sessions", "target_per_droplet": 10},
        {"metric": "custom.queue", "target_per_droplet": 5}
    ]}"#;

    let decided = decide_once(config, sessions(2, 25.0).series("custom.queue", &[21.0]), b"");

    assert_eq!(decided.size(2), 5);
    assert_eq!(
        decided.reason,
        "custom.queue is 21 over 2 droplets, 10.5 each for a target of 5: 5 are needed (the highest of 2 metrics)"
    );
    assert_eq!(decided.signals.iter().map(|signal| signal.wants).collect::<Vec<_>>(), [Some(3), Some(5)]);
}

#[test]
fn fleet_only_grows_while_a_metric_is_unavailable() {
    let config = r#"{"scale_in_stabilization_s": 0, "metrics": [
        {"metric": "haproxy.sessions", "target_per_droplet": 10},
        {"metric": "custom.queue", "target_per_droplet": 5}
    ]}"#;

    assert_eq!(size(config, sessions(3, 60.0)), 6);
    let quiet = decide_once(config, sessions(3, 10.0), b"");
    assert_eq!(quiet.size(3), 3);
    assert_eq!(
        quiet.reason,
        "haproxy.sessions is 10 over 3 droplets, 3.33 each for a target of 10: 1 would be enough; scale-in is blocked while \
         custom.queue is missing"
    );
}

#[test]
fn fleet_shrinks_only_after_the_window() {
    let at = |seconds: u64, state: &[u8]| {
        let scene = ObservationBuilder::at(1000 * seconds).serving(6).series_every(0, "haproxy.sessions", &[20.0]);
        decide_once(SESSIONS, scene, state)
    };

    let first = at(0, b"");
    assert_eq!(first.size(6), 6);
    assert_eq!(
        first.reason,
        "haproxy.sessions is 20 over 6 droplets, 3.33 each for a target of 10: 2 would be enough, but 6 were needed within the \
         last 300 s"
    );
    assert_eq!(at(300, &first.state).size(6), 6);
    assert_eq!(at(301, &first.state).size(6), 2);
}

#[test]
fn past_recommendation_grows_the_fleet_only_with_peak_effect() {
    let hold = SESSIONS.to_owned();
    let peak = hold.replace('{', r#"{"preset": "hpa", "#);
    for (config, size) in [(hold, 7), (peak, 14)] {
        let before = decide_once(&config, sessions(3, 500.0), b"");
        assert_eq!(before.size(3), 7, "{}", before.reason);

        let decided = decide_once(&config, sessions(7, 50.0), &before.state);

        assert_eq!(decided.size(7), size, "{}", decided.reason);
    }
}

#[test]
fn growth_is_limited_by_the_larger_of_percent_and_droplets() {
    assert_eq!(size(SESSIONS, sessions(2, 900.0)), 6);
    assert_eq!(size(SESSIONS, sessions(20, 900.0)), 40);
    let slow = r#"{"metric": "haproxy.sessions", "target_per_droplet": 10, "max_scale_out_droplets": 1}"#;

    let decided = decide_once(slow, sessions(20, 900.0), b"");

    assert_eq!(decided.size(20), 21);
    assert_eq!(
        decided.reason,
        "haproxy.sessions is 900 over 20 droplets, 45 each for a target of 10: 90 are needed, limited to 21 by the step limits"
    );
    assert_eq!(
        decided.signals,
        [Signal { name: "haproxy.sessions per droplet".to_owned(), value: 45.0, target: Some(10.0), wants: Some(90) }]
    );
}

#[test]
fn shrinkage_is_limited_if_configured() {
    let config = r#"{"metric": "haproxy.sessions", "target_per_droplet": 10, "scale_in_stabilization_s": 0,
        "max_scale_in_percent": 10}"#;

    assert_eq!(size(config, sessions(20, 20.0)), 18);
}

#[test]
fn scale_in_may_wait_for_starting_droplets() {
    let config = r#"{"metric": "haproxy.sessions", "target_per_droplet": 10, "scale_in_stabilization_s": 0,
        "scale_in_during_startup": false}"#;

    let held = decide_once(config, sessions(4, 10.0).booting(1), b"");

    assert_eq!(held.size(5), 5);
    assert!(
        held.reason.ends_with("1 would be enough; scale-in is blocked while droplets are starting"),
        "{}",
        held.reason
    );
    assert_eq!(size(config, sessions(5, 10.0)), 1);
}

#[test]
fn fleet_limits_apply() {
    assert_eq!(size(SESSIONS, sessions(4, 900.0).limits(1, 5)), 5);
    assert_eq!(size(SESSIONS, sessions(0, 0.0).limits(2, 5)), 2);
}

#[test]
fn exact_division_needs_no_extra_droplet() {
    assert_eq!(size(r#"{"metric": "haproxy.sessions", "target_per_droplet": 0.1}"#, sessions(8, 1.1)), 11);
}
