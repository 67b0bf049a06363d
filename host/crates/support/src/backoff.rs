//! Exponential back-off.

use std::time::Duration;

/// Delays that double from a first to a maximum one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// Creates the sequence of delays from `first` to `max`.
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, next: first }
    }

    /// Returns the delay before the next attempt, and doubles the one after it.
    pub fn next_delay(&mut self) -> Duration {
        let delay = self.next.min(self.max);
        self.next = delay.saturating_mul(2);
        delay
    }

    /// Starts again with the first delay.
    pub const fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_maximum() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(6));

        let delays: Vec<u64> = std::iter::repeat_with(|| backoff.next_delay().as_secs()).take(5).collect();

        assert_eq!(delays, [1, 2, 4, 6, 6]);
    }

    #[test]
    fn reset_starts_with_first_delay() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(6));
        backoff.next_delay();

        backoff.reset();

        assert_eq!(backoff.next_delay(), Duration::from_secs(1));
    }

    #[test]
    fn first_delay_is_limited_by_maximum() {
        assert_eq!(Backoff::new(Duration::from_secs(9), Duration::from_secs(6)).next_delay(), Duration::from_secs(6));
    }
}
