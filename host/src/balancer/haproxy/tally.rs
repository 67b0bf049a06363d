//! What was done to HAProxy, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use super::at_run_time::Counts;

/// What was done to HAProxy by this process, for its metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Reloads that were ordered, those that failed included.
    pub reloads: u64,
    /// Changes that HAProxy took while it ran.
    pub changes_at_run_time: u64,
    /// Servers that were added by these.
    pub servers_added: u64,
    /// Servers that were removed by these.
    pub servers_removed: u64,
    /// Servers that were given traffic, or drained, by these.
    pub servers_changed: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    reloads: AtomicU64,
    changes: AtomicU64,
    added: AtomicU64,
    removed: AtomicU64,
    changed: AtomicU64,
}

impl Tally {
    pub(super) fn reload(&self) {
        self.reloads.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn at_run_time(&self, counts: Counts) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.added.fetch_add(counts.added as u64, Ordering::Relaxed);
        self.removed.fetch_add(counts.removed as u64, Ordering::Relaxed);
        self.changed.fetch_add(counts.changed as u64, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Counters {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            reloads: of(&self.reloads),
            changes_at_run_time: of(&self.changes),
            servers_added: of(&self.added),
            servers_removed: of(&self.removed),
            servers_changed: of(&self.changed),
        }
    }
}
