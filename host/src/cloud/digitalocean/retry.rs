//! When a call is repeated, and after how long. Pure: the clock and the dice are the caller's.

use std::time::Duration;

use crate::model::Timestamp;

/// How a call that met a passing fault is repeated: exponential backoff with full jitter, as in AWS's
/// "Exponential Backoff and Jitter" (M. Brooker, 2015). Creating is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Most attempts, the first included; 0 counts as 1.
    pub max_attempts: u32,
    /// The longest pause before the second attempt; it doubles with each.
    pub initial_backoff: Duration,
    /// The longest that one call waits between its attempts, all pauses together. Where the API asks for more,
    /// the call fails at once instead.
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
pub(super) struct Backoff {
    retry: Retry,
    attempts: u32,
    waited: Duration,
}

impl Backoff {
    pub(super) fn new(retry: Retry) -> Self {
        Self { retry, attempts: 0, waited: Duration::ZERO }
    }

    /// How many attempts were made.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Counts an attempt.
    pub(super) fn record_attempt(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
    }

    /// How long to wait before the next attempt; `None` when there is none.
    ///
    /// `asked` is what the API asked for: no shorter pause is taken, and the jitter comes on top of it so that
    /// clients that were turned away together do not come back together. `dice` is between 0 and 1.
    pub(super) fn next_backoff(&mut self, asked: Option<Duration>, dice: f64) -> Option<Duration> {
        if self.attempts >= self.retry.max_attempts {
            return None;
        }
        let doublings = self.attempts.saturating_sub(1).min(16);
        let longest = self.retry.initial_backoff.saturating_mul(1 << doublings).min(self.retry.max_total_backoff);
        let jitter = Duration::try_from_secs_f64(longest.as_secs_f64() * dice).unwrap_or(longest);
        let pause = asked.unwrap_or_default().saturating_add(jitter);
        let waited = self.waited.saturating_add(pause);
        (waited <= self.retry.max_total_backoff).then(|| {
            self.waited = waited;
            pause
        })
    }
}

/// How long the API asks to wait: `retry-after` in seconds, which it sends for the burst limit only, else until
/// `ratelimit-reset`, the Unix time at which the oldest request stops to count. Every answer has the latter, so
/// give it for status 429 only.
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
    fn pauses_double_and_end_with_the_attempts() {
        let mut backoff = Backoff::new(RETRY);

        let pauses: Vec<_> = std::iter::from_fn(|| {
            backoff.record_attempt();
            backoff.next_backoff(None, 1.0)
        })
        .collect();

        assert_eq!(pauses, [1, 2, 4].map(Duration::from_secs));
        assert_eq!(backoff.attempts(), 4);
    }

    #[test]
    fn the_api_is_given_the_time_that_it_asks_for_unless_that_is_too_long() {
        let pause = |asked| {
            let mut backoff = Backoff::new(RETRY);
            backoff.record_attempt();
            backoff.next_backoff(Some(Duration::from_secs(asked)), 0.5)
        };

        assert_eq!(pause(5), Some(Duration::from_millis(5_500)));
        assert_eq!(pause(10), None);
        assert_eq!(pause(u64::MAX), None);
    }

    #[test]
    fn the_wait_comes_from_retry_after_else_from_the_reset_of_the_limit() {
        let now = Timestamp(1_000_000);

        assert_eq!(parse_retry_after(Some("7"), Some("1030"), now), Some(Duration::from_secs(7)));
        assert_eq!(parse_retry_after(None, Some("1030"), now), Some(Duration::from_secs(30)));
        assert_eq!(parse_retry_after(Some("soon"), Some("900"), now), Some(Duration::ZERO));
        assert_eq!(parse_retry_after(None, Some("-1"), now), None);
    }

    proptest! {
        #[test]
        fn all_pauses_together_stay_within_the_most(
            attempts in 0_u32..100,
            first in 0_u64..100_000,
            most in 0_u64..100_000,
            asked in proptest::collection::vec(proptest::option::of(any::<u64>()), 0..100),
            dice in 0.0..=1.0,
        ) {
            let most = Duration::from_millis(most);
            let mut backoff = Backoff::new(Retry { max_attempts: attempts, initial_backoff: Duration::from_millis(first), max_total_backoff: most });
            let mut waited = Duration::ZERO;

            for asked in asked {
                backoff.record_attempt();
                let asked = asked.map(Duration::from_millis);
                let Some(pause) = backoff.next_backoff(asked, dice) else { break };
                prop_assert!(pause >= asked.unwrap_or_default());
                waited += pause;
            }

            prop_assert!(waited <= most);
            prop_assert!(backoff.attempts() <= attempts.max(1));
        }
    }
}
