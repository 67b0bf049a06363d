//! The current time, from tokio's clock: if that is paused, time is virtual.

use std::time::{SystemTime, UNIX_EPOCH};

use doproxy_core::domain::Timestamp;
use tokio::time::Instant;

/// A source of the current time. It reads the wall clock once, at creation, so that a step of the wall clock does not
/// move deadlines; afterwards it follows the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Timestamp,
    started: Instant,
}

impl Clock {
    /// Returns a clock that agrees with the wall clock now.
    pub fn from_wall_clock() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::starting_at(Timestamp(0).plus(since_epoch))
    }

    /// Returns a clock that starts at `origin`.
    pub fn starting_at(origin: Timestamp) -> Self {
        Self { origin, started: Instant::now() }
    }

    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        self.origin.plus(self.started.elapsed())
    }
}
