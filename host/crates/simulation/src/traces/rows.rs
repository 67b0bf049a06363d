//! Converts raw rows to a trace with a regular interval. Irregularities are either errors with their line, or repaired
//! and reported.

use std::fmt;
use std::time::Duration;

use doproxy_core::domain::Timestamp;

use crate::number::to_f64;
use crate::traces::error::Problem;
use crate::traces::{MAX_INTERVALS, Trace, TraceError};

/// A time and a rate, with their line number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    /// Milliseconds since the epoch.
    pub(super) at_ms: i64,
    /// Requests per second; NaN if the cell was empty.
    pub(super) rate: f64,
    /// Line number, from 1.
    pub(super) line: u64,
}

/// A repair that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// Description of the repair.
    pub description: &'static str,
    /// Number of occurrences.
    pub count: u64,
    /// Line, or sample number, of the first occurrence.
    pub first: u64,
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = if self.count == 1 { "once".to_owned() } else { format!("{} times", self.count) };
        write!(f, "{}: {times}, first at line {}", self.description, self.first)
    }
}

/// The repairs made so far.
#[derive(Debug, Default)]
struct Repairs(Vec<Repair>);

impl Repairs {
    fn record(&mut self, what: &'static str, count: u64, line: u64) {
        match self.0.iter_mut().find(|repair| repair.description == what) {
            Some(repair) => repair.count += count,
            None => self.0.push(Repair { description: what, count, first: line }),
        }
    }
}

/// Makes a trace with a regular interval from `rows`, or reports the first error. With `repair`, all repairable errors
/// are repaired.
pub(super) fn regularize(
    source: &str,
    unit: &str,
    rows: Vec<Row>,
    repair: bool,
) -> Result<(Trace, Vec<Repair>), TraceError> {
    let mut repairs = Repairs::default();
    let rows = if repair { repair_rows(rows, &mut repairs) } else { validate(source, rows)? };
    let [first, .., last] = rows.as_slice() else {
        return Err(TraceError::whole(source, format!("a trace needs at least two {unit}s, found {}", rows.len())));
    };
    let interval = detect_interval(&rows).unwrap_or(1);
    let slots = u64::try_from((last.at_ms - first.at_ms) / interval).unwrap_or(u64::MAX).saturating_add(1);
    if slots > MAX_INTERVALS {
        return Err(TraceError::too_long(source, slots));
    }
    let rates = place_in_intervals(source, &rows, interval, repair, &mut repairs)?;
    let start = Timestamp(u64::try_from(first.at_ms).unwrap_or_default());
    let interval = Duration::from_millis(u64::try_from(interval).unwrap_or(1));
    Ok((Trace { start, interval, rates }, repairs.0))
}

/// Validates each row by itself and against the previous one.
fn validate(source: &str, rows: Vec<Row>) -> Result<Vec<Row>, TraceError> {
    let mut before: Option<i64> = None;
    for row in &rows {
        let problem = match before {
            _ if !row.rate.is_finite() => Some(Problem::NotFinite(row.rate)),
            _ if row.rate < 0.0 => Some(Problem::Negative(row.rate)),
            _ if row.at_ms < 0 => Some(Problem::BeforeEpoch),
            Some(before) if row.at_ms == before => Some(Problem::Duplicate),
            Some(before) if row.at_ms < before => Some(Problem::OutOfOrder(seconds(before - row.at_ms))),
            _ => None,
        };
        if let Some(problem) = problem {
            return Err(TraceError::line(source, row.line, problem));
        }
        before = Some(row.at_ms);
    }
    Ok(rows)
}

/// Sorts the rows, drops those without a valid rate or time, and sets negative rates to 0.
fn repair_rows(mut rows: Vec<Row>, repairs: &mut Repairs) -> Vec<Row> {
    rows.retain_mut(|row| {
        if !row.rate.is_finite() || row.at_ms < 0 {
            repairs.record("dropped rows without a valid rate or time", 1, row.line);
            return false;
        }
        if row.rate < 0.0 {
            repairs.record("set negative rates to 0", 1, row.line);
            row.rate = 0.0;
        }
        true
    });
    for pair in rows.windows(2).filter(|pair| pair[1].at_ms < pair[0].at_ms) {
        repairs.record("sorted by time", 1, pair[1].line);
    }
    rows.sort_by_key(|row| row.at_ms);
    rows
}

/// Returns the most common time between rows; ties go to the shortest.
fn detect_interval(rows: &[Row]) -> Option<i64> {
    let mut steps: Vec<i64> =
        rows.windows(2).map(|pair| pair[1].at_ms - pair[0].at_ms).filter(|step| *step > 0).collect();
    steps.sort_unstable();
    let runs = steps.chunk_by(|one, other| one == other);
    runs.fold(None, |best: Option<&[i64]>, run| Some(best.filter(|best| best.len() >= run.len()).unwrap_or(run)))
        .and_then(|run| run.first().copied())
}

/// Assigns each rate to its interval. A row may be off by a quarter of an interval, as scrapes are.
fn place_in_intervals(
    source: &str,
    rows: &[Row],
    interval: i64,
    repair: bool,
    repairs: &mut Repairs,
) -> Result<Vec<f64>, TraceError> {
    let start = rows.first().map_or(0, |row| row.at_ms);
    let mut rates: Vec<f64> = Vec::with_capacity(rows.len());
    let mut in_slot = 0_u32;
    for row in rows {
        let since = row.at_ms - start;
        let slot = (since + interval / 2) / interval;
        let off = (since - slot * interval).abs();
        let there = i64::try_from(rates.len()).unwrap_or(i64::MAX);
        if off > interval / 4 {
            if !repair {
                let problem = Problem::OffInterval { off_s: seconds(off), interval_s: seconds(interval) };
                return Err(TraceError::line(source, row.line, problem));
            }
            repairs.record("moved to the regular interval", 1, row.line);
        }
        if slot >= there {
            let missing = u64::try_from(slot - there).unwrap_or_default();
            if missing > 0 {
                if !repair {
                    return Err(TraceError::line(source, row.line, Problem::Gap { missing }));
                }
                repairs.record("interpolated missing intervals", missing, row.line);
                interpolate(&mut rates, missing, row.rate);
            }
            rates.push(row.rate);
            in_slot = 1;
        } else {
            // The rows are sorted, so a row can only fall into the newest interval.
            if !repair {
                return Err(TraceError::line(source, row.line, Problem::Duplicate));
            }
            repairs.record("averaged rows of the same interval", 1, row.line);
            in_slot += 1;
            if let Some(last) = rates.last_mut() {
                *last += (row.rate - *last) / f64::from(in_slot);
            }
        }
    }
    Ok(rates)
}

/// Appends `missing` rates, interpolated linearly towards `next`.
fn interpolate(rates: &mut Vec<f64>, missing: u64, next: f64) {
    let from = rates.last().copied().unwrap_or(next);
    let steps = to_f64(missing + 1);
    rates.extend((1..=missing).map(|step| from + (next - from) * to_f64(step) / steps));
}

fn seconds(ms: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "for display only")]
    let ms = ms as f64;
    ms / 1000.0
}

#[cfg(test)]
mod tests;
