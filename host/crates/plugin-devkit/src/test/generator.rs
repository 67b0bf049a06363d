//! Random observations: ordinary ones for the most part, and every unusual one that a host may produce.

use std::collections::BTreeMap;

use doproxy_core::domain::{Phase, Timestamp};

use crate::test::fixture::RequestFixture;
use crate::test::observation_builder::{
    DropletFixture, FleetFixture, LimitsFixture, MetricFixture, ObservationFixture, SeriesFixture,
};
use crate::test::rng::CaseRng;
use crate::test::values::{FixtureDuration, FixtureTime};

/// The series provided by every host.
const HOST_SERIES: [&str; 6] = [
    "haproxy.errors_per_second",
    "haproxy.queued",
    "haproxy.requests_per_second",
    "haproxy.response_time_ms",
    "haproxy.sessions",
    "haproxy.utilization",
];

/// Reports whether one of the host's series is an average over the droplets rather than a total.
pub(super) fn is_average(name: &str) -> bool {
    matches!(name, "haproxy.response_time_ms" | "haproxy.utilization")
}

/// Returns the names of series that a plugin may read: the host's, those of its manifest, and strings in its
/// configuration that look like one.
pub(super) fn series_names(manifest: &doproxy_core::domain::Manifest, config: &serde_json::Value) -> Vec<String> {
    let mut names: Vec<String> = HOST_SERIES.iter().map(ToString::to_string).collect();
    names.extend(manifest.metrics.iter().map(|need| need.name.clone()));
    collect(config, &mut names);
    names.sort();
    names.dedup();
    names
}

fn collect(value: &serde_json::Value, names: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) if is_series_name(text) => names.push(text.clone()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        serde_json::Value::Object(members) => members.values().for_each(|member| collect(member, names)),
        _ => {}
    }
}

/// Matches names such as `custom.queue`: words of letters, digits and `_`, separated by dots.
fn is_series_name(text: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    text.len() <= 100 && text.contains('.') && text.split('.').all(is_word)
}

/// Generates an arbitrary observation.
pub(super) fn observation(rng: &mut CaseRng, names: &[String]) -> ObservationFixture {
    let min = rng.between(0, 3);
    let max = min + rng.between(0, 30);
    let minutes = u64::from(rng.between(0, 14 * 24 * 60));
    ObservationFixture {
        now: Some(FixtureTime(Timestamp(FixtureTime::DEFAULT.0.0 + minutes * 60_000))),
        tick: Some(u64::from(rng.between(0, 100_000))),
        fleet: Some(fleet(rng, max)),
        metrics: Some(metrics(rng, names)),
        limits: Some(LimitsFixture { min, max, ..LimitsFixture::default() }),
        boot_time: rng.with_percent(50).then(|| FixtureDuration::seconds(u64::from(rng.between(0, 300)))),
        last_scale_out: rng.with_percent(50).then(|| FixtureDuration::seconds(u64::from(rng.between(0, 3600)))),
        last_scale_in: rng.with_percent(50).then(|| FixtureDuration::seconds(u64::from(rng.between(0, 3600)))),
        facts: rng.with_percent(10).then(|| BTreeMap::from([("unknown".to_owned(), "to every plugin".to_owned())])),
        ..ObservationFixture::default()
    }
}

/// Generates an ordinary observation with constant load: serving droplets, and series with constant values.
pub(super) fn steady_observation(rng: &mut CaseRng, names: &[String]) -> ObservationFixture {
    let max = rng.between(2, 30);
    let metrics =
        names.iter().map(|name| (name.clone(), MetricFixture::Samples(vec![plausible_value(rng, name); 10]))).collect();
    ObservationFixture {
        fleet: Some(FleetFixture::Serving(rng.between(1, max))),
        metrics: Some(metrics),
        limits: Some(LimitsFixture { max, ..LimitsFixture::default() }),
        boot_time: Some(FixtureDuration::seconds(60)),
        ..ObservationFixture::default()
    }
}

fn fleet(rng: &mut CaseRng, max: u32) -> FleetFixture {
    if rng.with_percent(50) {
        return FleetFixture::Serving(rng.between(0, max + 3));
    }
    let droplets = (0..rng.between(0, max.min(12))).map(|_| droplet(rng)).collect();
    FleetFixture::Droplets(droplets)
}

