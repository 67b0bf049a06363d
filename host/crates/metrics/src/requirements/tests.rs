use super::*;

fn need(name: &str, window_ms: u64) -> MetricRequirement {
    MetricRequirement { name: name.to_owned(), window_ms, required: true }
}

#[test]
fn longest_lookback_of_all_policies_wins() {
    let needs = MetricRequirements::union(&[need("a", 60_000), need("b", 0), need("a", 5000)]);

    assert_eq!(needs.window("a"), Some(Duration::from_mins(1)));
    assert_eq!(needs.window("c"), None);
    assert_eq!(needs.max_window(), Duration::from_mins(1));
}

#[test]
fn unmet_requirement_lists_available_series() {
    let options = Options::new(Duration::from_secs(15));
    let needs = [need("queue.depth", 0), need("haproxy.queued", 30 * 86_400_000), need("haproxy.sessions", 60_000)];

    let unmet: Vec<String> = unmet_requirements(&options, "queue", &needs).iter().map(ToString::to_string).collect();

    insta::assert_snapshot!(unmet.join("\n"), @r"
        metric queue.depth is required by policy queue, but no source provides it; available: haproxy.requests_per_second, haproxy.sessions, haproxy.queued, haproxy.errors_per_second, haproxy.utilization, haproxy.response_time_ms; add a source under `metrics.sources`
        policy queue needs 30.0 days of metric haproxy.queued, but samples are kept for 14.0 days; set a longer `metrics.retention`
        ");
}
