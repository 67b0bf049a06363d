//! Datapoints: means over periods, whatever the time between ticks is.

use serde::{Deserialize, Serialize};

use crate::numbers::{mean, to_f64};

/// A datapoint in the making.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Period {
    /// When it began, in milliseconds since the Unix epoch.
    started_at: u64,
    /// How many values it has.
    count: u32,
    /// Their sum.
    sum: f64,
}

impl Period {
    /// One that begins with the time that a first value speaks of: `interval_ms` before `now`.
    pub fn start(now: u64, interval_ms: u64) -> Self {
        Self { started_at: now.saturating_sub(interval_ms), ..Self::default() }
    }

    /// Takes a value in; the mean where that ends the period, and the next begins. A period that is still to begin, since
    /// a clock was set back, begins now.
    pub fn add(&mut self, now: u64, interval_ms: u64, length_ms: u64, value: f64) -> Option<f64> {
        if self.started_at > now {
            *self = Self::start(now, interval_ms);
        }
        self.count = self.count.saturating_add(1);
        self.sum += value;
        // Half a sample early is on time: ticks are not exact.
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
    fn a_tick_as_long_as_the_period_is_a_datapoint() {
        let mut period = Period::start(60_000, 60_000);

        assert_eq!(period.add(60_000, 60_000, 60_000, 3.0), Some(3.0));
        assert_eq!(period.add(120_000, 60_000, 60_000, 4.0), Some(4.0));
    }

    #[test]
    fn shorter_ticks_are_averaged_also_when_they_are_a_little_early() {
        let mut period = Period::start(15_000, 15_000);
        let means: Vec<_> = [(15_000, 1.0), (29_990, 2.0), (44_980, 3.0), (59_970, 6.0)]
            .map(|(at, value)| period.add(at, 15_000, 60_000, value))
            .into();

        assert_eq!(means, [None, None, None, Some(3.0)]);
    }

    #[test]
    fn odd_clocks_and_values_are_no_panic() {
        let mut period = Period::start(u64::MAX, 0);

        assert_eq!(period.add(5, u64::MAX, 0, f64::MAX), Some(f64::MAX));
        assert_eq!(period.add(u64::MAX, u64::MAX, 0, f64::NAN), None);
    }
}
