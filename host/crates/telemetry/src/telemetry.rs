//! Observability of a running service: metrics, health and status, served over a loopback HTTP server.
//!
//! `metrics` defines every metric, `registry` stores the values and writes the Prometheus format, `health` detects
//! stalled loops, `status` defines the contents of `/status`, and `server` serves all of it. Values that other modules
//! own (API requests, HAProxy updates) are collected on each scrape. Nothing in this module makes decisions.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::health::Health;
use crate::registry::Registry;
use crate::status::Status;

/// A collector of values that other modules own.
type Collector = Box<dyn Fn(&mut Registry) + Send + Sync>;

/// The telemetry of a service. Clones share state.
#[derive(Clone, Default)]
pub struct Telemetry(Arc<Inner>);

#[derive(Default)]
struct Inner {
    registry: Mutex<Registry>,
    health: Health,
    status: Mutex<Status>,
    collectors: Mutex<Vec<Collector>>,
}

impl Telemetry {
    /// Updates metrics.
    pub fn record(&self, change: impl FnOnce(&mut Registry)) {
        change(&mut lock(&self.0.registry));
    }

    /// Registers a collector that is called on each scrape.
    pub fn add_collector(&self, source: impl Fn(&mut Registry) + Send + Sync + 'static) {
        lock(&self.0.collectors).push(Box::new(source));
    }

    /// Returns the health of the loops.
    pub fn health(&self) -> &Health {
        &self.0.health
    }

    /// Updates the contents of `/status`.
    pub fn update_status(&self, change: impl FnOnce(&mut Status)) {
        change(&mut lock(&self.0.status));
    }

    /// Returns the current contents of `/status`.
    pub fn status(&self) -> Status {
        self.collect();
        let mut status = lock(&self.0.status).clone();
        status.loops = self.0.health.loops();
        status
    }

    /// Returns all metrics in the Prometheus text format.
    pub fn metrics(&self) -> String {
        self.collect();
        lock(&self.0.registry).text()
    }

    fn collect(&self) {
        let mut registry = lock(&self.0.registry);
        for source in lock(&self.0.collectors).iter() {
            source(&mut registry);
        }
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// Locks a mutex even if it is poisoned; metrics remain useful after a panic elsewhere.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
