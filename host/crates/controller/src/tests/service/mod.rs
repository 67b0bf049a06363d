//! The service over a simulated cloud and load balancer, in virtual time.

mod fleet_lock;
mod ladder;
mod memory;
mod reloads;
mod ticks;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use doproxy_core::domain::{Fallback, GuardRules, Limits, Mode, Phase, TickRecord};
use doproxy_core::pipeline::ScalingRules;
use doproxy_metrics::{Collector, Options, TimeSeriesStore};
use doproxy_plugin_host as plugin;
use doproxy_plugin_host::{PluginHost, PluginSettings};
use doproxy_plugin_registry::Reference;
use doproxy_telemetry::Telemetry;
use doproxy_test_support::guests::{GuestFile, GuestText};

use crate::service::{
    ComponentLookup, ConfigSource, Hooks, PolicyLoader, PolicySpec, ReloadedConfig, Service, ServiceBuilder,
    ServiceHandle, ServiceSpec,
};
use crate::tests::harness::{Harness, Simulated, SimulatedController};

pub(super) const INTERVAL: Duration = Duration::from_secs(15);

/// Returns a specification without policies and with unrestricted rules.
pub(super) fn spec_with_limits(min: u32, max: u32) -> ServiceSpec {
    let limits = Limits { min, max, max_hourly_cost: None, max_create: 10, max_delete: 10 };
    ServiceSpec {
        policies: vec![],
        scaling: ScalingRules { limits, rules: GuardRules::unrestricted() },
        interval: INTERVAL,
    }
}

pub(super) fn with_policy(spec: ServiceSpec, plugin: Reference, config: &str) -> ServiceSpec {
    let policy = PolicySpec { name: "web".to_owned(), plugin, config: config.to_owned(), mode: Mode::Active };
    ServiceSpec { policies: vec![policy], ..spec }
}

pub(super) fn with_fallback(spec: ServiceSpec, size: u32, after: Duration) -> ServiceSpec {
    let rules = GuardRules { fallback: Some(Fallback { size, after }), ..spec.scaling.rules };
    ServiceSpec { scaling: ScalingRules { rules, ..spec.scaling }, ..spec }
}

