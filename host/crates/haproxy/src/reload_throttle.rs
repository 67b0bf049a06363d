//! Enforces a minimum interval between reloads: each reload leaves a worker behind that lives as long as its last
//! connection, and updates that arrive during the interval share the next reload.

use std::time::Duration;

use tokio::time::Instant;

/// The time of the last reload.
#[derive(Debug, Default)]
pub(super) struct ReloadThrottle {
    last_reload: Option<Instant>,
}

impl ReloadThrottle {
    /// Waits until `throttle` has passed since the last reload; the first reload does not wait.
    pub(super) async fn wait(&self, throttle: Duration) {
        if let Some(last) = self.last_reload {
            let left = throttle.saturating_sub(last.elapsed());
            if !left.is_zero() {
                tracing::debug!("reloading HAProxy in {left:?}: the last reload was {:?} ago", last.elapsed());
                tokio::time::sleep(left).await;
            }
        }
    }

    /// Records that a reload starts now.
    pub(super) fn record_reload(&mut self) {
        self.last_reload = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn first_reload_is_immediate_and_later_ones_wait() {
        let (mut throttle, began) = (ReloadThrottle::default(), Instant::now());
        let mut waited = Vec::new();

        for pause_s in [0, 0, 3, 60] {
            tokio::time::sleep(Duration::from_secs(pause_s)).await;
            throttle.wait(Duration::from_secs(5)).await;
            throttle.record_reload();
            waited.push(began.elapsed().as_secs());
        }

        assert_eq!(waited, [0, 5, 10, 70]);
    }
}
