//! The cost of a decision record: appending one per tick, and replaying it.

use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use doproxy_controller::PolicySlot;
use doproxy_core::domain::{
    DropletId, DropletName, GuardFacts, GuardRules, HourlyPrice, Limits, Load, Mode, Observation, ObservedDroplet,
    ObservedTemplate, Phase, RecordId, Sample, Series, TickOutcome, TickRecord, Timestamp, Trigger,
};
use doproxy_core::pipeline::evaluate;
use doproxy_decision_log::{Components, DEFAULT_RETENTION, LogReader, LogWriter, replay_all};
use doproxy_metrics::{SeriesKey, TimeSeriesStore};
use doproxy_plugin_host::{ConfiguredPolicy, PluginHost, PluginSettings};
use doproxy_plugin_registry::Reference;
use tokio::runtime::{Builder, Runtime};

const BEGIN: Timestamp = Timestamp(1_800_000_000_000);
const INTERVAL: Duration = Duration::from_secs(15);

fn main() {
    divan::main();
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

/// A fleet monitored by ten series, and its policy.
struct Fleet {
    size: u64,
    store: Arc<TimeSeriesStore>,
    slot: PolicySlot,
}

impl Fleet {
    fn new(runtime: &Runtime, host: &PluginHost, size: u64) -> Self {
        let reference: Reference = "builtin:target-tracking".parse().expect("a reference");
        let policy = runtime.block_on(host.policy(&reference)).expect("the policy");
        let config = r#"{"metric": "series.0", "target_per_droplet": 10}"#.to_owned();
        let policy = ConfiguredPolicy { name: "web".to_owned(), mode: Mode::Active, policy, config };
        Self { size, store: Arc::new(TimeSeriesStore::in_memory()), slot: PolicySlot::new(policy, Vec::new()) }
    }

    fn tick(&mut self, runtime: &Runtime, tick: u32) -> TickRecord {
        let now = BEGIN.plus(INTERVAL * tick);
        let load = f64::from(tick % 97);
        let observation = self.observation(now, load);
        let evaluation = runtime.block_on(self.slot.evaluate(&observation));
        self.slot.record_evaluation(&evaluation, now);
        let evaluations = vec![evaluation];
        let (rules, facts) = (GuardRules::default(), GuardFacts::default());
        let plan = evaluate(&observation, [evaluations[0].active_decision()], &rules, &facts).plan;
        TickRecord {
            at: now,
            trigger: Trigger::Interval,
            observation,
            evaluations,
            selected: Some(0),
            rules,
            facts,
            plan,
            outcome: TickOutcome::default(),
        }
    }

    fn observation(&self, now: Timestamp, load: f64) -> Observation {
        Observation {
            now,
            tick: 0,
            fleet_name: "www".to_owned(),
            templates: vec![ObservedTemplate {
                size: "s-1vcpu-1gb".to_owned(),
                region: "nyc3".to_owned(),
                image: "ubuntu-24-04-x64".to_owned(),
                tags: vec![],
                hourly_price: HourlyPrice::from_micro_dollars(8_930),
            }],
            fleet: (0..self.size).map(|number| droplet(number, load)).collect(),
            metrics: (0..10_u32).map(|index| self.series(now, index, load)).collect(),
            limits: Limits { min: 1, max: 2000, max_hourly_cost: None, max_create: 10, max_delete: 10 },
            boot_time_ms: None,
            last_scale_out: None,
            last_scale_in: None,
            facts: vec![],
        }
    }

    fn series(&self, now: Timestamp, index: u32, load: f64) -> Series {
        let key = SeriesKey { name: format!("series.{index}"), labels: vec![], unit: "1".to_owned() };
        let id = self.store.get_or_create(&key).expect("room for a series");
        self.store.append(id, &[Sample { at: now, value: load * 1.37 + f64::from(index) }], now);
        let reference = self.store.window_ref(id, Duration::from_mins(5), now, INTERVAL, false).expect("a sample");
        reference.with_samples(self.store.window(&reference).expect("its samples"))
    }
}

fn droplet(number: u64, load: f64) -> ObservedDroplet {
    ObservedDroplet {
        id: Some(DropletId(number)),
        name: DropletName::parse(format!("web-{number}")).expect("a name"),
        phase: Phase::Serving,
        phase_since: BEGIN,
        created_at: BEGIN,
        template: 0,
        paid_until: None,
        healthy: true,
        protected: false,
        load: Some(Load {
            sessions: 7,
            requests_per_second: load * 1.1,
            response_time_ms: Some(load),
            ..Load::default()
        }),
    }
}

/// Appends one tick to SQLite in memory, which measures the record format instead of the disk.
#[divan::bench(args = [10, 500])]
fn append(bencher: Bencher<'_, '_>, fleet: u64) {
    let runtime = runtime();
    let host = PluginHost::new(PluginSettings::default()).expect("an engine");
    let mut fleet = Fleet::new(&runtime, &host, fleet);
    let recorder = LogWriter::new(fleet.store.clone(), DEFAULT_RETENTION);
    let mut tick = 0;

    bencher
        .with_inputs(|| {
            tick += 1;
            fleet.tick(&runtime, tick)
        })
        .bench_local_refs(|record| recorder.append(record).expect("a successful write"));
}

/// Replays 10,000 ticks of a fleet of ten on all cores.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn replay_ten_thousand(bencher: Bencher<'_, '_>) {
    let runtime = runtime();
    let host = PluginHost::new(PluginSettings::default()).expect("an engine");
    let mut fleet = Fleet::new(&runtime, &host, 10);
    let recorder = LogWriter::new(fleet.store.clone(), DEFAULT_RETENTION);
    let ids: Vec<RecordId> =
        (0..10_000).map(|tick| recorder.append(&fleet.tick(&runtime, tick)).expect("a successful write")).collect();
    let archive = Arc::new(LogReader::new(fleet.store.clone()));
    let components = Arc::new(Components::new(host, archive.clone()));

    bencher.bench_local(|| {
        let summary = runtime.block_on(replay_all(&archive, &components, &ids, |_| ())).expect("a summary");
        assert!(summary.differing.is_empty());
    });
}
