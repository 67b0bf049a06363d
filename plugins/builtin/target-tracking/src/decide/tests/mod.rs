//! The rules of the HPA, one by one; [`peers`] has the peers' runs, [`rules`] what holds for every rule.

mod peers;
mod rules;

use doproxy_policy_sdk::testing::{ObservationBuilder, decide};
use doproxy_policy_sdk::{Decision, Signal};

use crate::TargetTracking;

const SESSIONS: &str = r#"{"metric": "haproxy.sessions", "target_per_droplet": 10}"#;
const UTILIZATION: &str = r#"{"metric": "haproxy.utilisation", "target_average": 0.5, "scale_in_stabilisation_s": 0}"#;

const NOW: u64 = 1_000_000;

fn decide_once(config: &str, scene: ObservationBuilder, state: &[u8]) -> Decision {
    decide::<TargetTracking>(config, scene, state)
}

/// A fleet that is all there, with a value of its sessions.
fn sessions(size: u32, value: f64) -> ObservationBuilder {
    ObservationBuilder::at(NOW).serving(size).series("haproxy.sessions", &[value])
}

fn utilization(size: u32, ready: u32, value: f64) -> ObservationBuilder {
    ObservationBuilder::at(NOW).serving(ready).booting(size - ready).series("haproxy.utilisation", &[value])
}

/// The size wanted with no memory.
fn size(config: &str, scene: ObservationBuilder) -> u32 {
    let size = scene.clone().build().size();
    decide_once(config, scene, b"").size(size)
}

#[test]
fn a_fleet_near_its_target_is_held() {
    for value in [27.0, 30.0, 33.0] {
        assert_eq!(size(SESSIONS, sessions(3, value)), 3, "{value}");
    }
    assert_eq!(size(SESSIONS, sessions(3, 33.1)), 4);
}

#[test]
fn each_direction_may_have_a_tolerance_of_its_own() {
    let config = r#"{"metric": "haproxy.sessions", "target_per_droplet": 10, "scale_in_stabilisation_s": 0,
        "tolerance_out": 0.02, "tolerance_in": 0.5}"#;

    assert_eq!(size(config, sessions(4, 41.0)), 5);
    assert_eq!(size(config, sessions(4, 20.0)), 4);
    assert_eq!(size(config, sessions(4, 19.0)), 2);
}

#[test]
fn droplets_that_come_up_count_as_capacity() {
    assert_eq!(size(SESSIONS, sessions(3, 60.0).booting(3)), 6);
}

#[test]
fn an_average_counts_droplets_that_come_up_as_idle_before_it_grows_the_fleet() {
    // 2 of 4 are ready at twice the target: as idle, the others bring the average to the target.
    assert_eq!(size(UTILIZATION, utilization(4, 2, 1.0)), 4);
    // 1.5 over all four: 6 are needed.
    assert_eq!(size(UTILIZATION, utilization(4, 3, 1.0)), 6);
    // A fleet that is ready grows by the plain ratio.
    assert_eq!(size(UTILIZATION, utilization(4, 4, 1.0)), 8);
    assert_eq!(size(UTILIZATION, utilization(4, 4, 0.2)), 2);
}

#[test]
fn a_droplet_that_warms_up_is_capacity_and_no_measure() {
    let config = r#"{"metric": "haproxy.utilisation", "target_average": 0.5, "warm_up_s": 60}"#;
    let young = |count| ObservationBuilder::at(NOW).serving(2).serving_since(count, NOW - 30_000);

    assert_eq!(size(config, young(0).series("haproxy.utilisation", &[1.0])), 4);
    assert_eq!(size(config, young(2).series("haproxy.utilisation", &[1.0])), 4);
}

#[test]
fn an_average_of_no_ready_droplet_says_nothing() {
    let decided = decide_once(UTILIZATION, utilization(2, 0, 0.9), b"");

    assert_eq!(decided.size(2), 2);
    assert_eq!(
        decided.reason,
        "no droplet serves yet, so haproxy.utilisation is an average of nothing: the fleet is held"
    );
}

#[test]
fn a_metric_that_is_missing_or_stale_holds_the_fleet_and_keeps_its_memory() {
    let before = decide_once(SESSIONS, sessions(3, 30.0), b"").state;
    for (scene, reason) in [
        (ObservationBuilder::at(NOW).serving(3), "haproxy.sessions is not there: the fleet is held"),
        (sessions(3, 90.0).stale(), "haproxy.sessions is stale: the fleet is held"),
    ] {
        let decided = decide_once(SESSIONS, scene, &before);

        assert_eq!(decided.size(3), 3);
        assert_eq!(decided.reason, reason);
        assert_eq!(decided.state, before);
    }
}

