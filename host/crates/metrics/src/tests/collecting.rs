//! The collector: due sources, stale series, and the series for policies.

use doproxy_core::domain::{DropletId, Load, MetricRequirement, Series};
use doproxy_core::pipeline::{BalancerSample, FleetLoad};
use doproxy_core::seams::{ServerStats, Stats};

use crate::tests::*;

/// The loads of a server, each since the previous call.
#[derive(Default)]
struct Loads {
    prev: Option<BalancerSample>,
}

impl Loads {
    fn at(&mut self, at: Timestamp, requests_total: u64, sessions: u32) -> FleetLoad {
        let sample = sample(at, requests_total, sessions);
        let load = FleetLoad::new(self.prev.as_ref(), &sample);
        self.prev = Some(sample);
        load
    }
}

fn sample(at: Timestamp, requests_total: u64, sessions: u32) -> BalancerSample {
    let server = ServerStats {
        id: DropletId(1),
        healthy: true,
        check_passed: true,
        status: "UP, L7OK 200".to_owned(),
        sessions,
        load: Load { sessions, max_sessions: Some(100), response_time_ms: Some(8.0), ..Load::default() },
        requests_total,
        errors_total: 0,
    };
    let uptime_s = at.since(NOW.minus(Duration::from_hours(1))).as_secs();
    BalancerSample { at, stats: Stats { servers: vec![server], requests_total, uptime_s, ..Stats::default() } }
}

fn need(name: &str, window: Duration) -> MetricRequirement {
    MetricRequirement { name: name.to_owned(), window_ms: u64::try_from(window.as_millis()).unwrap(), required: true }
}

