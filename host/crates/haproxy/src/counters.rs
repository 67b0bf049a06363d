//! Counts updates of HAProxy.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::runtime_update::UpdateCounts;

/// Counts of HAProxy updates by this process, for its metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Reloads requested, including failed ones.
    pub reloads: u64,
    /// Updates applied at run time.
    pub runtime_updates: u64,
    /// Servers added at run time.
    pub servers_added: u64,
    /// Servers removed at run time.
    pub servers_removed: u64,
    /// Servers drained or given traffic at run time.
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
