//! A trace: rates at regular intervals.

use std::time::Duration;

use doproxy_core::domain::{Sample, Timestamp};

use crate::number::to_f64;
use crate::traces::error::TraceError;
use crate::traces::rows;
use crate::traces::rows::{Repair, Row};

/// Maximum number of intervals in a trace: seven months at one second each.
pub const MAX_INTERVALS: u64 = 20_000_000;

/// Requests per second over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Start time.
    pub start: Timestamp,
    /// Interval for which each rate holds.
    pub interval: Duration,
    /// Requests per second, one for each interval.
    pub rates: Vec<f64>,
}

impl Trace {
    /// Creates a trace from samples at regular intervals; errors refer to the samples as `source`.
    pub fn from_samples(
        source: &str,
        samples: impl IntoIterator<Item = Sample>,
        repair: bool,
    ) -> Result<(Self, Vec<Repair>), TraceError> {
        let samples = (1_u64..).zip(samples).map(|(line, sample)| Row {
            at_ms: i64::try_from(sample.at.0).unwrap_or(i64::MAX),
            rate: sample.value,
            line,
        });
        rows::regularize(source, "sample", samples.collect(), repair)
    }

    /// Creates a trace from measurements at irregular times by averaging them over each `interval`, aligned to the
    /// epoch. A measured rate applies to the time before its measurement.
    pub fn from_measurements(
        source: &str,
        samples: impl IntoIterator<Item = Sample>,
        interval: Duration,
        repair: bool,
    ) -> Result<(Self, Vec<Repair>), TraceError> {
        let interval = millis(interval);
        let mut means: Vec<(u64, f64, f64)> = Vec::new();
        for Sample { at, value } in samples {
            let slot = at.0.saturating_sub(1) / interval;
            match means.last_mut() {
                Some((last, mean, count)) if *last == slot => {
                    *count += 1.0;
                    *mean += (value - *mean) / *count;
                }
                _ => means.push((slot, value, 1.0)),
            }
        }
        let hole = means.windows(2).find(|pair| pair[1].0 > pair[0].0 + 1);
        if let Some(hole) = hole.filter(|_| !repair) {
            let (from, to) = (Timestamp((hole[0].0 + 1) * interval), Timestamp(hole[1].0 * interval));
            let problem = format!("no samples from {from} to {to}; pass --repair to interpolate them");
            return Err(TraceError::whole(source, problem));
        }
        let samples = means.into_iter().map(|(slot, value, _)| Sample { at: Timestamp(slot * interval), value });
        Self::from_samples(source, samples, repair)
    }

    /// Returns the length of the trace.
    pub fn duration(&self) -> Duration {
        self.interval.saturating_mul(u32::try_from(self.rates.len()).unwrap_or(u32::MAX))
    }

    /// Returns the mean rate in each tick. A tick that the trace covers only partly is omitted.
    pub fn ticks(&self, tick: Duration) -> Vec<f64> {
        let (interval, tick) = (millis(self.interval), millis(tick));
        if tick == interval {
            return self.rates.clone();
        }
        if interval.is_multiple_of(tick) {
            let times = usize::try_from(interval / tick).unwrap_or(usize::MAX);
            return self.rates.iter().flat_map(|rate| std::iter::repeat_n(*rate, times)).collect();
        }
        if tick.is_multiple_of(interval) {
            let each = usize::try_from(tick / interval).unwrap_or(usize::MAX);
            return self
                .rates
                .chunks_exact(each)
                .map(|rates| rates.iter().sum::<f64>() / to_f64(tick / interval))
                .collect();
        }
        let end = interval.saturating_mul(self.rates.len() as u64);
        (0..end / tick).map(|index| self.mean_rate(index * tick, (index + 1) * tick, interval)).collect()
    }

    /// Returns the mean rate between two times, in milliseconds since the start.
    fn mean_rate(&self, from: u64, to: u64, interval: u64) -> f64 {
        let mut sum = 0.0;
        let mut at = from;
        while at < to {
            let index = at / interval;
            let next = ((index + 1) * interval).min(to);
            let rate = usize::try_from(index).ok().and_then(|index| self.rates.get(index)).copied().unwrap_or_default();
            sum += rate * to_f64(next - at);
            at = next;
        }
        sum / to_f64(to - from)
    }
}

/// Converts a duration to milliseconds, at least one.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(interval_s: u64, rates: &[f64]) -> Trace {
        Trace { start: Timestamp(0), interval: Duration::from_secs(interval_s), rates: rates.to_vec() }
    }

    #[test]
    fn rates_are_held_or_averaged_to_ticks() {
        let trace = trace(60, &[1.0, 3.0, 5.0]);

        assert_eq!(trace.ticks(Duration::from_mins(1)), [1.0, 3.0, 5.0]);
        assert_eq!(trace.ticks(Duration::from_secs(30)), [1.0, 1.0, 3.0, 3.0, 5.0, 5.0]);
        assert_eq!(trace.ticks(Duration::from_mins(2)), [2.0]);
    }

    #[test]
    fn unaligned_tick_takes_weighted_mean() {
        let rates = trace(60, &[1.0, 3.0, 5.0]).ticks(Duration::from_secs(45));

        assert_eq!(rates.len(), 4);
        assert!((rates[1] - (15.0 * 1.0 + 30.0 * 3.0) / 45.0).abs() < 1e-12, "{rates:?}");
    }

    /// Returns measurements every 15 s, each slightly late.
    fn measured(seconds: impl Iterator<Item = u64>) -> impl Iterator<Item = Sample> {
        seconds.map(|second| Sample { at: Timestamp(second * 1000 + second % 7), value: to_f64(second) })
    }

    #[test]
    fn measurements_are_averaged_to_interval() {
        let samples = measured((1..=8).map(|turn| 6000 + turn * 15).filter(|second| *second != 6075));

        let (trace, repairs) = Trace::from_measurements("recorded", samples, Duration::from_mins(1), false).unwrap();

        // A measurement of the end of a minute is slightly late and counts for the next minute.
        assert_eq!(trace.start, Timestamp(6_000_000));
        assert_eq!(trace.rates.len(), 3);
        assert!((trace.rates[0] - 6030.0).abs() < 1e-9, "{:?}", trace.rates);
        assert_eq!(repairs, []);
    }

    #[test]
    fn gap_in_measurements_is_reported_with_times() {
        let samples = || measured([30, 90, 300, 360].into_iter());
        let of = |repair| Trace::from_measurements("recorded", samples(), Duration::from_mins(1), repair);

        let error = of(false).unwrap_err();
        let (mended, repairs) = of(true).unwrap();

        assert_eq!(
            error.to_string(),
            "recorded: no samples from 1970-01-01T00:02:00Z to 1970-01-01T00:05:00Z; pass --repair to interpolate them"
        );
        assert_eq!(mended.rates.len(), 7);
        assert_eq!(repairs.len(), 1);
    }

    #[test]
    fn conversion_to_ticks_preserves_total_requests() {
        let trace = trace(15, &[4.0, 0.0, 7.0, 1.0, 1.0, 9.0, 2.0, 3.0]);
        for tick in [5, 10, 15, 20, 24, 30, 40, 60, 120] {
            let sum: f64 = trace.ticks(Duration::from_secs(tick)).iter().sum::<f64>() * to_f64(tick);

            assert!((sum - 27.0 * 15.0).abs() < 1e-9, "{tick}: {sum}");
        }
    }
}
