use super::*;

fn counter(mode: &str, values: &[(u64, f64)]) -> MeasuredSeries {
    let samples = values.iter().map(|(at, value)| Sample { at: Timestamp(*at), value: *value }).collect();
    MeasuredSeries { labels: [("mode".to_owned(), mode.to_owned())].into(), samples }
}

#[test]
fn cpu_percent_is_derived_from_counter_growth() {
    let idle = counter("idle", &[(0, 1000.0), (120, 1090.0), (240, 1150.0)]);
    let user = counter("user", &[(0, 500.0), (120, 530.0), (240, 590.0)]);

    assert_eq!(cpu_percent(&[idle, user]), Some(Sample { at: Timestamp(240), value: 50.0 }));
}

#[test]
fn reset_counters_are_not_compared_with_earlier_ones() {
    let idle = counter("idle", &[(0, 1000.0), (120, 1090.0), (240, 5.0)]);
    let user = counter("user", &[(0, 500.0), (120, 530.0), (240, 1.0)]);

    assert_eq!(cpu_percent(&[idle, user]), Some(Sample { at: Timestamp(120), value: 25.0 }));
    assert_eq!(cpu_percent(&[counter("idle", &[(0, 1.0)])]), None);
    assert_eq!(cpu_percent(&[]), None);
}

#[test]
fn droplets_are_polled_in_rotation() {
    let ids = |ids: &[u64]| ids.iter().copied().map(DropletId).collect::<Vec<_>>();
    let mut state = State::default();

    let turns: Vec<Vec<DropletId>> = (0..3).map(|_| state.next_batch(&ids(&[1, 2, 3]), 2)).collect();

    assert_eq!(turns, [ids(&[1, 2]), ids(&[3, 1]), ids(&[2, 3])]);
    assert_eq!(state.next_batch(&ids(&[9]), 2), ids(&[9]));
    assert_eq!(state.next_batch(&[], 2), ids(&[]));
}
