//! The loop over a simulated world, in virtual time.

mod ladder;
mod memory;
mod reloads;
mod ticks;
mod turns;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use super::guests::{GuestText, Planted};
use super::world::{SimulatedController, World};
use crate::controller::Bounds;
use crate::controller::service::{
    Components, Configuration, Hooks, Loader, Parts, PolicyWish, Remote, Reread, Service, Turns, Wish,
};
use crate::history::History;
use crate::inventory::sqlite::SqliteInventory;
use crate::metrics::{Collector, Options};
use crate::model::{Fallback, GuardRules, Limits, Mode, Phase, TickRecord};
use crate::plugin::{self, PluginHost, PluginSettings, Reference};
use crate::simulation::balancer::SimulatedBalancer;
use crate::simulation::cloud::SimulatedCloud;
use crate::telemetry::Telemetry;

pub(super) const INTERVAL: Duration = Duration::from_secs(15);

/// A wish without policies, and with rules that hold nothing.
pub(super) fn within(min: u32, max: u32) -> Wish {
    let limits = Limits { min, max, max_hourly_cost: None, max_create: 10, max_delete: 10 };
    Wish { policies: vec![], bounds: Bounds { limits, rules: GuardRules::wide_open() }, interval: INTERVAL }
}

pub(super) fn with_policy(wish: Wish, plugin: Reference, config: &str) -> Wish {
    let policy = PolicyWish { name: "web".to_owned(), plugin, config: config.to_owned(), mode: Mode::Active };
    Wish { policies: vec![policy], ..wish }
}

pub(super) fn falling_back_on(wish: Wish, size: u32, after: Duration) -> Wish {
    let rules = GuardRules { fallback: Some(Fallback { size, after }), ..wish.bounds.rules };
    Wish { bounds: Bounds { rules, ..wish.bounds }, ..wish }
}

/// A policy that wants a fleet of `size`, traps in the ticks `traps`, and wants to be asked again after `next_check_ms`.
pub(super) fn wanting(size: u8, traps: std::ops::Range<u64>, next_check_ms: u16) -> Planted {
    // The decision begins at 264: its outcome's kind, and the count of `scale-to`; `next-check-ms` is at 368.
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
    // A module's data comes after its memory.
    GuestText::deciding(&decide).with(&data).plant()
}

/// A service that runs beside a test.
pub(super) struct Running {
    pub(super) telemetry: Telemetry,
    records: Arc<Mutex<Vec<TickRecord>>>,
    ticks: Arc<Mutex<usize>>,
    pub(super) wish: Configured,
    /// The sources of series in the configuration.
    pub(super) sources: Arc<Mutex<Options>>,
    /// Those that were in effect at each reload.
    in_effect: Arc<Mutex<Vec<Options>>>,
    remote: SimulatedRemote,
}

type Configured = Arc<Mutex<Result<Wish, String>>>;
type SimulatedRemote = Remote<SimulatedCloud, SimulatedBalancer, SqliteInventory>;

/// What happens around a service that a test does not ask for itself.
pub(super) struct Surroundings {
    /// The file of the configuration.
    pub(super) file: PathBuf,
    pub(super) turns: Turns,
    /// Right after the configuration was read.
    pub(super) after_read: Box<dyn FnMut(&Configured) + Send>,
    /// Within each tick.
    pub(super) in_tick: Box<dyn FnMut(&SimulatedRemote) + Send>,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            file: "/there/is/no/such/file".into(),
            turns: Turns::alone(),
            after_read: Box::new(|_| ()),
            in_tick: Box::new(|_| ()),
        }
    }
}

impl Running {
    pub(super) fn records(&self) -> Vec<TickRecord> {
        self.records.lock().unwrap().clone()
    }

    pub(super) fn ticks(&self) -> usize {
        *self.ticks.lock().unwrap()
    }

    pub(super) fn last(&self) -> TickRecord {
        self.records.lock().unwrap().last().cloned().expect("a tick")
    }

