//! The time, from tokio's clock: where that is paused, time is virtual.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::model::Timestamp;

/// Tells the time. The wall clock is read once, when the clock is made, so that a step of the wall clock
/// does not move deadlines; from then on the monotonic clock counts.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Timestamp,
    started: Instant,
}

impl Clock {
    /// A clock that agrees with the wall clock now.
    pub fn from_wall_clock() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::starting_at(Timestamp(0).plus(since_epoch))
    }

    /// A clock that says `origin` now.
    pub fn starting_at(origin: Timestamp) -> Self {
        Self { origin, started: Instant::now() }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.origin.plus(self.started.elapsed())
    }
}
