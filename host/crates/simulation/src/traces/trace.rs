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
mod tests;
