//! Waiting for another command that changes the fleet: shown for as long as it lasts, and said once when it lasts long.

use std::time::Duration;

use tokio::time::Instant;

/// A command takes a moment, or boots droplets: only the latter is worth a line in the log.
const LONG_WAIT: Duration = Duration::from_secs(10);

/// Whom the loops wait for.
#[derive(Debug, Default)]
pub(super) struct LockWait(Option<LockHolder>);

#[derive(Debug)]
struct LockHolder {
    holder: String,
    since: Instant,
    /// Whether it was said.
    warned: bool,
}

/// What is new about a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitTransition {
    /// It begins.
    Started,
    /// It has become a long one.
    BecameLong(Duration),
    /// Nothing.
    Unchanged,
}

impl LockWait {
    /// A turn was refused, since `holder` has it.
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

    /// A turn was taken: who was waited for, and whether that was said.
    pub(super) fn acquired(&mut self) -> Option<(String, bool)> {
        self.0.take().map(|wait| (wait.holder, wait.warned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_long_once() {
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
    async fn one_command_after_another_is_another_wait() {
        let mut waiting = LockWait::default();

        waiting.blocked_by("create");
        tokio::time::advance(Duration::from_secs(30)).await;

        assert_eq!(waiting.blocked_by("delete"), WaitTransition::Started);
        assert_eq!(waiting.acquired(), Some(("delete".to_owned(), false)));
    }
}
