//! Retry decisions and delays. Pure: the caller provides the clock and the random numbers.

use std::time::Duration;

use doproxy_core::domain::Timestamp;
use doproxy_support::Backoff;

/// The retry policy for transient faults: exponential backoff with full jitter, as in AWS's "Exponential Backoff and
/// Jitter" (M. Brooker, 2015). Creates are never retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Maximum attempts, including the first; 0 counts as 1.
    pub max_attempts: u32,
    /// The longest delay before the second attempt; it doubles with each attempt.
    pub initial_backoff: Duration,
    /// The maximum total delay between the attempts of one call. If the API requests a longer delay, the call fails
    /// immediately.
    pub max_total_backoff: Duration,
}

impl Default for Retry {
    /// Four attempts, half a second, one minute: the API's burst limit is counted over a minute.
    fn default() -> Self {
        Self { max_attempts: 4, initial_backoff: Duration::from_millis(500), max_total_backoff: Duration::from_mins(1) }
    }
}

/// The attempts of one call.
#[derive(Debug)]
pub(super) struct RetryState {
    retry: Retry,
    delays: Backoff,
    attempts: u32,
    waited: Duration,
}

impl RetryState {
    pub(super) fn new(retry: Retry) -> Self {
        let delays = Backoff::new(retry.initial_backoff, retry.max_total_backoff);
        Self { retry, delays, attempts: 0, waited: Duration::ZERO }
    }

    /// Returns the number of attempts so far.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Counts an attempt.
    pub(super) fn record_attempt(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
    }

    /// Returns the delay before the next attempt; `None` if there is none. Called at most once per attempt.
    ///
    /// `asked` is the delay requested by the API: the delay is never shorter, and the jitter is added to it so that
    /// clients rejected together do not retry together. `dice` is between 0 and 1.
    pub(super) fn next_delay(&mut self, asked: Option<Duration>, dice: f64) -> Option<Duration> {
        if self.attempts >= self.retry.max_attempts {
            return None;
        }
        let longest = self.delays.next_delay();
        let jitter = Duration::try_from_secs_f64(longest.as_secs_f64() * dice).unwrap_or(longest);
        let pause = asked.unwrap_or_default().saturating_add(jitter);
        let waited = self.waited.saturating_add(pause);
        (waited <= self.retry.max_total_backoff).then(|| {
            self.waited = waited;
            pause
        })
    }
}

/// Returns the delay requested by the API: `retry-after` in seconds, which it sends only for the burst limit, otherwise
/// the time until `ratelimit-reset`, the Unix time at which the oldest request leaves the window. Every response has
/// the latter, so pass it for status 429 only.
pub(super) fn parse_retry_after(retry_after: Option<&str>, reset: Option<&str>, now: Timestamp) -> Option<Duration> {
    let seconds = |text: &str| text.trim().parse::<u64>().ok();
    retry_after.and_then(seconds).map(Duration::from_secs).or_else(|| {
        let reset = reset.and_then(seconds)?;
        Some(Timestamp(reset.saturating_mul(1000)).since(now))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RETRY: Retry =
        Retry { max_attempts: 4, initial_backoff: Duration::from_secs(1), max_total_backoff: Duration::from_secs(10) };

    #[test]
    fn delays_double_until_attempts_are_exhausted() {
        let mut retries = RetryState::new(RETRY);

        let pauses: Vec<_> = std::iter::from_fn(|| {
            retries.record_attempt();
            retries.next_delay(None, 1.0)
        })
        .collect();

        assert_eq!(pauses, [1, 2, 4].map(Duration::from_secs));
        assert_eq!(retries.attempts(), 4);
    }

    #[test]
    fn requested_delay_is_respected_unless_too_long() {
        let pause = |asked| {
            let mut retries = RetryState::new(RETRY);
            retries.record_attempt();
            retries.next_delay(Some(Duration::from_secs(asked)), 0.5)
        };

        assert_eq!(pause(5), Some(Duration::from_millis(5_500)));
        assert_eq!(pause(10), None);
        assert_eq!(pause(u64::MAX), None);
    }

    #[test]
    fn retry_after_takes_precedence_over_reset() {
        let now = Timestamp(1_000_000);

        assert_eq!(parse_retry_after(Some("7"), Some("1030"), now), Some(Duration::from_secs(7)));
        assert_eq!(parse_retry_after(None, Some("1030"), now), Some(Duration::from_secs(30)));
        assert_eq!(parse_retry_after(Some("soon"), Some("900"), now), Some(Duration::ZERO));
        assert_eq!(parse_retry_after(None, Some("-1"), now), None);
    }

    proptest! {
        #[test]
        fn total_delay_stays_within_limit(
            attempts in 0_u32..100,
            first in 0_u64..100_000,
            most in 0_u64..100_000,
            asked in proptest::collection::vec(proptest::option::of(any::<u64>()), 0..100),
            dice in 0.0..=1.0,
        ) {
            let most = Duration::from_millis(most);
            let mut retries = RetryState::new(Retry { max_attempts: attempts, initial_backoff: Duration::from_millis(first), max_total_backoff: most });
            let mut waited = Duration::ZERO;

            for asked in asked {
                retries.record_attempt();
                let asked = asked.map(Duration::from_millis);
                let Some(pause) = retries.next_delay(asked, dice) else { break };
                prop_assert!(pause >= asked.unwrap_or_default());
                waited += pause;
            }

            prop_assert!(waited <= most);
            prop_assert!(retries.attempts() <= attempts.max(1));
        }
    }
}
