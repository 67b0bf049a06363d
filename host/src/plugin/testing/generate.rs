//! Situations without end: ordinary ones for the most part, and every odd one that a host may come upon.

use std::collections::BTreeMap;

use super::chance::Chance;
use super::fixture::RequestText;
use super::situation::{DropletText, Fleet, LimitsText, Metric, SeriesText, Situation};
use super::values::{Moment, Time};
use crate::model::{Phase, Timestamp};

/// The series that every host makes.
const OF_THE_HOST: [&str; 6] = [
    "haproxy.errors_per_second",
    "haproxy.queued",
    "haproxy.requests_per_second",
    "haproxy.response_time_ms",
    "haproxy.sessions",
    "haproxy.utilisation",
];

/// Whether a series of the host's is an average over the droplets, and no total.
pub(super) fn is_average(name: &str) -> bool {
    matches!(name, "haproxy.response_time_ms" | "haproxy.utilisation")
}

/// The names of series that a plugin may look for: the host's, those of its manifest, and what looks like one in its
/// configuration.
pub(super) fn names(manifest: &crate::model::Manifest, config: &serde_json::Value) -> Vec<String> {
    let mut names: Vec<String> = OF_THE_HOST.iter().map(ToString::to_string).collect();
    names.extend(manifest.metrics.iter().map(|need| need.name.clone()));
    collect(config, &mut names);
    names.sort();
    names.dedup();
    names
}

fn collect(value: &serde_json::Value, names: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) if looks_like_a_name(text) => names.push(text.clone()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        serde_json::Value::Object(members) => members.values().for_each(|member| collect(member, names)),
        _ => {}
    }
}

/// `custom.queue`: words of letters, digits and `_`, with dots between them.
fn looks_like_a_name(text: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    text.len() <= 100 && text.contains('.') && text.split('.').all(is_word)
}

/// A situation of any kind.
pub(super) fn situation(chance: &mut Chance, names: &[String]) -> Situation {
    let min = chance.between(0, 3);
    let max = min + chance.between(0, 30);
    let minutes = u64::from(chance.between(0, 14 * 24 * 60));
    Situation {
        now: Some(Moment(Timestamp(Moment::USUAL.0.0 + minutes * 60_000))),
        tick: Some(u64::from(chance.between(0, 100_000))),
        fleet: Some(fleet(chance, max)),
        metrics: Some(metrics(chance, names)),
        limits: Some(LimitsText { min, max, ..LimitsText::default() }),
        boot_time: chance.percent(50).then(|| Time::seconds(u64::from(chance.between(0, 300)))),
        last_scale_out: chance.percent(50).then(|| Time::seconds(u64::from(chance.between(0, 3600)))),
        last_scale_in: chance.percent(50).then(|| Time::seconds(u64::from(chance.between(0, 3600)))),
        facts: chance.percent(10).then(|| BTreeMap::from([("unknown".to_owned(), "to everybody".to_owned())])),
        ..Situation::default()
    }
}

/// An ordinary situation whose load does not change: droplets that serve, and series that stand still.
pub(super) fn constant(chance: &mut Chance, names: &[String]) -> Situation {
    let max = chance.between(2, 30);
    let metrics = names.iter().map(|name| (name.clone(), Metric::Past(vec![load(chance, name); 10]))).collect();
    Situation {
        fleet: Some(Fleet::Serving(chance.between(1, max))),
        metrics: Some(metrics),
        limits: Some(LimitsText { max, ..LimitsText::default() }),
        boot_time: Some(Time::seconds(60)),
        ..Situation::default()
    }
}

fn fleet(chance: &mut Chance, max: u32) -> Fleet {
    if chance.percent(50) {
        return Fleet::Serving(chance.between(0, max + 3));
    }
    let droplets = (0..chance.between(0, max.min(12))).map(|_| droplet(chance)).collect();
    Fleet::Droplets(droplets)
}

fn droplet(chance: &mut Chance) -> DropletText {
    let phase = chance.one_of(
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
    DropletText {
        phase: Some(phase),
        healthy: chance.percent(20).then(|| chance.percent(50)),
        age: Some(Time::seconds(u64::from(chance.between(0, 1_000_000)))),
        protected: chance.percent(10).then_some(true),
        sessions: Some(chance.between(0, 500)),
        max_sessions: chance.percent(50).then(|| chance.between(0, 500)),
        queued: chance.percent(20).then(|| chance.between(0, 100)),
        requests_per_second: Some(f64::from(chance.between(0, 1000))),
        ..DropletText::default()
    }
}

fn metrics(chance: &mut Chance, names: &[String]) -> BTreeMap<String, Metric> {
    let mut metrics = BTreeMap::new();
    for name in names {
        if chance.percent(85) {
            metrics.insert(name.clone(), metric(chance, name));
        }
    }
    metrics
}

fn metric(chance: &mut Chance, name: &str) -> Metric {
    let samples = |chance: &mut Chance| (0..chance.between(0, 60)).map(|_| value(chance, name)).collect();
    match chance.between(0, 9) {
        0..=3 => Metric::Now(value(chance, name)),
        4..=6 => Metric::Past(samples(chance)),
        7 | 8 => Metric::Whole(SeriesText {
            samples: samples(chance),
            interval: Some(Time::seconds(u64::from(chance.one_of(60_u32, &[1, 10, 15, 300, 3600])))),
            ended: chance.percent(20).then(|| Time::seconds(u64::from(chance.between(0, 7200)))),
            stale: chance.percent(30),
            ..SeriesText::default()
        }),
        _ => {
            let series = |chance: &mut Chance, zone: &str| SeriesText {
                samples: vec![value(chance, name)],
                labels: BTreeMap::from([("zone".to_owned(), zone.to_owned())]),
                ..SeriesText::default()
            };
            Metric::Several(vec![series(chance, "a"), series(chance, "b")])
        }
    }
}

/// A value: mostly one that could be, at times one that no sane source gives.
fn value(chance: &mut Chance, name: &str) -> f64 {
    match chance.between(0, 19) {
        0 => 0.0,
        1 => chance.one_of(f64::MAX, &[f64::MIN_POSITIVE, 1e18, f64::INFINITY]),
        2 => -load(chance, name),
        _ => load(chance, name),
    }
}

/// A value that could be, with at most three digits after the point so that a person can read it.
fn load(chance: &mut Chance, name: &str) -> f64 {
    let most = if name == "haproxy.utilisation" { 2.0 } else { chance.one_of(100.0, &[1.0, 1000.0, 100_000.0]) };
    (chance.share() * most * 1000.0).round() / 1000.0
}

/// The droplet that user data is for.
pub(super) fn request(chance: &mut Chance) -> RequestText {
    let index = chance.between(0, 100_000);
    let prefix = chance.one_of("web", &["a", "auto-nginx", "www.example.com", "x-1"]);
    let params = serde_json::json!({ "role": chance.one_of("blue", &["", "it's \"quoted\"", "$(reboot)", "ü\n"]) });
    RequestText {
        hostname: format!("{prefix}-{index}"),
        index,
        size: chance.one_of("s-1vcpu-1gb", &["c-2", "g-8vcpu-32gb"]).to_owned(),
        region: chance.one_of("nyc3", &["ams3", "sgp1"]).to_owned(),
        tags: (0..chance.between(1, 5)).map(|number| format!("doproxy:tag-{number}")).collect(),
        params: chance.percent(70).then_some(params),
        ..RequestText::default()
    }
}