fn droplet(rng: &mut CaseRng) -> DropletFixture {
    let phase = rng.choose(
        Phase::Serving,
        &[
            Phase::Requested,
            Phase::Booting,
            Phase::Warming,
            Phase::Serving,
            Phase::Serving,
            Phase::Draining,
            Phase::Deleting,
        ],
    );
    DropletFixture {
        phase: Some(phase),
        healthy: rng.with_percent(20).then(|| rng.with_percent(50)),
        age: Some(FixtureDuration::seconds(u64::from(rng.between(0, 1_000_000)))),
        protected: rng.with_percent(10).then_some(true),
        sessions: Some(rng.between(0, 500)),
        max_sessions: rng.with_percent(50).then(|| rng.between(0, 500)),
        queued: rng.with_percent(20).then(|| rng.between(0, 100)),
        requests_per_second: Some(f64::from(rng.between(0, 1000))),
        ..DropletFixture::default()
    }
}

fn metrics(rng: &mut CaseRng, names: &[String]) -> BTreeMap<String, MetricFixture> {
    let mut metrics = BTreeMap::new();
    for name in names {
        if rng.with_percent(85) {
            metrics.insert(name.clone(), metric(rng, name));
        }
    }
    metrics
}

fn metric(rng: &mut CaseRng, name: &str) -> MetricFixture {
    let samples = |rng: &mut CaseRng| (0..rng.between(0, 60)).map(|_| any_value(rng, name)).collect();
    match rng.between(0, 9) {
        0..=3 => MetricFixture::Latest(any_value(rng, name)),
        4..=6 => MetricFixture::Samples(samples(rng)),
        7 | 8 => MetricFixture::Series(SeriesFixture {
            samples: samples(rng),
            interval: Some(FixtureDuration::seconds(u64::from(rng.choose(60_u32, &[1, 10, 15, 300, 3600])))),
            ended: rng.with_percent(20).then(|| FixtureDuration::seconds(u64::from(rng.between(0, 7200)))),
            stale: rng.with_percent(30),
            ..SeriesFixture::default()
        }),
        _ => {
            let series = |rng: &mut CaseRng, zone: &str| SeriesFixture {
                samples: vec![any_value(rng, name)],
                labels: BTreeMap::from([("zone".to_owned(), zone.to_owned())]),
                ..SeriesFixture::default()
            };
            MetricFixture::MultiSeries(vec![series(rng, "a"), series(rng, "b")])
        }
    }
}

/// Generates a value: usually a plausible one, sometimes one that no sane source reports.
fn any_value(rng: &mut CaseRng, name: &str) -> f64 {
    match rng.between(0, 19) {
        0 => 0.0,
        1 => rng.choose(f64::MAX, &[f64::MIN_POSITIVE, 1e18, f64::INFINITY]),
        2 => -plausible_value(rng, name),
        _ => plausible_value(rng, name),
    }
}

/// Generates a plausible value, with at most three decimal places for readability.
fn plausible_value(rng: &mut CaseRng, name: &str) -> f64 {
    let most = if name == "haproxy.utilization" { 2.0 } else { rng.choose(100.0, &[1.0, 1000.0, 100_000.0]) };
    (rng.next_f64() * most * 1000.0).round() / 1000.0
}

/// Generates the droplet that user data is generated for.
pub(super) fn request(rng: &mut CaseRng) -> RequestFixture {
    let index = rng.between(0, 100_000);
    let prefix = rng.choose("web", &["a", "auto-nginx", "www.example.com", "x-1"]);
    let params = serde_json::json!({ "role": rng.choose("blue", &["", "it's \"quoted\"", "$(reboot)", "ü\n"]) });
    RequestFixture {
        hostname: format!("{prefix}-{index}"),
        index,
        size: rng.choose("s-1vcpu-1gb", &["c-2", "g-8vcpu-32gb"]).to_owned(),
        region: rng.choose("nyc3", &["ams3", "sgp1"]).to_owned(),
        tags: (0..rng.between(1, 5)).map(|number| format!("doproxy:tag-{number}")).collect(),
        params: rng.with_percent(70).then_some(params),
        ..RequestFixture::default()
    }
}
