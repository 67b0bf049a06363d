//! Tick-by-tick runs compared with a reference simulator of the other autoscalers, over one short demand.
//!
//! Every droplet serves 10 requests/s and takes two ticks of a minute to boot. A decision at the end of a tick takes
//! effect in the next one: additional droplets boot, surplus ones are deleted at once, booting ones first. The fleet
//! starts with three.

use doproxy_policy_sdk::numbers::saturating_u32;
use doproxy_policy_sdk::testing::ObservationBuilder;

use super::decide_once;

const DEMAND: [f64; 16] = [5.0, 10.0, 25.0, 30.0, 10.0, 10.0, 10.0, 45.0, 45.0, 5.0, 5.0, 5.0, 5.0, 5.0, 25.0, 25.0];
const TICK_MS: u64 = 60_000;
const BOOT_TICKS: usize = 2;

/// Returns the ready and the booting droplets of each tick.
fn run(config: &str) -> Vec<(u32, u32)> {
    let (mut ready, mut booting, mut state) = (3, Vec::<usize>::new(), Vec::new());
    let mut run = Vec::new();
    for (tick, demand) in DEMAND.into_iter().enumerate() {
        ready += saturating_u32(booting.iter().filter(|ready_at| **ready_at <= tick).count());
        booting.retain(|ready_at| *ready_at > tick);
        run.push((ready, saturating_u32(booting.len())));

        let size = ready + saturating_u32(booting.len());
        let scene = ObservationBuilder::at(TICK_MS * (tick as u64 + 1))
            .serving(ready)
            .booting(saturating_u32(booting.len()))
            .series("demand", &[demand])
            .boot_time(TICK_MS * BOOT_TICKS as u64);
        let decided = decide_once(config, scene, &state);
        let wanted = decided.size(size);
        state = decided.state;

        booting.extend((size..wanted).map(|_| tick + 1 + BOOT_TICKS));
        let fewer = size.saturating_sub(wanted);
        let cancelled = fewer.min(saturating_u32(booting.len()));
        booting.truncate(booting.len() - cancelled as usize);
        ready -= fewer - cancelled;
    }
    run
}

fn config(preset: &str, target: f64) -> String {
    format!(r#"{{"preset": "{preset}", "metric": "demand", "target_per_droplet": {target}}}"#)
}

#[test]
fn kubernetes_matches_the_reference() {
    let reference = [
        (3, 0),
        (3, 0),
        (3, 0),
        (3, 1),
        (3, 1),
        (4, 0),
        (4, 0),
        (4, 0),
        (4, 3),
        (4, 3),
        (7, 0),
        (7, 0),
        (7, 0),
        (7, 0),
        (7, 0),
        (4, 0),
    ];

    assert_eq!(run(&config("hpa", 7.0)), reference);
    assert_eq!(run(&config("hpa-behavior", 7.0)), reference, "this run reaches no step limit");
}

#[test]
fn aws_matches_the_reference() {
    // 45 requests/s last for only two of the required three minutes; 5 requests/s for less than fifteen.
    assert_eq!(run(&config("aws", 7.0)), [(3, 0); 16]);
}

#[test]
fn knative_matches_the_reference() {
    assert_eq!(
        run(&config("knative", 7.0)),
        [
            (3, 0),
            (3, 0),
            (2, 0),
            (2, 2),
            (2, 3),
            (4, 1),
            (2, 0),
            (2, 0),
            (2, 5),
            (2, 5),
            (7, 0),
            (3, 0),
            (1, 0),
            (1, 0),
            (1, 0),
            (1, 3),
        ]
    );
}

#[test]
fn ski_rental_matches_the_reference() {
    assert_eq!(
        run(&config("ski-rental", 7.0)),
        [
            (3, 0),
            (3, 0),
            (3, 0),
            (3, 1),
            (3, 2),
            (4, 1),
            (5, 0),
            (2, 0),
            (2, 5),
            (2, 5),
            (7, 0),
            (7, 0),
            (1, 0),
            (1, 0),
            (1, 0),
            (1, 3),
        ]
    );
}

#[test]
fn reactive_matches_the_reference() {
    assert_eq!(
        run(&config("reactive", 10.0)),
        [
            (3, 0),
            (1, 0),
            (1, 0),
            (1, 2),
            (1, 2),
            (1, 0),
            (1, 0),
            (1, 0),
            (1, 4),
            (1, 4),
            (1, 0),
            (1, 0),
            (1, 0),
            (1, 0),
            (1, 0),
            (1, 2),
        ]
    );
}

#[test]
fn aws_grows_after_three_minutes_and_shrinks_after_fifteen() {
    let config = config("aws", 7.0);
    let (mut size, mut state) = (3, Vec::new());
    let mut sizes = Vec::new();
    for minute in 1..=24 {
        let demand = if minute <= 4 { 33.0 } else { 7.0 };
        let scene = ObservationBuilder::at(TICK_MS * minute).serving(size).series("demand", &[demand]);
        let decided = decide_once(&config, scene, &state);
        size = decided.size(size);
        state = decided.state;
        sizes.push(size);
    }

    let (three, five, one) = (vec![3; 2], vec![5; 16], vec![1; 6]);
    assert_eq!(sizes, [three, five, one].concat());
}

#[test]
fn aws_averages_shorter_ticks_over_a_minute() {
    let config = config("aws", 7.0);
    let (mut size, mut state) = (3, Vec::new());
    let mut sizes = Vec::new();
    for tick in 1..=13_u64 {
        // 24 on average, which 3 droplets carry at 8 each.
        let demand = if tick % 2 == 0 { 40.0 } else { 8.0 };
        let scene = ObservationBuilder::at(15_000 * tick).serving(size).series_every(15_000, "demand", &[demand]);
        let decided = decide_once(&config, scene, &state);
        size = decided.size(size);
        state = decided.state;
        sizes.push(size);
    }

    assert_eq!(sizes, [vec![3; 11], vec![4; 2]].concat());
}
