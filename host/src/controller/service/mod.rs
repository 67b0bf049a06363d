//! The loop: a fleet kept at the size that its policies want, for months, by two loops that never wait for each other.
//!
//! The `ticker` looks, asks the policies and writes down what is to be done: each interval, earlier where a policy asks for
//! it, and when something was loaded anew. The `mover` carries on what is written down: at once when it is woken, each
//! second while something is under way, and now and then to see what vanished. A third task, `market`, keeps prices and the
//! account's room at hand, so that a tick asks the API nothing. `policies` loads policies and replaces them, `watch` sees
//! files change, `turns` shares the right to change the fleet with commands by hand, `waiting` says when one takes long,
//! `trouble` says what begins and ends, `tell` writes log lines and counts.
//!
//! A panic in any of them is a fault of ours: it ends the service, and whoever supervises it starts it anew. Everything
//! that matters is in the journal.

mod autoscaler;
mod catalog_refresher;
mod conditions;
mod file_watcher;
mod fleet_lock;
mod lock_wait;
mod policy_loader;
mod reconciler;
mod reporter;

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub use fleet_lock::{FleetLock, FleetLockGuard};
pub use policy_loader::{ComponentLookup, PolicyLoader, PolicySpec};
pub use reporter::event_sink;

use autoscaler::Autoscaler;
use catalog_refresher::CatalogRefresher;
use lock_wait::{LockWait, WaitTransition};
use reconciler::Reconciler;

use super::{Controller, ControllerError, ScalingRules};
use crate::balancer::LoadBalancer;
use crate::cloud::CloudProvider;
use crate::inventory::Inventory;
use crate::inventory::sqlite::InventoryError;
use crate::metrics::{self, Collector};
use crate::model::TickRecord;
use crate::telemetry::Telemetry;
use crate::telemetry::status::LockWaitStatus;

/// How long what is under way may go on after the service was asked to stop. What is cut off then is resumed later.
const SHUTDOWN_GRACE_PERIOD: Duration = Duration::from_secs(3);

/// What is wanted of the loop, and can be changed while it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceSpec {
    /// The policies.
    pub policies: Vec<PolicySpec>,
    /// What the operator allows.
    pub scaling: ScalingRules,
    /// The time between two ticks.
    pub interval: Duration,
}

/// A configuration that was read again.
#[derive(Debug)]
pub struct ReloadedConfig {
    /// What is wanted now.
    pub spec: ServiceSpec,
    /// The sources of series, where they are others than those in effect.
    pub collector: Option<Collector>,
    /// Keys that differ and take effect only when the service is restarted.
    pub needs_restart: Vec<String>,
}

/// Reads a configuration, told which sources of series are in effect; the error says what is wrong with it.
pub type ConfigReader = Box<dyn FnMut(&metrics::Options) -> Result<ReloadedConfig, String> + Send>;

/// Where the wish comes from, so that it can be read again.
pub struct ConfigSource {
    /// The file that is watched.
    pub file: PathBuf,
    /// Reads it again.
    pub read: ConfigReader,
}

impl fmt::Debug for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configuration").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Who is told of what the loop does.
pub struct Hooks {
    /// Each tick, once it is written down.
    pub on_tick: Box<dyn FnMut(&TickRecord) + Send>,
    /// Something is about to be loaded anew (`true`), or was (`false`).
    pub on_reload: Box<dyn FnMut(bool) + Send>,
}

impl Default for Hooks {
    fn default() -> Self {
        Self { on_tick: Box::new(|_| {}), on_reload: Box::new(|_| {}) }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooks")
    }
}

/// What a service is made of.
pub struct ServiceBuilder<C, B, I> {
    /// The controller.
    pub controller: Arc<Controller<C, B, I>>,
    /// What loads policies.
    pub loader: PolicyLoader,
    /// Where series come from.
    pub collector: Collector,
    /// What is wanted.
    pub spec: ServiceSpec,
    /// Where that can be read again.
    pub config_source: Option<ConfigSource>,
    /// The right to change the fleet.
    pub fleet_lock: FleetLock,
    /// Where the loop is counted.
    pub telemetry: Telemetry,
    /// Who is told.
    pub hooks: Hooks,
}

impl<C, B, I> fmt::Debug for ServiceBuilder<C, B, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("wish", &self.spec).finish_non_exhaustive()
    }
}

/// Why a service ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The inventory cannot be read, so there is nothing to begin with.
    #[error(transparent)]
    Start(#[from] ControllerError),
    /// A fault in doproxy. Fatal: whoever supervises the service starts it anew.
    #[error(
        "a fault in doproxy ended the loop: {0}; what was under way is in the journal, and the next start carries it on"
    )]
    Panicked(String),
}

/// What the loops share.
struct Shared<C, B, I> {
    controller: Arc<Controller<C, B, I>>,
    fleet_lock: FleetLock,
    /// Whom the loops wait for.
    lock_wait: Mutex<LockWait>,
    telemetry: Telemetry,
    /// Something was written down: the mover has work.
    wake: Notify,
    /// Somebody wants everything loaded anew.
    reload: Notify,
    stop: CancellationToken,
    /// Why nothing can be done at the API, as the mover met it last.
    api_failure: Mutex<Option<String>>,
    interval_ms: AtomicU64,
}

