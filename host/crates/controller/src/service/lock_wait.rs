//! Tracks the wait for another process that holds the fleet lock: shown in the status for its duration, and logged once
//! if it is long.

use std::time::Duration;

use tokio::time::Instant;

/// The wait after which a log line is written: most commands take a moment, but those that boot droplets take longer.
const LONG_WAIT: Duration = Duration::from_secs(10);

/// The process for which the loops wait.
#[derive(Debug, Default)]
pub(super) struct LockWait(Option<LockHolder>);

#[derive(Debug)]
struct LockHolder {
    holder: String,
    since: Instant,
    /// True if the wait was logged.
    warned: bool,
}

/// The change in the state of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitTransition {
    /// The wait started.
    Started,
    /// The wait has become long.
    BecameLong(Duration),
    /// No change.
    Unchanged,
}

impl LockWait {
    /// Records that `holder` has the lock.
    pub(super) fn blocked_by(&mut self, holder: &str) -> WaitTransition {
        let Some(wait) = self.0.as_mut().filter(|wait| wait.holder == holder) else {
            self.0 = Some(LockHolder { holder: holder.to_owned(), since: Instant::now(), warned: false });
            return WaitTransition::Started;
        };
        let waited = wait.since.elapsed();
        if wait.warned || waited < LONG_WAIT {
            return WaitTransition::Unchanged;
        }
        wait.warned = true;
        WaitTransition::BecameLong(waited)
    }

    /// Records that the lock was acquired; returns the previous holder and whether the wait was logged.
    pub(super) fn acquired(&mut self) -> Option<(String, bool)> {
        self.0.take().map(|wait| (wait.holder, wait.warned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn long_wait_is_reported_once() {
        let mut waiting = LockWait::default();
        let seconds = |seconds| tokio::time::advance(Duration::from_secs(seconds));

        assert_eq!(waiting.blocked_by("create"), WaitTransition::Started);
        seconds(9).await;
        assert_eq!(waiting.blocked_by("create"), WaitTransition::Unchanged);
        seconds(1).await;
        assert_eq!(waiting.blocked_by("create"), WaitTransition::BecameLong(Duration::from_secs(10)));
        seconds(60).await;
        assert_eq!(waiting.blocked_by("create"), WaitTransition::Unchanged);
        assert_eq!(waiting.acquired(), Some(("create".to_owned(), true)));
        assert_eq!(waiting.acquired(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn new_holder_starts_a_new_wait() {
        let mut waiting = LockWait::default();

        waiting.blocked_by("create");
        tokio::time::advance(Duration::from_secs(30)).await;

        assert_eq!(waiting.blocked_by("delete"), WaitTransition::Started);
        assert_eq!(waiting.acquired(), Some(("delete".to_owned(), false)));
    }
}
