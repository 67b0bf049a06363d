//! The rules of the HPA, one by one, and the reference run of `micro_hpa`.

use super::*;

fn config(json: &str) -> Config {
    Config::parse(json).unwrap()
}

fn sessions() -> Config {
    config(r#"{"metric": "haproxy.sessions", "target_per_droplet": 10}"#)
}

fn utilisation() -> Config {
    config(r#"{"metric": "haproxy.utilisation", "target_average": 0.5, "scale_in_stabilisation_s": 0}"#)
}

fn fleet(size: u32, ready: u32) -> Fleet {
    Fleet { now: 1_000_000, size, ready, min: 1, max: 100 }
}

/// Decides with no memory.
fn decided(config: &Config, fleet: Fleet, value: f64) -> Decided {
    decide(config, &fleet, &Reading::Value(value), b"")
}

#[test]
fn the_run_of_the_reference_simulator_is_reproduced() {
    // Demand, ready and booting droplets of `micro_hpa`: C = 10 requests/s a droplet, target 0.7, ticks of 60 s.
    const RUN: [(f64, u32, u32); 16] = [
        (5.0, 3, 0),
        (10.0, 3, 0),
        (25.0, 3, 0),
        (30.0, 3, 1),
        (10.0, 3, 1),
        (10.0, 4, 0),
        (10.0, 4, 0),
        (45.0, 4, 0),
        (45.0, 4, 3),
        (5.0, 4, 3),
        (5.0, 7, 0),
        (5.0, 7, 0),
        (5.0, 7, 0),
        (5.0, 7, 0),
        (25.0, 7, 0),
        (25.0, 4, 0),
    ];
    let config = config(r#"{"metric": "demand", "target_per_droplet": 7}"#);
    let mut state = Vec::new();
    for (tick, (now, next)) in RUN.iter().zip(&RUN[1..]).enumerate() {
        let (demand, ready, booting) = *now;
        let fleet = Fleet { now: 60_000 * (tick as u64 + 1), ..fleet(ready + booting, ready) };

        let decided = decide(&config, &fleet, &Reading::Value(demand), &state);

        assert_eq!(decided.wants.unwrap_or(fleet.size), next.1 + next.2, "tick {tick}: {}", decided.reason);
        state = decided.state;
    }
}

#[test]
fn a_fleet_near_its_target_is_held() {
    for value in [27.0, 30.0, 33.0] {
        assert_eq!(decided(&sessions(), fleet(3, 3), value).wants, None, "{value}");
    }
    assert_eq!(decided(&sessions(), fleet(3, 3), 33.1).wants, Some(4));
}

#[test]
fn droplets_that_come_up_count_as_capacity() {
    let decided = decided(&sessions(), fleet(6, 3), 60.0);

    assert_eq!(decided.wants, None, "{}", decided.reason);
}

#[test]
fn an_average_counts_droplets_that_come_up_as_idle_before_it_grows_the_fleet() {
    // 2 of 4 are ready at twice the target: as idle, the others bring the average to the target.
    assert_eq!(decided(&utilisation(), fleet(4, 2), 1.0).wants, None);
    // 1.5 over all four: 6 are needed.
    assert_eq!(decided(&utilisation(), fleet(4, 3), 1.0).wants, Some(6));
    // A fleet that is ready grows by the plain ratio.
    assert_eq!(decided(&utilisation(), fleet(4, 4), 1.0).wants, Some(8));
    assert_eq!(decided(&utilisation(), fleet(4, 4), 0.2).wants, None, "what was found counts as needed now");
}

#[test]
fn an_average_of_no_ready_droplet_says_nothing() {
    let decided = decided(&utilisation(), fleet(2, 0), 0.9);

    assert_eq!(decided.wants, None);
    assert_eq!(
        decided.reason,
        "no droplet serves yet, so haproxy.utilisation is an average of nothing and the fleet is held"
    );
}

#[test]
fn a_metric_that_is_missing_or_stale_holds_the_fleet_and_keeps_its_memory() {
    let before = decided(&sessions(), fleet(3, 3), 30.0).state;
    for (reading, word) in [(Reading::Missing, "not there"), (Reading::Stale, "stale")] {
        let decided = decide(&sessions(), &fleet(3, 3), &reading, &before);

        assert_eq!(decided.wants, None);
        assert!(decided.reason.contains(word), "{}", decided.reason);
        assert_eq!(decided.state, before);
    }
    assert_eq!(Reading::of(vec![], &Target::Average(1.0)), Reading::Missing);
    assert_eq!(Reading::of(vec![f64::NAN], &Target::PerDroplet(1.0)), Reading::Missing);
    assert_eq!(Reading::of(vec![1.0, 3.0], &Target::PerDroplet(1.0)), Reading::Value(4.0));
    assert_eq!(Reading::of(vec![1.0, 3.0], &Target::Average(1.0)), Reading::Value(2.0));
}

#[test]
fn a_fleet_shrinks_only_after_the_window_has_passed() {
    let at = |seconds: u64, state: &[u8]| {
        let fleet = Fleet { now: 1000 * seconds, ..fleet(6, 6) };
        decide(&sessions(), &fleet, &Reading::Value(20.0), state)
    };

    let first = at(0, b"");
    assert_eq!(first.wants, None);
    assert_eq!(
        first.reason,
        "haproxy.sessions is 20 over 6 droplets, 3.33 each for a target of 10: 2 would do, and 6 were needed within the last 300 s"
    );
    assert_eq!(at(300, &first.state).wants, None);
    assert_eq!(at(301, &first.state).wants, Some(2));
}

#[test]
fn what_was_recommended_once_never_makes_a_fleet_grow() {
    let before = decided(&sessions(), fleet(3, 3), 500.0).state;

    let decided = decide(&sessions(), &fleet(7, 7), &Reading::Value(50.0), &before);

    assert_eq!(decided.wants, None, "{}", decided.reason);
}

#[test]
fn growth_is_bounded_by_percent_or_droplets_whichever_is_more() {
    assert_eq!(decided(&sessions(), fleet(2, 2), 900.0).wants, Some(6));
    assert_eq!(decided(&sessions(), fleet(20, 20), 900.0).wants, Some(40));
    let slow = config(r#"{"metric": "haproxy.sessions", "target_per_droplet": 10, "max_scale_out_droplets": 1}"#);

    let decided = decided(&slow, fleet(20, 20), 900.0);

    assert_eq!(decided.wants, Some(21));
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
    let config = config(
        r#"{"metric": "m", "target_per_droplet": 10, "scale_in_stabilisation_s": 0, "max_scale_in_percent": 10}"#,
    );
    let before = decided(&config, fleet(20, 20), 20.0).state;

    let decided = decide(&config, &Fleet { now: 1_000_001, ..fleet(20, 20) }, &Reading::Value(20.0), &before);

    assert_eq!(decided.wants, Some(18));
}

#[test]
fn the_bounds_of_the_fleet_hold() {
    assert_eq!(decided(&sessions(), Fleet { max: 5, ..fleet(4, 4) }, 900.0).wants, Some(5));
    assert_eq!(decided(&sessions(), Fleet { min: 2, ..fleet(0, 0) }, 0.0).wants, Some(2));
}

#[test]
fn a_division_without_remainder_asks_for_no_droplet_more() {
    let config = config(r#"{"metric": "m", "target_per_droplet": 0.1}"#);

    assert_eq!(decided(&config, fleet(8, 8), 1.1).wants, Some(11));
}
