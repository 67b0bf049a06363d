use doproxy_core::domain::Timestamp;
use doproxy_test_support::decision_record;

use super::*;

#[test]
fn conversion_keeps_order_and_drops_gaps_and_deleted_droplets() {
    let now = Timestamp(1_800_000_000_000);
    let series_of = |name: &str, values: &[f64]| Series {
        labels: vec![("host".to_owned(), name.to_owned())],
        ..decision_record::series(name, "requests/s", now, values)
    };
    let metrics = vec![series_of("a", &[1.0, f64::NAN, 3.0]), series_of("b", &[4.0])];
    let mut from = decision_record::observation(now, 3, metrics);
    from.templates[0].tags = ["web", "blue"].map(|tag| Tag::parse(tag).unwrap()).to_vec();
    from.fleet[1].phase = Phase::Gone;
    from.facts = vec![("day".to_owned(), "monday".to_owned())];

    let lists = Lists::of(&from);
    let records = Records::of(&from, &lists);
    let handed = observation(&from, &lists, &records);

    assert_eq!(handed.templates[0].tags, ["web", "blue"]);
    let names: Vec<_> = handed.fleet.iter().map(|droplet| droplet.name).collect();
    assert_eq!(names, ["web-0-k3f9tq", "web-2-k3f9tq"]);
    let series: Vec<_> = handed
        .metrics
        .iter()
        .map(|series| (series.name, series.labels, series.samples.iter().map(|sample| sample.value).collect()))
        .collect();
    assert_eq!(series, [("a", &[("host", "a")][..], vec![1.0, 3.0]), ("b", &[("host", "b")][..], vec![4.0])]);
    assert_eq!(handed.facts, [("day", "monday")]);
}
