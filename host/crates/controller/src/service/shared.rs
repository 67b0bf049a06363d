//! The state that the loops of a service share.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doproxy_core::seams::{InventoryError, InventoryErrorKind, Platform};
use doproxy_support::sync::lock;
use doproxy_telemetry::{LockWaitStatus, Telemetry};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::controller::Controller;
use crate::service::fleet_lock::{FleetLock, FleetLockGuard};
use crate::service::lock_wait::{LockWait, WaitTransition};

/// State shared by the loops.
pub(super) struct Shared<P: Platform> {
    pub(super) controller: Arc<Controller<P>>,
    fleet_lock: FleetLock<P::Inventory>,
    /// The process for which the loops wait.
    lock_wait: Mutex<LockWait>,
    pub(super) telemetry: Telemetry,
    /// Operations were journaled, so the reconciler has work.
    pub(super) wake: Notify,
    /// A reload was requested.
    pub(super) reload: Notify,
    pub(super) stop: CancellationToken,
    /// The most recent API failure that the reconciler encountered.
    api_failure: Mutex<Option<String>>,
    interval_ms: AtomicU64,
}

impl<P: Platform> Shared<P> {
    /// Creates the state of a service that has not started its loops.
    pub(super) fn new(controller: Arc<Controller<P>>, telemetry: Telemetry, interval: Duration) -> Self {
        let shared = Self {
            controller,
            fleet_lock: FleetLock::default(),
            lock_wait: Mutex::default(),
            telemetry,
            wake: Notify::new(),
            reload: Notify::new(),
            stop: CancellationToken::new(),
            api_failure: Mutex::default(),
            interval_ms: AtomicU64::default(),
        };
        shared.set_interval(interval);
        shared
    }

    pub(super) fn api_failure(&self) -> Option<String> {
        lock(&self.api_failure).clone()
    }

    pub(super) fn set_api_failure(&self, why: Option<String>) {
        self.telemetry.update_status(|status| status.api_error.clone_from(&why));
        *lock(&self.api_failure) = why;
    }

    pub(super) fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms.load(Ordering::Relaxed))
    }

    pub(super) fn set_interval(&self, interval: Duration) {
        self.interval_ms.store(u64::try_from(interval.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Acquires the fleet lock without wait. If another process holds it, returns an error and shows that process in
    /// the status until the lock is acquired.
    pub(super) async fn acquire(&self) -> Result<FleetLockGuard<P::Inventory>, InventoryError> {
        let guard = self.fleet_lock.try_acquire(self.controller.inventory()).await;
        let mut wait = lock(&self.lock_wait);
        if let Err(InventoryError { kind: InventoryErrorKind::Locked { holder }, .. }) = &guard {
            match wait.blocked_by(holder) {
                WaitTransition::Started => {
                    let shown = LockWaitStatus { holder: holder.clone(), since: self.controller.now() };
                    self.telemetry.update_status(|status| status.waiting_for = Some(shown));
                }
                WaitTransition::BecameLong(waited) => tracing::warn!(
                    "{holder} has held the fleet lock for {} s; no operations are started or executed until it finishes",
                    waited.as_secs()
                ),
                WaitTransition::Unchanged => {}
            }
        } else if let Some((holder, reported)) = wait.acquired() {
            self.telemetry.update_status(|status| status.waiting_for = None);
            if reported {
                tracing::info!("{holder} released the fleet lock; resuming");
            }
        }
        guard
    }
}

impl<P: Platform> fmt::Debug for Shared<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
