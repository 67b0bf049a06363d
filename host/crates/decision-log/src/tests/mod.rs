//! Records read back, replay and are explained, with real components and databases.

mod keeping;
mod replaying;
mod words;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use doproxy_controller::PolicySlot;
use doproxy_core::domain::{GuardFacts, GuardRules, Mode, RecordId, Sample, Series, TickRecord, Timestamp};
use doproxy_metrics::{SeriesKey, TimeSeriesStore};
use doproxy_plugin_host::{ConfiguredPolicy, Limits, PluginHost, PluginSettings};
use doproxy_test_support::decision_record;
use tempfile::TempDir;

use crate::components::Components;
use crate::reader::LogReader;
use crate::writer::{DEFAULT_RETENTION, LogWriter};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const INTERVAL: Duration = Duration::from_secs(15);

/// Ten series, as in a fleet with several sources.
const SERIES: [(&str, &str); 10] = [
    ("haproxy.sessions", "sessions"),
    ("haproxy.requests_per_second", "requests/s"),
    ("haproxy.queued", "requests"),
    ("haproxy.errors_per_second", "errors/s"),
    ("haproxy.utilization", "ratio"),
    ("haproxy.response_time_ms", "ms"),
    ("digitalocean.cpu", "percent"),
    ("digitalocean.memory", "percent"),
    ("queue.depth", "jobs"),
    ("orders", "orders/s"),
];

/// One compilation cache for all tests of a process, because compiling is slow.
fn host() -> PluginHost {
    static CACHE: std::sync::OnceLock<TempDir> = std::sync::OnceLock::new();
    let cache = CACHE.get_or_init(|| tempfile::tempdir().unwrap());
    let limits = Limits { call_timeout: Duration::from_secs(10), ..Limits::default() };
    let cache_dir = Some(cache.path().join("cache"));
    PluginHost::new(PluginSettings { limits, cache_dir, ..PluginSettings::default() }).unwrap()
}

/// A time-series store on disk with a writer.
struct LogHarness {
    dir: TempDir,
    store: Arc<TimeSeriesStore>,
    writer: LogWriter,
    host: PluginHost,
}

impl LogHarness {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(TimeSeriesStore::open(&dir.path().join("doproxy.history.db"), NOW));
        let recorder = LogWriter::new(store.clone(), DEFAULT_RETENTION);
        Self { dir, store, writer: recorder, host: host() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("doproxy.history.db")
    }

    /// Creates a slot with `builtin:target-tracking` on sessions, and stores its component.
    async fn slot(&self, mode: Mode, target: u32) -> PolicySlot {
        let reference = "builtin:target-tracking".parse().unwrap();
        let policy = self.host.policy(&reference).await.unwrap();
        self.writer.store_component(&self.host, &reference, policy.digest(), NOW).await.unwrap();
        let config = format!(r#"{{"metric":"haproxy.sessions","target_per_droplet":{target}}}"#);
        let name = format!("target-{target}");
        PolicySlot::new(ConfiguredPolicy { name, mode, policy, config }, Vec::new())
    }

    /// Appends a sample to each series, and returns the last five minutes as policies see them.
    fn measure(&self, now: Timestamp, sessions: f64) -> Vec<Series> {
        let measured = SERIES.iter().zip(0_u32..).map(|((name, unit), index)| {
            let key = SeriesKey { name: (*name).to_owned(), labels: vec![], unit: (*unit).to_owned() };
            let id = self.store.get_or_create(&key).unwrap();
            let value = if index == 0 { sessions } else { sessions * 1.37 / f64::from(index) };
            self.store.append(id, &[Sample { at: now, value }], now);
            let reference = self.store.window_ref(id, Duration::from_mins(5), now, INTERVAL, false).unwrap();
            reference.with_samples(self.store.window(&reference).unwrap())
        });
        measured.collect()
    }

    /// Evaluates and records one tick.
    async fn tick(&self, slots: &mut [PolicySlot], now: Timestamp, size: u32, sessions: f64) -> (RecordId, TickRecord) {
        let observation = decision_record::observation(now, size, self.measure(now, sessions));
        let mut evaluations = Vec::new();
        for slot in slots {
            let evaluation = slot.evaluate(&observation).await;
            slot.record_evaluation(&evaluation, now);
            evaluations.push(evaluation);
        }
        let record = decision_record::record(observation, evaluations, GuardRules::default(), GuardFacts::default());
        (self.writer.append(&record).unwrap(), record)
    }

    /// Records ticks with a load that rises and falls.
    async fn ticks(&self, many: u32) -> Vec<TickRecord> {
        let mut slots = [self.slot(Mode::Active, 10).await, self.slot(Mode::Shadow, 7).await];
        let mut records = Vec::new();
        let mut size = 2;
        for tick in 0..many {
            let sessions = 25.0 + 22.0 * (f64::from(tick) / 9.0).sin();
            let (_, record) = self.tick(&mut slots, NOW.plus(INTERVAL * tick), size, sessions).await;
            size = record.plan.to;
            records.push(record);
        }
        records
    }

    fn reader(&self) -> Arc<LogReader> {
        Arc::new(LogReader::new(self.store.clone()))
    }

    fn components(&self) -> Arc<Components> {
        Arc::new(Components::new(self.host.clone(), self.reader()))
    }

    /// Executes SQL that simulates corruption or manual changes.
    fn execute_sql(&self, sql: &str) {
        self.store.write(|transaction| transaction.execute_batch(sql)).unwrap();
    }
}

fn open(path: &Path) -> Arc<LogReader> {
    Arc::new(LogReader::open_read_only(path, NOW).unwrap())
}
