//! Waiting for another command that changes the fleet: shown for as long as it lasts, and said once when it lasts long.

use std::time::Duration;

use tokio::time::Instant;

/// A command takes a moment, or boots droplets: only the latter is worth a line in the log.
const LONG: Duration = Duration::from_secs(10);

/// Whom the loops wait for.
#[derive(Debug, Default)]
pub(super) struct Waiting(Option<Wait>);

#[derive(Debug)]
struct Wait {
    holder: String,
    since: Instant,
    /// Whether it was said.
    told: bool,
}

/// What is new about a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// It begins.
    Begins,
    /// It has become a long one.
    IsLong(Duration),
    /// Nothing.
    Nothing,
}

impl Waiting {
    /// A turn was refused, since `holder` has it.
    pub(super) fn refused(&mut self, holder: &str) -> News {
        let Some(wait) = self.0.as_mut().filter(|wait| wait.holder == holder) else {
            self.0 = Some(Wait { holder: holder.to_owned(), since: Instant::now(), told: false });
            return News::Begins;
        };
        let waited = wait.since.elapsed();
        if wait.told || waited < LONG {
            return News::Nothing;
        }
        wait.told = true;
        News::IsLong(waited)
    }

    /// A turn was taken: who was waited for, and whether that was said.
    pub(super) fn over(&mut self) -> Option<(String, bool)> {
        self.0.take().map(|wait| (wait.holder, wait.told))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_long_once() {
        let mut waiting = Waiting::default();
        let seconds = |seconds| tokio::time::advance(Duration::from_secs(seconds));

        assert_eq!(waiting.refused("create"), News::Begins);
        seconds(9).await;
        assert_eq!(waiting.refused("create"), News::Nothing);
        seconds(1).await;
        assert_eq!(waiting.refused("create"), News::IsLong(Duration::from_secs(10)));
        seconds(60).await;
        assert_eq!(waiting.refused("create"), News::Nothing);
        assert_eq!(waiting.over(), Some(("create".to_owned(), true)));
        assert_eq!(waiting.over(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_command_after_another_is_another_wait() {
        let mut waiting = Waiting::default();

        waiting.refused("create");
        tokio::time::advance(Duration::from_secs(30)).await;

        assert_eq!(waiting.refused("delete"), News::Begins);
        assert_eq!(waiting.over(), Some(("delete".to_owned(), false)));
    }
}