#[test]
fn of_several_metrics_the_largest_need_counts() {
    let config = r#"{"scale_in_stabilisation_s": 0, "metrics": [
        {"metric": "haproxy.sessions", "target_per_droplet": 10},
        {"metric": "custom.queue", "target_per_droplet": 5}
    ]}"#;

    let decided = decide_once(config, sessions(2, 25.0).series("custom.queue", &[21.0]), b"");

    assert_eq!(decided.size(2), 5);
    assert_eq!(
        decided.reason,
        "custom.queue is 21 over 2 droplets, 10.5 each for a target of 5: 5 are needed (the most of 2 metrics)"
    );
    assert_eq!(decided.signals.iter().map(|signal| signal.wants).collect::<Vec<_>>(), [Some(3), Some(5)]);
}

#[test]
fn while_one_of_several_metrics_is_silent_the_fleet_grows_and_does_not_shrink() {
    let config = r#"{"scale_in_stabilisation_s": 0, "metrics": [
        {"metric": "haproxy.sessions", "target_per_droplet": 10},
        {"metric": "custom.queue", "target_per_droplet": 5}
    ]}"#;

    assert_eq!(size(config, sessions(3, 60.0)), 6);
    let quiet = decide_once(config, sessions(3, 10.0), b"");
    assert_eq!(quiet.size(3), 3);
    assert_eq!(
        quiet.reason,
        "haproxy.sessions is 10 over 3 droplets, 3.33 each for a target of 10: 1 would do; it does not shrink while \
         custom.queue is not there"
    );
}

#[test]
fn a_fleet_shrinks_only_after_the_window_has_passed() {
    let at = |seconds: u64, state: &[u8]| {
        let scene = ObservationBuilder::at(1000 * seconds).serving(6).series_every(0, "haproxy.sessions", &[20.0]);
        decide_once(SESSIONS, scene, state)
    };

    let first = at(0, b"");
    assert_eq!(first.size(6), 6);
    assert_eq!(
        first.reason,
        "haproxy.sessions is 20 over 6 droplets, 3.33 each for a target of 10: 2 would do, and 6 were needed within the last 300 s"
    );
    assert_eq!(at(300, &first.state).size(6), 6);
    assert_eq!(at(301, &first.state).size(6), 2);
}

#[test]
fn what_was_recommended_once_makes_a_fleet_grow_only_where_the_peak_is_wanted() {
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
fn growth_is_bounded_by_percent_or_droplets_whichever_is_more() {
    assert_eq!(size(SESSIONS, sessions(2, 900.0)), 6);
    assert_eq!(size(SESSIONS, sessions(20, 900.0)), 40);
    let slow = r#"{"metric": "haproxy.sessions", "target_per_droplet": 10, "max_scale_out_droplets": 1}"#;

    let decided = decide_once(slow, sessions(20, 900.0), b"");

    assert_eq!(decided.size(20), 21);
    assert_eq!(
        decided.reason,
        "haproxy.sessions is 900 over 20 droplets, 45 each for a target of 10: 90 are needed, 21 is as far as one step goes"
    );
    assert_eq!(
        decided.signals,
        [Signal { name: "haproxy.sessions per droplet".to_owned(), value: 45.0, target: Some(10.0), wants: Some(90) }]
    );
}

#[test]
fn shrinking_is_bounded_where_the_operator_says_so() {
    let config = r#"{"metric": "haproxy.sessions", "target_per_droplet": 10, "scale_in_stabilisation_s": 0,
        "max_scale_in_percent": 10}"#;

    assert_eq!(size(config, sessions(20, 20.0)), 18);
}

#[test]
fn a_fleet_may_be_kept_while_droplets_come_up() {
    let config = r#"{"metric": "haproxy.sessions", "target_per_droplet": 10, "scale_in_stabilisation_s": 0,
        "scale_in_while_coming_up": false}"#;

    let held = decide_once(config, sessions(4, 10.0).booting(1), b"");

    assert_eq!(held.size(5), 5);
    assert!(held.reason.ends_with("1 would do; it does not shrink while droplets are coming up"), "{}", held.reason);
    assert_eq!(size(config, sessions(5, 10.0)), 1);
}

#[test]
fn the_bounds_of_the_fleet_hold() {
    assert_eq!(size(SESSIONS, sessions(4, 900.0).limits(1, 5)), 5);
    assert_eq!(size(SESSIONS, sessions(0, 0.0).limits(2, 5)), 2);
}

#[test]
fn a_division_without_remainder_asks_for_no_droplet_more() {
    assert_eq!(size(r#"{"metric": "haproxy.sessions", "target_per_droplet": 0.1}"#, sessions(8, 1.1)), 11);
}
