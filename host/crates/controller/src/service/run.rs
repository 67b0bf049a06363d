//! The service: keeps a fleet at the size that its policies decide, with two loops that never wait for each other.
//!
//! The `autoscaler` observes, evaluates the policies and journals operations: each interval, earlier if a policy
//! requests it, and after a reload. The `reconciler` executes journaled operations: immediately after a decision, every
//! second while operations are in progress, and periodically to detect missing droplets. A third task,
//! `catalog_refresher`, caches prices and the account's quota, so that a tick makes no API calls. `policy_loader` loads
//! and replaces policies, `file_watcher` detects changed files, `fleet_lock` shares the right to modify the fleet with
//! manual commands and reports long waits, `conditions` tracks ongoing problems, and `reporter` writes log lines and
//! metrics.
//!
//! A panic in any of them is a bug in doproxy: it ends the service, and the supervisor restarts it. All important state
//! is in the journal.

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use doproxy_core::domain::TickRecord;
use doproxy_core::pipeline::ScalingRules;
use doproxy_core::seams::{Inventory, InventoryError, InventoryErrorKind, Platform};
use doproxy_metrics as metrics;
use doproxy_metrics::Collector;
use doproxy_support::sync::lock;
use doproxy_telemetry::{LockWaitStatus, Telemetry};
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::controller::Controller;
use crate::error::ControllerError;
use crate::service::autoscaler::Autoscaler;
use crate::service::catalog_refresher::CatalogRefresher;
use crate::service::fleet_lock::{FleetLock, FleetLockGuard};
use crate::service::lock_wait::{LockWait, WaitTransition};
use crate::service::policy_loader::{PolicyLoader, PolicySpec};
use crate::service::reconciler::Reconciler;

/// Time that running work gets after a stop request. Interrupted work is resumed later.
const SHUTDOWN_GRACE_PERIOD: Duration = Duration::from_secs(3);

/// The desired state of the service; it can change while the service runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceSpec {
    /// The policies.
    pub policies: Vec<PolicySpec>,
    /// The scaling limits and guard rules.
    pub scaling: ScalingRules,
    /// The time between two ticks.
    pub interval: Duration,
}

/// A reloaded configuration.
#[derive(Debug)]
pub struct ReloadedConfig {
    /// The new specification.
    pub spec: ServiceSpec,
    /// The metric sources, if they differ from those in effect.
    pub collector: Option<Collector>,
    /// Changed keys that take effect only after a restart.
    pub needs_restart: Vec<String>,
}

/// Reads the configuration. The argument is the metric options in effect; the error describes the problem.
pub type ConfigReader = Box<dyn FnMut(&metrics::Options) -> Result<ReloadedConfig, String> + Send>;

/// The source from which the specification is reloaded.
pub struct ConfigSource {
    /// The watched file.
    pub file: PathBuf,
    /// Reads the file.
    pub read: ConfigReader,
}

impl fmt::Debug for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigSource").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Callbacks for the activity of the service.
pub struct Hooks {
    /// Called with each tick after it is committed.
    pub on_tick: Box<dyn FnMut(&TickRecord) + Send>,
    /// Called before a reload (`true`) and after it (`false`).
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

/// The components of a service.
pub struct ServiceBuilder<P: Platform> {
    /// The controller.
    pub controller: Arc<Controller<P>>,
    /// The policy loader.
    pub loader: PolicyLoader,
    /// The metric collector.
    pub collector: Collector,
    /// The initial specification.
    pub spec: ServiceSpec,
    /// The source from which the specification is reloaded.
    pub config_source: Option<ConfigSource>,
    /// The telemetry of the service.
    pub telemetry: Telemetry,
    /// Callbacks.
    pub hooks: Hooks,
}

impl<P: Platform> fmt::Debug for ServiceBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceBuilder").field("spec", &self.spec).finish_non_exhaustive()
    }
}

/// The error that ended a service.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The inventory cannot be read, so the service cannot start.
    #[error(transparent)]
    Start(#[from] ControllerError),
    /// A bug in doproxy. Fatal: the supervisor restarts the service.
    #[error(
        "bug in doproxy: the service panicked: {0}; operations in progress are in the journal, and the next start resumes them"
    )]
    Panicked(String),
}

/// State shared by the loops.
pub(crate) struct Shared<P: Platform> {
    pub(crate) controller: Arc<Controller<P>>,
    fleet_lock: FleetLock<P::Inventory>,
    /// The process for which the loops wait.
    lock_wait: Mutex<LockWait>,
    pub(crate) telemetry: Telemetry,
    /// Operations were journaled, so the reconciler has work.
    pub(crate) wake: Notify,
    /// A reload was requested.
    pub(crate) reload: Notify,
    pub(crate) stop: CancellationToken,
    /// The most recent API failure that the reconciler encountered.
    api_failure: Mutex<Option<String>>,
    interval_ms: AtomicU64,
}

