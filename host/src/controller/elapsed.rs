//! How long this process has waited for things, by a clock that nobody can set.
//!
//! The journal's times are of the wall clock, which may have been moved since, or may be wrong now. Where acting too
//! early makes a second droplet or forgets one, only what this process itself has waited counts; where acting too late
//! means to wait for ever, it counts as well.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{DropletId, DropletName, OperationId, Phase};

/// Something that is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum TimerKey {
    /// That a droplet leaves a phase.
    Phase(DropletName, Phase),
    /// That what a request may have made shows up.
    CreateSent(OperationId),
    /// That a droplet which should not be there is seen again.
    Orphan(DropletId),
}

/// Since when each is waited for.
#[derive(Debug, Default)]
pub(super) struct ElapsedTimers(Mutex<HashMap<TimerKey, Instant>>);

impl ElapsedTimers {
    /// For how long; from now on, where it was not waited for yet.
    pub(super) fn elapsed(&self, wait: TimerKey) -> Duration {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.entry(wait).or_insert_with(Instant::now).elapsed()
    }

    /// It is waited for from now on, whatever was before.
    pub(super) fn start(&self, wait: TimerKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(wait, Instant::now());
    }

    /// Forgets what is over.
    pub(super) fn retain(&self, is_open: impl Fn(&TimerKey) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|wait, _| is_open(wait));
    }
}
