//! Measures how long this process has waited, using the monotonic clock.
//!
//! The journal's times come from the wall clock, which may have been changed since or may be wrong now. Where acting
//! too early would create a second droplet or lose one, only the time measured by this process counts; where acting too
//! late would mean waiting forever, the journal's time counts as well.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use doproxy_core::domain::{DropletId, DropletName, OperationId, Phase};
use doproxy_support::sync::lock;
use tokio::time::Instant;

/// The subject of a timer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum TimerKey {
    /// A droplet leaves a phase.
    Phase(DropletName, Phase),
    /// The droplet of a sent create request appears.
    CreateSent(OperationId),
    /// An unexpected droplet is seen again.
    Orphan(DropletId),
}

/// The start time of each timer.
#[derive(Debug, Default)]
pub(crate) struct ElapsedTimers(Mutex<HashMap<TimerKey, Instant>>);

impl ElapsedTimers {
    /// Returns the elapsed time; starts the timer if it is not running.
    pub(super) fn elapsed(&self, wait: TimerKey) -> Duration {
        let mut since = lock(&self.0);
        since.entry(wait).or_insert_with(Instant::now).elapsed()
    }

    /// Starts or restarts a timer.
    pub(super) fn start(&self, wait: TimerKey) {
        lock(&self.0).insert(wait, Instant::now());
    }

    /// Removes timers that have ended.
    pub(super) fn retain(&self, is_open: impl Fn(&TimerKey) -> bool) {
        lock(&self.0).retain(|wait, _| is_open(wait));
    }
}