impl<P: Platform> Shared<P> {
    pub(crate) fn api_failure(&self) -> Option<String> {
        lock(&self.api_failure).clone()
    }

    pub(crate) fn set_api_failure(&self, why: Option<String>) {
        self.telemetry.update_status(|status| status.api_error.clone_from(&why));
        *lock(&self.api_failure) = why;
    }

    pub(crate) fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn set_interval(&self, interval: Duration) {
        self.interval_ms.store(u64::try_from(interval.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl<P: Platform> Shared<P> {
    /// Acquires the fleet lock without waiting. If another process holds it, returns an error and shows that process in
    /// the status until the lock is acquired.
    pub(crate) async fn acquire(&self) -> Result<FleetLockGuard<P::Inventory>, InventoryError> {
        let turn = self.fleet_lock.try_acquire(self.controller.inventory()).await;
        let mut waiting = lock(&self.lock_wait);
        if let Err(InventoryError { kind: InventoryErrorKind::Locked { holder }, .. }) = &turn {
            match waiting.blocked_by(holder) {
                WaitTransition::Started => {
                    let wait = LockWaitStatus { holder: holder.clone(), since: self.controller.now() };
                    self.telemetry.update_status(|status| status.waiting_for = Some(wait));
                }
                WaitTransition::BecameLong(waited) => tracing::warn!(
                    "{holder} has held the fleet lock for {} s; no operations are started or executed until it finishes",
                    waited.as_secs()
                ),
                WaitTransition::Unchanged => {}
            }
        } else if let Some((holder, reported)) = waiting.acquired() {
            self.telemetry.update_status(|status| status.waiting_for = None);
            if reported {
                tracing::info!("{holder} released the fleet lock; resuming");
            }
        }
        turn
    }
}

/// Stops or reloads a service.
pub struct ServiceHandle<P: Platform>(Arc<Shared<P>>);

impl<P: Platform> fmt::Debug for Shared<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl<P: Platform> ServiceHandle<P> {
    /// Stops the service within seconds. Operations in progress stay in the journal.
    pub fn stop(&self) {
        self.0.stop.cancel();
    }

    /// Reloads configuration and components, followed by a tick.
    pub fn reload(&self) {
        self.0.reload.notify_one();
    }
}

/// A service that is ready to run.
pub struct Service<P: Platform> {
    shared: Arc<Shared<P>>,
    autoscaler: Autoscaler<P>,
}

impl<P: Platform> Service<P> {
    /// Loads the policies and their states. A policy that fails to load does not prevent the start.
    pub async fn start(parts: ServiceBuilder<P>) -> Result<Self, ServiceError> {
        let ServiceBuilder { controller, loader, collector, spec, config_source: configuration, telemetry, hooks } =
            parts;
        controller.enable_cache();
        let shared = Arc::new(Shared {
            controller,
            fleet_lock: FleetLock::default(),
            lock_wait: Mutex::default(),
            telemetry,
            wake: Notify::new(),
            reload: Notify::new(),
            stop: CancellationToken::new(),
            api_failure: Mutex::default(),
            interval_ms: AtomicU64::default(),
        });
        shared.set_interval(spec.interval);
        let autoscaler = Autoscaler::start(Arc::clone(&shared), loader, collector, spec, configuration, hooks).await?;
        Ok(Self { shared, autoscaler })
    }

    /// Returns a handle that stops or reloads the service.
    pub fn handle(&self) -> ServiceHandle<P> {
        ServiceHandle(Arc::clone(&self.shared))
    }

    /// Runs until the service is stopped or a bug ends it. The loops share one task and yield to each other at every
    /// await; long computations run elsewhere.
    pub async fn run(self) -> Result<(), ServiceError> {
        let Self { shared, autoscaler } = self;
        let (reconciler, catalog_refresher) =
            (Reconciler::new(Arc::clone(&shared)), CatalogRefresher::new(Arc::clone(&shared)));
        let loops = async { tokio::join!(autoscaler.run(), reconciler.run(), catalog_refresher.run()) };
        let overdue = async {
            shared.stop.cancelled().await;
            sleep(SHUTDOWN_GRACE_PERIOD).await;
        };
        let ended = async {
            tokio::select! {
                _ = loops => {}
                () = overdue => tracing::info!("stopped with operations in progress; they are in the journal"),
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
    // A simulated crash is not a bug: it ends this process as far as the simulation is concerned.
    if panic.is::<doproxy_support::Aborted>() {
        std::panic::resume_unwind(panic);
    }
    let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
    let words = words.or_else(|| panic.downcast_ref::<String>().cloned());
    ServiceError::Panicked(words.unwrap_or_else(|| "panic without a message".to_owned()))
}
