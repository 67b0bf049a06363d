use super::*;
use crate::model::fluid::Overload;

fn setup() -> Setup {
    Setup { tick_s: 60.0, capacity: 10.0, boot_ticks: 2, min: 1, max: 100, initial: None, overload: Overload::Loss }
}

/// Runs `ticks` ticks of `demand` on `droplets` droplets with one slot each and a service time of 0.1 s.
fn run(demand: f64, droplets: u32, ticks: u32, timeout_s: f64, seed: u64) -> (Requests, Vec<Step>) {
    let service = Service { mean_s: 0.1, distribution: Distribution::Exponential, timeout_s };
    let mut requests = Requests::new(service, 1, seed);
    let mut pool = Pool::new(droplets);
    let steps = (0..ticks).map(|now| requests.serve(now, demand, &mut pool, &setup())).collect();
    (requests, steps)
}

#[test]
fn wait_time_matches_erlang_c() {
    // M/M/8 with five Erlangs: P(wait) is 0.167267, and the mean wait is that times 1/(cμ − λ).
    let (requests, steps) = run(50.0, 8, 400, 1e6, 7);

    let wait_ms = requests.latency().mean_ms - 100.0;
    let wanted = 0.167_267 / (80.0 - 50.0) * 1000.0;
    assert!((wait_ms - wanted).abs() < 0.5, "{wait_ms} ms, expected {wanted}");
    assert!(steps.iter().all(|step| step.unserved == 0.0));
}

#[test]
fn median_matches_service_time_without_queueing() {
    let (requests, _) = run(10.0, 1000, 50, 1e6, 7);

    let wanted = 100.0 * std::f64::consts::LN_2;
    assert!((requests.latency().p50_ms / wanted - 1.0).abs() < 0.03, "{:?}", requests.latency());
}

#[test]
fn excess_requests_time_out_and_are_counted() {
    let (_, steps) = run(20.0, 1, 100, 5.0, 7);

    let (came, lost): (f64, f64) =
        (steps.iter().map(|step| step.demand * 60.0).sum(), steps.iter().map(|step| step.unserved).sum());
    assert!((lost / came - 0.5).abs() < 0.02, "{lost} of {came}");
}

#[test]
fn equal_seeds_give_equal_runs() {
    let latency = |seed| run(30.0, 4, 20, 5.0, seed).0.latency();

    assert_eq!(latency(1), latency(1));
    assert_ne!(latency(1), latency(2));
}