/// Builds a policy that scales to `size`, traps in the ticks `traps`, and requests its next evaluation after
/// `next_check_ms`.
pub(super) fn policy_scaling_to(size: u8, traps: std::ops::Range<u64>, next_check_ms: u16) -> GuestFile {
    // The decision starts at 264 with its outcome's kind and the count of `scale-to`; `next-check-ms` is at 368.
    let check = next_check_ms.to_le_bytes();
    let check = if next_check_ms == 0 {
        String::new()
    } else {
        format!(r#"(data (i32.const 368) "\01") (data (i32.const 376) "\{:02x}\{:02x}")"#, check[0], check[1])
    };
    let data = format!(r#"(data (i32.const 264) "\01") (data (i32.const 268) "\{size:02x}") {check}"#);
    let decide = format!(
        "(if (i32.and (i64.ge_u (i64.load offset=16 (local.get 0)) (i64.const {})) \
                      (i64.lt_u (i64.load offset=16 (local.get 0)) (i64.const {}))) (then unreachable)) (i32.const 256)",
        traps.start, traps.end
    );
    // A module's data must follow its memory.
    GuestText::with_decide(&decide).extra(&data).write()
}

/// A service that runs concurrently with a test.
pub(super) struct RunningService {
    pub(super) telemetry: Telemetry,
    records: Arc<Mutex<Vec<TickRecord>>>,
    ticks: Arc<Mutex<usize>>,
    pub(super) spec: SharedSpec,
    /// The metric options in the configuration.
    pub(super) sources: Arc<Mutex<Options>>,
    /// The options in effect at each reload.
    in_effect: Arc<Mutex<Vec<Options>>>,
    handle: SimulatedHandle,
}

type SharedSpec = Arc<Mutex<Result<ServiceSpec, String>>>;
type SimulatedHandle = ServiceHandle<Simulated>;

/// The environment of a service, for tests that need more than the default.
pub(super) struct ServiceOptions {
    /// The configuration file.
    pub(super) file: PathBuf,
    /// Called after each read of the configuration.
    pub(super) on_config_read: Box<dyn FnMut(&SharedSpec) + Send>,
    /// Called within each tick.
    pub(super) on_tick: Box<dyn FnMut(&SimulatedHandle) + Send>,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self { file: "/there/is/no/such/file".into(), on_config_read: Box::new(|_| ()), on_tick: Box::new(|_| ()) }
    }
}

impl RunningService {
    pub(super) fn records(&self) -> Vec<TickRecord> {
        self.records.lock().unwrap().clone()
    }

    pub(super) fn ticks(&self) -> usize {
        *self.ticks.lock().unwrap()
    }

    pub(super) fn last(&self) -> TickRecord {
        self.records.lock().unwrap().last().cloned().expect("a tick")
    }

    /// Waits for the tick with that number, with infrequent checks.
    pub(super) async fn wait_for_tick(&self, count: usize) {
        while self.ticks() < count {
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Waits for `count` more ticks.
    pub(super) async fn wait_for_ticks(&self, count: usize) {
        let configured_sources = self.ticks() + count;
        wait_until(async || self.ticks() >= configured_sources).await;
    }

    /// Returns the time that a tick waited for sources at each reload, which identifies the options in effect.
    pub(super) fn effective_patience(&self) -> Vec<Duration> {
        self.in_effect.lock().unwrap().iter().map(|options| options.poll_wait).collect()
    }

    /// Waits until the last reload was applied (`true`) or rejected.
    pub(super) async fn wait_for_reload(&self, taken: bool) {
        wait_until(async || self.telemetry.status().reload.is_some_and(|reload| reload.refused.is_none() == taken))
            .await;
    }

    /// Changes the configuration and signals a reload.
    pub(super) fn reload(&self, spec: Result<ServiceSpec, String>) {
        *self.spec.lock().unwrap() = spec;
        self.handle.reload();
    }
}

/// Waits, in virtual time, until the condition holds.
pub(super) async fn wait_until(mut is_so: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_hours(6), async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    waited.await.expect("the condition never held");
}

pub(super) async fn serving_count(harness: &Harness) -> usize {
    harness.droplets().await.iter().filter(|droplet| droplet.phase == Phase::Serving).count()
}

/// Runs a service and `test` concurrently. The service must end when it is stopped.
pub(super) async fn run_with_service(
    harness: &Harness,
    spec: ServiceSpec,
    loader: PolicyLoader,
    test: impl AsyncFnOnce(&RunningService),
) -> RunningService {
    run_with_options(ServiceOptions::default(), harness, spec, loader, test).await
}

/// Like [`run_with_service`], with a custom environment.
pub(super) async fn run_with_options(
    surroundings: ServiceOptions,
    harness: &Harness,
    spec: ServiceSpec,
    loader: PolicyLoader,
    test: impl AsyncFnOnce(&RunningService),
) -> RunningService {
    let ServiceOptions { file, on_config_read: mut after_read, on_tick: mut in_tick } = surroundings;
    let records: Arc<Mutex<Vec<TickRecord>>> = Arc::default();
    let telemetry = Telemetry::default();
    let configured = Arc::new(Mutex::new(Ok(spec.clone())));
    let ticks: Arc<Mutex<usize>> = Arc::default();
    let (kept, counted, read) = (Arc::clone(&records), Arc::clone(&ticks), Arc::clone(&configured));
    let store = Arc::new(TimeSeriesStore::in_memory());
    let sources = Arc::new(Mutex::new(Options::new(INTERVAL)));
    let in_effect: Arc<Mutex<Vec<Options>>> = Arc::default();
    let collector = Collector::new(Options::new(INTERVAL), Arc::clone(&store), None);
    let (configured_sources, in_effect_log) = (Arc::clone(&sources), Arc::clone(&in_effect));
    let read = move |now: &Options| {
        in_effect_log.lock().unwrap().push(now.clone());
        let configured_sources = configured_sources.lock().unwrap().clone();
        let differs = format!("{now:?}") != format!("{configured_sources:?}");
        let collector = differs.then(|| Collector::new(configured_sources, Arc::clone(&store), None));
        let spec = read.lock().unwrap().clone();
        after_read(&read);
        spec.map(|spec| ReloadedConfig { spec, collector, needs_restart: vec![] })
    };
    let remote: Arc<OnceLock<SimulatedHandle>> = Arc::default();
    let remote_in_tick = Arc::clone(&remote);
    let parts = ServiceBuilder {
        controller: Arc::new(harness.controller()),
        loader,
        collector,
        spec,
        config_source: Some(ConfigSource { file, read: Box::new(read) }),
        telemetry: telemetry.clone(),
        hooks: Hooks {
            on_tick: Box::new(move |record| {
                *counted.lock().unwrap() += 1;
                remote_in_tick.get().into_iter().for_each(&mut in_tick);
                let mut kept = kept.lock().unwrap();
                // No test inspects more records than that.
                if kept.len() < 200 {
                    kept.push(record.clone());
                }
            }),
            ..Hooks::default()
        },
    };
    let service: Service<_> = start_service(parts).await;
    let _ = remote.set(service.handle());
    let remote = service.handle();
    let running = RunningService { telemetry, records, ticks, spec: configured, sources, in_effect, handle: remote };
    let tested = async {
        test(&running).await;
        running.handle.stop();
    };
    let (ended, ()) = tokio::join!(service.run(), tested);
    ended.unwrap();
    running
}

async fn start_service(parts: ServiceBuilder<Simulated>) -> Service<Simulated> {
    Service::start(parts).await.unwrap()
}

/// One engine for all tests, because engines use much memory.
pub(super) fn host() -> PluginHost {
    static HOST: std::sync::OnceLock<PluginHost> = std::sync::OnceLock::new();
    // Load on the machine must not affect the tests.
    let limits = plugin::Limits { call_timeout: Duration::from_mins(10), ..plugin::Limits::default() };
    HOST.get_or_init(|| PluginHost::new(PluginSettings { limits, ..PluginSettings::default() }).unwrap()).clone()
}

pub(super) fn loader() -> PolicyLoader {
    PolicyLoader::new(host())
}

pub(super) fn loader_with_components(components: ComponentLookup) -> PolicyLoader {
    loader().with_components(components)
}

/// Returns a controller for manual commands of a test.
pub(super) fn manual_controller(harness: &Harness) -> SimulatedController {
    harness.controller()
}
