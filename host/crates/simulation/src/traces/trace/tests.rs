use super::*;

fn trace(interval_s: u64, rates: &[f64]) -> Trace {
    Trace { start: Timestamp(0), interval: Duration::from_secs(interval_s), rates: rates.to_vec() }
}

#[test]
fn rates_are_held_or_averaged_to_ticks() {
    let trace = trace(60, &[1.0, 3.0, 5.0]);

    assert_eq!(trace.ticks(Duration::from_mins(1)), [1.0, 3.0, 5.0]);
    assert_eq!(trace.ticks(Duration::from_secs(30)), [1.0, 1.0, 3.0, 3.0, 5.0, 5.0]);
    assert_eq!(trace.ticks(Duration::from_mins(2)), [2.0]);
}

#[test]
fn unaligned_tick_takes_weighted_mean() {
    let rates = trace(60, &[1.0, 3.0, 5.0]).ticks(Duration::from_secs(45));

    assert_eq!(rates.len(), 4);
    assert!((rates[1] - (15.0 * 1.0 + 30.0 * 3.0) / 45.0).abs() < 1e-12, "{rates:?}");
}

/// Returns measurements every 15 s, each slightly late.
fn measured(seconds: impl Iterator<Item = u64>) -> impl Iterator<Item = Sample> {
    seconds.map(|second| Sample { at: Timestamp(second * 1000 + second % 7), value: to_f64(second) })
}

#[test]
fn measurements_are_averaged_to_interval() {
    let samples = measured((1..=8).map(|turn| 6000 + turn * 15).filter(|second| *second != 6075));

    let (trace, repairs) = Trace::from_measurements("recorded", samples, Duration::from_mins(1), false).unwrap();

    // A measurement of the end of a minute is slightly late and counts for the next minute.
    assert_eq!(trace.start, Timestamp(6_000_000));
    assert_eq!(trace.rates.len(), 3);
    assert!((trace.rates[0] - 6030.0).abs() < 1e-9, "{:?}", trace.rates);
    assert_eq!(repairs, []);
}

#[test]
fn gap_in_measurements_is_reported_with_times() {
    let samples = || measured([30, 90, 300, 360].into_iter());
    let of = |repair| Trace::from_measurements("recorded", samples(), Duration::from_mins(1), repair);

    let error = of(false).unwrap_err();
    let (mended, repairs) = of(true).unwrap();

    assert_eq!(
        error.to_string(),
        "recorded: no samples from 1970-01-01T00:02:00Z to 1970-01-01T00:05:00Z; pass --repair to interpolate them"
    );
    assert_eq!(mended.rates.len(), 7);
    assert_eq!(repairs.len(), 1);
}

#[test]
fn conversion_to_ticks_preserves_total_requests() {
    let trace = trace(15, &[4.0, 0.0, 7.0, 1.0, 1.0, 9.0, 2.0, 3.0]);
    for tick in [5, 10, 15, 20, 24, 30, 40, 60, 120] {
        let sum: f64 = trace.ticks(Duration::from_secs(tick)).iter().sum::<f64>() * to_f64(tick);

        assert!((sum - 27.0 * 15.0).abs() < 1e-9, "{tick}: {sum}");
    }
}
