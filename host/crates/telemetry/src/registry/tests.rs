use super::*;

static CALLS: MetricFamily = MetricFamily {
    name: "calls_total",
    help: "Calls.",
    kind: MetricKind::Counter,
    labels: &[("call", "the call"), ("result", "its result")],
};
static SIZE: MetricFamily = MetricFamily { name: "size", help: "Droplets.", kind: MetricKind::Gauge, labels: &[] };
static TIME: MetricFamily =
    MetricFamily { name: "time_seconds", help: "Time.", kind: MetricKind::Histogram(&[0.1, 1.0]), labels: &[] };

#[test]
fn registry_renders_counters_gauges_and_histograms() {
    let mut registry = Registry::default();
    registry.add(&CALLS, &[("call", "GET"), ("result", "ok")], 2.0);
    registry.add(&CALLS, &[("call", "GET"), ("result", "ok")], 1.0);
    registry.set(&SIZE, &[], 3.0);
    registry.observe(&TIME, &[], 0.1);
    registry.observe(&TIME, &[], 0.5);
    registry.observe(&TIME, &[], 7.0);

    insta::assert_snapshot!(registry.text(), @r#"
        # HELP calls_total Calls.
        # TYPE calls_total counter
        calls_total{call="GET",result="ok"} 3
        # HELP size Droplets.
        # TYPE size gauge
        size 3
        # HELP time_seconds Time.
        # TYPE time_seconds histogram
        time_seconds_bucket{le="0.1"} 1
        time_seconds_bucket{le="1"} 2
        time_seconds_bucket{le="+Inf"} 3
        time_seconds_sum 7.6
        time_seconds_count 3
        "#);
}

#[test]
fn label_value_cannot_end_its_line() {
    let mut registry = Registry::default();
    registry.add(&CALLS, &[("call", "a\"b\\c\nd\u{1b}"), ("result", "ok")], 1.0);

    assert!(
        registry.text().contains("calls_total{call=\"a\\\"b\\\\c\\nd\u{fffd}\",result=\"ok\"} 1\n"),
        "{}",
        registry.text()
    );
}