    /// Waits for the tick of that number, seldom looking.
    pub(super) async fn until_tick(&self, count: usize) {
        while self.ticks() < count {
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Waits for so many more ticks.
    pub(super) async fn ticks_pass(&self, count: usize) {
        let wanted = self.ticks() + count;
        until(async || self.ticks() >= wanted).await;
    }

    /// How long a tick waits for sources, at each reload: it tells apart what was in effect then.
    pub(super) fn patience_in_effect(&self) -> Vec<Duration> {
        self.in_effect.lock().unwrap().iter().map(|options| options.patience).collect()
    }

    /// Waits until the last reload was taken (`true`) or refused.
    pub(super) async fn until_reloaded(&self, taken: bool) {
        until(async || self.telemetry.status().reload.is_some_and(|reload| reload.refused.is_none() == taken)).await;
    }

    /// Another configuration, and the signal to read it.
    pub(super) fn reload(&self, wish: Result<Wish, String>) {
        *self.wish.lock().unwrap() = wish;
        self.remote.reload();
    }
}

/// Waits, in virtual time, until something is so.
pub(super) async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_hours(6), async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    waited.await.expect("waited in vain");
}

pub(super) async fn serving(world: &World) -> usize {
    world.droplets().await.iter().filter(|droplet| droplet.phase == Phase::Serving).count()
}

/// Runs a service over a world, and `test` beside it. The service has to end when it is stopped.
pub(super) async fn beside(world: &World, wish: Wish, loader: Loader, test: impl AsyncFnOnce(&Running)) -> Running {
    beside_in(Surroundings::default(), world, wish, loader, test).await
}

/// As [`beside`], where more happens than the test asks for.
pub(super) async fn beside_in(
    surroundings: Surroundings,
    world: &World,
    wish: Wish,
    loader: Loader,
    test: impl AsyncFnOnce(&Running),
) -> Running {
    let Surroundings { file, turns, mut after_read, mut in_tick } = surroundings;
    let records: Arc<Mutex<Vec<TickRecord>>> = Arc::default();
    let telemetry = Telemetry::default();
    let configured = Arc::new(Mutex::new(Ok(wish.clone())));
    let ticks: Arc<Mutex<usize>> = Arc::default();
    let (kept, counted, read) = (Arc::clone(&records), Arc::clone(&ticks), Arc::clone(&configured));
    let history = Arc::new(History::in_memory());
    let sources = Arc::new(Mutex::new(Options::new(INTERVAL)));
    let in_effect: Arc<Mutex<Vec<Options>>> = Arc::default();
    let collector = Collector::new(Options::new(INTERVAL), Arc::clone(&history), None);
    let (wanted, told) = (Arc::clone(&sources), Arc::clone(&in_effect));
    let read = move |now: &Options| {
        told.lock().unwrap().push(now.clone());
        let wanted = wanted.lock().unwrap().clone();
        let differs = format!("{now:?}") != format!("{wanted:?}");
        let collector = differs.then(|| Collector::new(wanted, Arc::clone(&history), None));
        let wish = read.lock().unwrap().clone();
        after_read(&read);
        wish.map(|wish| Reread { wish, collector, needs_restart: vec![] })
    };
    let remote: Arc<OnceLock<SimulatedRemote>> = Arc::default();
    let remote_in_tick = Arc::clone(&remote);
    let parts = Parts {
        controller: Arc::new(world.controller()),
        loader,
        collector,
        wish,
        configuration: Some(Configuration { file, read: Box::new(read) }),
        turns,
        telemetry: telemetry.clone(),
        hooks: Hooks {
            on_tick: Box::new(move |record| {
                *counted.lock().unwrap() += 1;
                remote_in_tick.get().into_iter().for_each(&mut in_tick);
                let mut kept = kept.lock().unwrap();
                // More than that no test looks back.
                if kept.len() < 200 {
                    kept.push(record.clone());
                }
            }),
            ..Hooks::default()
        },
    };
    let service: Service<_, _, _> = started(parts).await;
    let _ = remote.set(service.remote());
    let remote = service.remote();
    let running = Running { telemetry, records, ticks, wish: configured, sources, in_effect, remote };
    let tested = async {
        test(&running).await;
        running.remote.stop();
    };
    let (ended, ()) = tokio::join!(service.run(), tested);
    ended.unwrap();
    running
}

type SimulatedParts = Parts<SimulatedCloud, SimulatedBalancer, SqliteInventory>;

async fn started(parts: SimulatedParts) -> Service<SimulatedCloud, SimulatedBalancer, SqliteInventory> {
    Service::start(parts).await.unwrap()
}

/// One engine for all tests: it costs memory.
pub(super) fn host() -> PluginHost {
    static HOST: std::sync::OnceLock<PluginHost> = std::sync::OnceLock::new();
    // What a busy machine does to a test is not what is tested.
    let limits = plugin::Limits { deadline: Duration::from_mins(10), ..plugin::Limits::default() };
    HOST.get_or_init(|| PluginHost::new(PluginSettings { limits, ..PluginSettings::default() }).unwrap()).clone()
}

pub(super) fn loader() -> Loader {
    Loader::new(host())
}

pub(super) fn remembering(components: Components) -> Loader {
    loader().with_components(components)
}

/// What a test asks of the fleet by hand meanwhile.
pub(super) fn by_hand(world: &World) -> SimulatedController {
    world.controller()
}