/// Formats series as `name[samples] newest`, with `stale` if stale.
fn shown(series: &[Series]) -> String {
    let one = |series: &Series| {
        let newest = series.samples.last().map_or("nothing".to_owned(), |sample| sample.value.to_string());
        let stale = if series.stale { " stale" } else { "" };
        let labels: String = series.labels.iter().map(|(name, value)| format!("{{{name}={value}}}")).collect();
        format!("{}{labels}[{}] {newest}{stale}", series.name, series.samples.len())
    };
    series.iter().map(one).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn haproxy_series_come_first_with_required_lookback() {
    let store = Arc::new(TimeSeriesStore::in_memory());
    let mut collector = collector(vec![source("queue.depth", shell("echo 7"))], &store);
    let needs = [need("haproxy.sessions", Duration::from_mins(2)), need("haproxy.sessions", Duration::ZERO)];
    collector.set_requirements(MetricRequirements::union(&needs), NOW);

    let (mut now, mut loads) = (NOW, Loads::default());
    for tick in 0..20_u32 {
        now = NOW.plus(INTERVAL * tick);
        collector.collect(now, Some(&loads.at(now, 1000 + 150 * u64::from(tick), tick))).await;
    }

    insta::assert_snapshot!(shown(&collector.series(now)), @r"
    haproxy.requests_per_second[1] 10
    haproxy.sessions[8] 19
    haproxy.queued[1] 0
    haproxy.errors_per_second[1] 0
    haproxy.utilization[1] 0.19
    haproxy.response_time_ms[1] 8
    queue.depth[20] 7
    ");
    let refs = collector.refs(now);
    let samples = store.windows(&refs).unwrap();
    let series: Vec<Series> = refs.iter().zip(samples).map(|(one, samples)| one.with_samples(samples)).collect();
    assert_eq!(series, collector.series(now));
    assert_eq!(refs[1].interval_ms, 15_000);
}

#[tokio::test]
async fn haproxy_series_are_stale_while_unreachable() {
    let store = Arc::new(TimeSeriesStore::in_memory());
    let mut collector = collector(Vec::new(), &store);
    let mut loads = Loads::default();
    collector.collect(NOW, Some(&loads.at(NOW, 0, 3))).await;
    let later = NOW.plus(INTERVAL);
    collector.collect(later, None).await;
    let gone = shown(&collector.series(later));
    let back = later.plus(INTERVAL);

    collector.collect(back, Some(&loads.at(back, 60, 4))).await;

    insta::assert_snapshot!(format!("{gone}\n\n{}", shown(&collector.series(back))), @r"
    haproxy.sessions[1] 3 stale
    haproxy.queued[1] 0 stale
    haproxy.utilization[1] 0.03 stale

    haproxy.requests_per_second[1] 2
    haproxy.sessions[1] 4
    haproxy.queued[1] 0
    haproxy.errors_per_second[1] 0
    haproxy.utilization[1] 0.04
    haproxy.response_time_ms[1] 8
    ");
}

#[tokio::test]
async fn only_failed_source_is_stale() {
    let store = Arc::new(TimeSeriesStore::in_memory());
    let flag = tempfile::NamedTempFile::new().unwrap();
    let works_while_the_file_is_there = shell(&format!("test -e {} && echo 5", flag.path().display()));
    let sources = vec![
        source("good", shell("echo 1")),
        source("sometimes", works_while_the_file_is_there),
        source("never", shell("echo broken >&2; exit 1")),
    ];
    let mut collector = collector(sources, &store);
    collector.collect(NOW, None).await;
    let first = shown(&collector.series(NOW));
    drop(flag);
    let later = NOW.plus(INTERVAL);

    collector.collect(later, None).await;

    insta::assert_snapshot!(format!("{first}\n\n{}", shown(&collector.series(later))), @r"
    good[1] 1
    sometimes[1] 5
    never[0] nothing stale

    good[2] 1
    sometimes[1] 5 stale
    never[0] nothing stale
    ");
    let failures: Vec<String> = collector
        .sources(later)
        .into_iter()
        .filter_map(|one| Some(format!("{} ({}): {}", one.name, one.description, one.failure?.1)))
        .collect();
    insta::assert_snapshot!(failures.join("\n"), @r"
    haproxy (HAProxy's runtime API): HAProxy is unreachable
    sometimes (the output of /bin/sh): /bin/sh failed with exit status: 1
    never (the output of /bin/sh): /bin/sh failed with exit status: 1: broken
    ");
}

#[tokio::test]
async fn late_source_is_stale() {
    let store = Arc::new(TimeSeriesStore::in_memory());
    let mut collector = collector(vec![source("a", shell("echo 1"))], &store);
    collector.collect(NOW, None).await;

    let stale = |after: Duration| collector.series(NOW.plus(after)).pop().unwrap().stale;

    assert!(!stale(INTERVAL * 3));
    assert!(stale(INTERVAL * 3 + Duration::from_millis(1)));
}

#[tokio::test]
async fn source_is_polled_at_its_own_interval() {
    let store = Arc::new(TimeSeriesStore::in_memory());
    let slow = SourceOptions { interval: Duration::from_mins(1), ..source("slow", shell("echo 1")) };
    let mut collector = collector(vec![source("quick", shell("echo 1")), slow], &store);

    for tick in 0..9_u32 {
        // Ticks are not exact.
        let jitter = Duration::from_millis(u64::from(tick % 3) * 400);
        collector.collect(NOW.plus(INTERVAL * tick + jitter), None).await;
    }

    let end = NOW.plus(Duration::from_mins(3));
    let count = |name: &str| store.series_history(name, NOW, end).unwrap().first().map_or(0, |one| one.points.len());
    store.flush().unwrap();
    assert_eq!((count("quick"), count("slow")), (9, 3));
}

#[tokio::test]
async fn hanging_source_does_not_delay_ticks() {
    let store = Arc::new(TimeSeriesStore::in_memory());
    let gate = tempfile::tempdir().unwrap();
    let gate_file = gate.path().join("open");
    let waits = shell(&format!("until test -e {}; do sleep 0.02; done; echo 9", gate_file.display()));
    let hangs = SourceOptions { timeout: Duration::from_mins(1), ..source("hangs", waits) };
    let options = Options {
        sources: vec![hangs, source("good", shell("echo 1"))],
        poll_wait: Duration::from_millis(300),
        ..Options::new(INTERVAL)
    };
    let mut collector = Collector::new(options, Arc::clone(&store), None);
    let began = std::time::Instant::now();
    collector.collect(NOW, None).await;
    assert!(began.elapsed() < Duration::from_secs(20));
    let meanwhile = shown(&collector.series(NOW));
    std::fs::write(&gate_file, "").unwrap();

    let mut tries = 0;
    while collector.series(NOW)[0].samples.is_empty() {
        tries += 1;
        assert!(tries < 100, "no result in time");
        collector.collect(NOW, None).await;
    }

    assert!(meanwhile.starts_with("hangs[0] nothing stale"), "{meanwhile}");
    assert!(shown(&collector.series(NOW)).starts_with("hangs[1] 9"));
}

#[tokio::test]
async fn known_series_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    {
        let store = Arc::new(TimeSeriesStore::open(&path, NOW));
        let mut collector = collector(vec![source("a", shell("echo 1"))], &store);
        collector.collect(NOW, Some(&Loads::default().at(NOW, 0, 3))).await;
    }
    let later = NOW.plus(INTERVAL * 2);

    let store = Arc::new(TimeSeriesStore::open(&path, later));
    let mut collector = collector(vec![source("a", shell("exit 1")), source("new", shell("echo 2"))], &store);
    let before = shown(&collector.series(later));
    collector.collect(later, None).await;

    insta::assert_snapshot!(format!("{before}\n\n{}", shown(&collector.series(later))), @r"
    haproxy.sessions[1] 3
    haproxy.queued[1] 0
    haproxy.utilization[1] 0.03
    a[1] 1
    new[0] nothing stale

    haproxy.sessions[1] 3 stale
    haproxy.queued[1] 0 stale
    haproxy.utilization[1] 0.03 stale
    a[1] 1 stale
    new[1] 2
    ");
}

#[tokio::test]
async fn memory_is_bounded_over_ten_thousand_ticks() {
    let store = Arc::new(TimeSeriesStore::in_memory());
    let mut collector = collector(Vec::new(), &store);
    collector.set_requirements(MetricRequirements::union(&[need("haproxy.sessions", Duration::from_hours(6))]), NOW);
    let (mut sizes, mut loads) = (Vec::new(), Loads::default());
    for tick in 0..10_000_u32 {
        let now = NOW.plus(INTERVAL * tick);
        collector.collect(now, Some(&loads.at(now, 20 * u64::from(tick), tick % 50))).await;
        if tick % 2500 == 2499 {
            sizes.push((store.status().bytes, collector.series(now)[1].samples.len()));
        }
    }

    assert!(sizes[3].0 <= sizes[2].0 && sizes[3].0 < 3_000_000, "{sizes:?}");
    assert_eq!(sizes.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [1440; 4]);
}
