//! Reloads one after the other, with a gap between them: each leaves a worker behind that lives as long as its last
//! connection, and changes that come meanwhile go with the next.

use std::time::Duration;

use tokio::time::Instant;

/// When the last reload was ordered.
#[derive(Debug, Default)]
pub(super) struct ReloadThrottle {
    last_reload: Option<Instant>,
}

impl ReloadThrottle {
    /// Waits until `gap` has passed since the last reload; the first one does not wait.
    pub(super) async fn wait(&self, gap: Duration) {
        if let Some(last) = self.last_reload {
            let left = gap.saturating_sub(last.elapsed());
            if !left.is_zero() {
                tracing::debug!("HAProxy is reloaded in {left:?}: the last reload was {:?} ago", last.elapsed());
                tokio::time::sleep(left).await;
            }
        }
    }

    /// A reload is ordered now.
    pub(super) fn record_reload(&mut self) {
        self.last_reload = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_reload_does_not_wait_and_the_next_ones_keep_the_gap() {
        let (mut gap, began) = (ReloadThrottle::default(), Instant::now());
        let mut waited = Vec::new();

        for pause_s in [0, 0, 3, 60] {
            tokio::time::sleep(Duration::from_secs(pause_s)).await;
            gap.wait(Duration::from_secs(5)).await;
            gap.record_reload();
            waited.push(began.elapsed().as_secs());
        }

        assert_eq!(waited, [0, 5, 10, 70]);
    }
}
