//! Datapoints: means over periods, independent of the time between ticks.

use serde::{Deserialize, Serialize};

use crate::numbers::{mean, to_f64};

/// An incomplete datapoint.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::period::Period;
///
/// // A tick every 15 s and datapoints of one minute: the fourth value completes a datapoint.
/// let mut period = Period::start(15_000, 15_000);
/// let datapoints = [(15_000, 1.0), (30_000, 2.0), (45_000, 3.0), (60_000, 6.0)]
///     .map(|(now, value)| period.add(now, 15_000, 60_000, value));
///
/// assert_eq!(datapoints, [None, None, None, Some(3.0)]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Period {
    /// Start of the period, in milliseconds since the Unix epoch.
    started_at: u64,
    /// Number of values.
    count: u32,
    /// Their sum.
    sum: f64,
}

impl Period {
    /// Starts a period at the beginning of the first value's interval: `interval_ms` before `now`.
    pub fn start(now: u64, interval_ms: u64) -> Self {
        Self { started_at: now.saturating_sub(interval_ms), ..Self::default() }
    }

    /// Adds a value; returns the mean and starts the next period if that completes the current one. A period that
    /// starts in the future, because the clock was set back, restarts now.
    pub fn add(&mut self, now: u64, interval_ms: u64, length_ms: u64, value: f64) -> Option<f64> {
        if self.started_at > now {
            *self = Self::start(now, interval_ms);
        }
        self.count = self.count.saturating_add(1);
        self.sum += value;
        // Half a sample early counts as on time, because ticks are not exact.
        if now.saturating_add(interval_ms / 2) < self.started_at.saturating_add(length_ms) {
            return None;
        }
        let ended = std::mem::replace(self, Self::start(now, 0));
        mean([ended.sum / to_f64(u64::from(ended.count))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tick_as_long_as_the_period_is_a_datapoint() {
        let mut period = Period::start(60_000, 60_000);

        assert_eq!(period.add(60_000, 60_000, 60_000, 3.0), Some(3.0));
        assert_eq!(period.add(120_000, 60_000, 60_000, 4.0), Some(4.0));
    }

    #[test]
    fn shorter_and_slightly_early_ticks_are_averaged() {
        let mut period = Period::start(15_000, 15_000);
        let means: Vec<_> = [(15_000, 1.0), (29_990, 2.0), (44_980, 3.0), (59_970, 6.0)]
            .map(|(at, value)| period.add(at, 15_000, 60_000, value))
            .into();

        assert_eq!(means, [None, None, None, Some(3.0)]);
    }

    #[test]
    fn extreme_clocks_and_values_do_not_panic() {
        let mut period = Period::start(u64::MAX, 0);

        assert_eq!(period.add(5, u64::MAX, 0, f64::MAX), Some(f64::MAX));
        assert_eq!(period.add(u64::MAX, u64::MAX, 0, f64::NAN), None);
    }
}
