//! What was done to HAProxy, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use super::runtime_update::UpdateCounts;

/// What was done to HAProxy by this process, for its metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Reloads that were ordered, those that failed included.
    pub reloads: u64,
    /// Changes that HAProxy took while it ran.
    pub runtime_updates: u64,
    /// Servers that were added by these.
    pub servers_added: u64,
    /// Servers that were removed by these.
    pub servers_removed: u64,
    /// Servers that were given traffic, or drained, by these.
    pub servers_changed: u64,
}

#[derive(Debug, Default)]
pub(super) struct UpdateCounters {
    reloads: AtomicU64,
    runtime_updates: AtomicU64,
    added: AtomicU64,
    removed: AtomicU64,
    changed: AtomicU64,
}

impl UpdateCounters {
    pub(super) fn record_reload(&self) {
        self.reloads.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn record_runtime_update(&self, counts: UpdateCounts) {
        self.runtime_updates.fetch_add(1, Ordering::Relaxed);
        self.added.fetch_add(counts.added as u64, Ordering::Relaxed);
        self.removed.fetch_add(counts.removed as u64, Ordering::Relaxed);
        self.changed.fetch_add(counts.changed as u64, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> Counters {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            reloads: of(&self.reloads),
            runtime_updates: of(&self.runtime_updates),
            servers_added: of(&self.added),
            servers_removed: of(&self.removed),
            servers_changed: of(&self.changed),
        }
    }
}
