//! What an operator can see of a running service: counters, health and a status, served on a loopback listener.
//!
//! `families` names every metric, `registry` counts and writes them as Prometheus reads them, `health` knows whether the
//! loops make progress, `status` is what `/status` says, `listener` serves all of it. Numbers that live elsewhere (calls of
//! the API, changes of HAProxy) are asked for when somebody scrapes. Nothing here decides anything.

pub mod families;
mod health;
mod registry;
mod server;
pub mod status;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use health::{Health, StalledLoop};
pub use registry::{MetricFamily, MetricKind, Registry};
pub use server::TelemetryServer;
pub use status::Status;

/// A source of numbers that are counted elsewhere.
type Collector = Box<dyn Fn(&mut Registry) + Send + Sync>;

/// What a service tells about itself. Clones are the same one.
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
    /// Counts.
    pub fn record(&self, change: impl FnOnce(&mut Registry)) {
        change(&mut lock(&self.0.registry));
    }

    /// Asks `source` for its numbers whenever somebody scrapes.
    pub fn add_collector(&self, source: impl Fn(&mut Registry) + Send + Sync + 'static) {
        lock(&self.0.collectors).push(Box::new(source));
    }

    /// Whether the loops make progress.
    pub fn health(&self) -> &Health {
        &self.0.health
    }

    /// Changes what `/status` says.
    pub fn update_status(&self, change: impl FnOnce(&mut Status)) {
        change(&mut lock(&self.0.status));
    }

    /// What `/status` says now.
    pub fn status(&self) -> Status {
        self.collect();
        let mut status = lock(&self.0.status).clone();
        status.loops = self.0.health.loops();
        status
    }

    /// Every metric, as Prometheus reads it.
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

/// Counts are of use also after a panic elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