impl<C, B, I> Shared<C, B, I> {
    fn api_failure(&self) -> Option<String> {
        self.api_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_api_failure(&self, why: Option<String>) {
        self.telemetry.update_status(|status| status.api_error.clone_from(&why));
        *self.api_failure.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms.load(Ordering::Relaxed))
    }

    fn set_interval(&self, interval: Duration) {
        self.interval_ms.store(u64::try_from(interval.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl<C: CloudProvider, B: LoadBalancer, I: Inventory> Shared<C, B, I> {
    /// A turn now; an error where another process has it, which is shown until a turn is taken.
    async fn acquire(&self) -> Result<FleetLockGuard, InventoryError> {
        let turn = self.fleet_lock.try_acquire().await;
        let mut waiting = self.lock_wait.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(InventoryError::Locked { holder, .. }) = &turn {
            match waiting.blocked_by(holder) {
                WaitTransition::Started => {
                    let wait = LockWaitStatus { holder: holder.clone(), since: self.controller.now() };
                    self.telemetry.update_status(|status| status.waiting_for = Some(wait));
                }
                WaitTransition::BecameLong(waited) => tracing::warn!(
                    "{holder} has been changing the fleet for {} s: nothing is begun or carried on until it is done",
                    waited.as_secs()
                ),
                WaitTransition::Unchanged => {}
            }
        } else if let Some((holder, told)) = waiting.acquired() {
            self.telemetry.update_status(|status| status.waiting_for = None);
            if told {
                tracing::info!("{holder} is done; going on");
            }
        }
        turn
    }
}

/// Stops a service, or makes it load everything anew.
#[derive(Debug)]
pub struct ServiceHandle<C, B, I>(Arc<Shared<C, B, I>>);

impl<C, B, I> fmt::Debug for Shared<C, B, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("turns", &self.fleet_lock).finish_non_exhaustive()
    }
}

impl<C, B, I> ServiceHandle<C, B, I> {
    /// The service ends within seconds. What is under way stays in the journal.
    pub fn stop(&self) {
        self.0.stop.cancel();
    }

    /// Configuration and components are loaded anew, and there is a tick.
    pub fn reload(&self) {
        self.0.reload.notify_one();
    }
}

/// A service that is about to run.
#[derive(Debug)]
pub struct Service<C, B, I> {
    shared: Arc<Shared<C, B, I>>,
    autoscaler: Autoscaler<C, B, I>,
}

impl<C: CloudProvider, B: LoadBalancer, I: Inventory> Service<C, B, I> {
    /// Loads the policies and what they remember. One that cannot be loaded does not keep the service from starting.
    pub async fn start(parts: ServiceBuilder<C, B, I>) -> Result<Self, ServiceError> {
        let ServiceBuilder {
            controller,
            loader,
            collector,
            spec: wish,
            config_source: configuration,
            fleet_lock: turns,
            telemetry,
            hooks,
        } = parts;
        controller.enable_cache();
        let shared = Arc::new(Shared {
            controller,
            fleet_lock: turns,
            lock_wait: Mutex::default(),
            telemetry,
            wake: Notify::new(),
            reload: Notify::new(),
            stop: CancellationToken::new(),
            api_failure: Mutex::default(),
            interval_ms: AtomicU64::default(),
        });
        shared.set_interval(wish.interval);
        let ticker = Autoscaler::start(Arc::clone(&shared), loader, collector, wish, configuration, hooks).await?;
        Ok(Self { shared, autoscaler: ticker })
    }

    /// What stops it.
    pub fn handle(&self) -> ServiceHandle<C, B, I> {
        ServiceHandle(Arc::clone(&self.shared))
    }

    /// Runs until it is stopped, or until a fault of ours ends it. The loops take turns on one task, each at every wait of
    /// another; what computes for long does so elsewhere.
    pub async fn run(self) -> Result<(), ServiceError> {
        let Self { shared, autoscaler: ticker } = self;
        let (mover, keeper) = (Reconciler::new(Arc::clone(&shared)), CatalogRefresher::new(Arc::clone(&shared)));
        let loops = async { tokio::join!(ticker.run(), mover.run(), keeper.run()) };
        let overdue = async {
            shared.stop.cancelled().await;
            sleep(SHUTDOWN_GRACE_PERIOD).await;
        };
        let ended = async {
            tokio::select! {
                _ = loops => {}
                () = overdue => tracing::info!("cut off what was under way; it is in the journal"),
            }
        };
        let mut ended = pin!(ended);
        poll_fn(|context| {
            let polled = catch_unwind(AssertUnwindSafe(|| ended.as_mut().poll(context)));
            polled.map_or_else(|panic| Poll::Ready(Err(panic_error(panic))), |polled| polled.map(Ok))
        })
        .await
    }
}

fn panic_error(panic: Box<dyn std::any::Any + Send>) -> ServiceError {
    // A simulated stop is no panic: it ends this process, as far as the simulation goes.
    if panic.is::<crate::failpoint::Aborted>() {
        std::panic::resume_unwind(panic);
    }
    let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
    let words = words.or_else(|| panic.downcast_ref::<String>().cloned());
    ServiceError::Panicked(words.unwrap_or_else(|| "a panic without words".to_owned()))
}
