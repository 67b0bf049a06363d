//! The cost of a tick's series, and the disk usage of the time-series store.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use doproxy_core::domain::{DropletId, Load, MetricRequirement, Sample, SeriesId, Timestamp};
use doproxy_core::pipeline::{BalancerSample, FleetLoad};
use doproxy_core::seams::{ServerStats, Stats};
use doproxy_metrics::{Collector, MetricRequirements, Options, Retention, SeriesKey, TimeSeriesStore};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const INTERVAL: Duration = Duration::from_secs(15);
/// Six hours at 15 s.
const SAMPLES: u32 = 1440;
const SERIES: [(&str, &str); 5] = [
    ("haproxy.requests_per_second", "requests/s"),
    ("haproxy.sessions", "sessions"),
    ("haproxy.queued", "requests"),
    ("haproxy.errors_per_second", "errors/s"),
    ("haproxy.utilization", "ratio"),
];

fn main() {
    let (bytes, written) = one_day();
    println!("a day of ten series at 15 s: {bytes} bytes of database, {written} bytes written");
    divan::main();
}

/// Reads the series of a tick from memory.
#[divan::bench]
fn series(bencher: Bencher) {
    let service = Service::new();
    bencher.bench_local(|| black_box(service.collector.series(NOW)));
}

/// Records HAProxy's numbers for 500 droplets in the time-series store, including the tick's transaction.
#[divan::bench]
fn collect_and_write(bencher: Bencher) {
    let mut service = Service::new();
    let mut tick = 0_u32;
    bencher.bench_local(|| {
        tick += 1;
        let now = NOW.plus(INTERVAL * tick);
        let load = load(now, u64::from(tick));
        service.runtime.block_on(service.collector.collect(now, Some(&load)));
        service.collector.store().flush().expect("a disk");
    });
}

/// Opens a store with a day of data, including downsampling.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn open(bencher: Bencher) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.db");
    write_ticks(&path, 5760);
    bencher.bench_local(|| TimeSeriesStore::open(&path, NOW.plus(INTERVAL * 5760)));
}

/// A collector with a store on disk, filled with HAProxy's series.
struct Service {
    runtime: Runtime,
    collector: Collector,
    _dir: TempDir,
}

impl Service {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Arc::new(TimeSeriesStore::open(&dir.path().join("history.db"), NOW));
        for (name, unit) in SERIES {
            let key = SeriesKey { name: name.to_owned(), labels: Vec::new(), unit: unit.to_owned() };
            let id = store.get_or_create(&key).expect("room");
            let samples: Vec<Sample> =
                (1..=SAMPLES).map(|n| Sample { at: NOW.minus(INTERVAL * (SAMPLES - n)), value: value(n) }).collect();
            store.append(id, &samples, NOW);
        }
        let mut collector = Collector::new(Options::new(INTERVAL), store, None);
        let window_ms = u64::from(SAMPLES) * 15_000;
        let needs = SERIES.map(|(name, _)| MetricRequirement { name: name.to_owned(), window_ms, required: true });
        collector.set_requirements(MetricRequirements::union(&needs), NOW);
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(collector.collect(NOW, Some(&FleetLoad::new(None, &stats(NOW, 0)))));
        Self { runtime, collector, _dir: dir }
    }
}

/// Returns the load of 500 servers since the previous tick.
fn load(at: Timestamp, tick: u64) -> FleetLoad {
    FleetLoad::new(Some(&stats(at.minus(INTERVAL), tick - 1)), &stats(at, tick))
}

/// Returns the statistics of HAProxy with 500 servers.
fn stats(at: Timestamp, tick: u64) -> BalancerSample {
    let server = |id: u64| ServerStats {
        id: DropletId(id),
        healthy: true,
        check_passed: true,
        status: "UP, L7OK 200".to_owned(),
        sessions: 20,
        load: Load { sessions: 20, max_sessions: Some(200), response_time_ms: Some(12.0), ..Load::default() },
        requests_total: tick * 150,
        errors_total: tick,
    };
    let servers = (1..=500).map(server).collect();
    let stats = Stats { servers, requests_total: tick * 75_000, uptime_s: 3600 + tick * 15, ..Stats::default() };
    BalancerSample { at, stats }
}

/// Returns a number with as many digits as a measured one.
fn value(n: u32) -> f64 {
    1000.0 + 300.0 * (f64::from(n) / 97.0).sin()
}

fn write_ticks(path: &Path, ticks: u32) -> u64 {
    let store = TimeSeriesStore::open(path, NOW);
    let ids: Vec<SeriesId> = (0..10)
        .map(|n| {
            let key = SeriesKey { name: format!("series.{n}"), labels: Vec::new(), unit: "things".to_owned() };
            store.get_or_create(&key).expect("room")
        })
        .collect();
    for tick in 1..=ticks {
        let now = NOW.plus(INTERVAL * tick);
        for (id, salt) in ids.iter().zip(0..) {
            store.append(*id, &[Sample { at: now, value: value(tick + salt * 31) }], now);
        }
        store.flush().expect("a disk");
        store.prune(&Retention::default(), now).expect("a disk");
    }
    store.status().bytes
}

/// Returns the size of the database after a day, and the bytes the process wrote meanwhile.
fn one_day() -> (u64, u64) {
    let written = || -> u64 {
        let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
        let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
        line.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    };
    let dir = tempfile::tempdir().expect("a folder");
    let before = written();
    let bytes = write_ticks(&dir.path().join("history.db"), 5760);
    (bytes, written() - before)
}
