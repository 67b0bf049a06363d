//! From rows as they were found to an even trace: what is wrong is an error with its line, or is mended and said.

use std::fmt;
use std::time::Duration;

use super::error::Problem;
use super::{MAX_INTERVALS, Trace, TraceError};
use crate::model::Timestamp;

/// A time and a rate, and the line on which they stood.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    /// Milliseconds since the epoch.
    pub(super) at_ms: i64,
    /// Requests per second; not a number where there was none.
    pub(super) rate: f64,
    /// From 1.
    pub(super) line: u64,
}

/// What was mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// What was done.
    pub description: &'static str,
    /// How often.
    pub count: u64,
    /// Where first: a line, or the number of a sample.
    pub first: u64,
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = if self.count == 1 { "once".to_owned() } else { format!("{} times", self.count) };
        write!(f, "{}: {times}, first at line {}", self.description, self.first)
    }
}

/// What was mended so far.
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

/// Makes an even trace of `rows`, or says what is wrong with the first that is. With `repair` all is mended that can be.
pub(super) fn regularize(
    source: &str,
    unit: &str,
    rows: Vec<Row>,
    repair: bool,
) -> Result<(Trace, Vec<Repair>), TraceError> {
    let mut repairs = Repairs::default();
    let rows = if repair { repair_rows(rows, &mut repairs) } else { validate(source, rows)? };
    let [first, .., last] = rows.as_slice() else {
        return Err(TraceError::whole(
            source,
            format!("two {unit}s at least make a trace, and there are {}", rows.len()),
        ));
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

/// Rows of which each is right by itself and after the one before.
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

/// The rows sorted, those that are no rates left out, and those below zero made 0.
fn repair_rows(mut rows: Vec<Row>, repairs: &mut Repairs) -> Vec<Row> {
    rows.retain_mut(|row| {
        if !row.rate.is_finite() || row.at_ms < 0 {
            repairs.record("left out what is no rate or no time", 1, row.line);
            return false;
        }
        if row.rate < 0.0 {
            repairs.record("made negative rates 0", 1, row.line);
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

/// The time between rows: what is most common, the shortest of those.
fn detect_interval(rows: &[Row]) -> Option<i64> {
    let mut steps: Vec<i64> =
        rows.windows(2).map(|pair| pair[1].at_ms - pair[0].at_ms).filter(|step| *step > 0).collect();
    steps.sort_unstable();
    let runs = steps.chunk_by(|one, other| one == other);
    runs.fold(None, |best: Option<&[i64]>, run| Some(best.filter(|best| best.len() >= run.len()).unwrap_or(run)))
        .and_then(|run| run.first().copied())
}

/// The rates, each in its interval; a row may be a quarter of an interval beside its time, as scrapes are.
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
            repairs.record("moved to the beat of the others", 1, row.line);
        }
        if slot >= there {
            let missing = u64::try_from(slot - there).unwrap_or_default();
            if missing > 0 {
                if !repair {
                    return Err(TraceError::line(source, row.line, Problem::Gap { missing }));
                }
                repairs.record("filled in missing intervals", missing, row.line);
                interpolate(&mut rates, missing, row.rate);
            }
            rates.push(row.rate);
            in_slot = 1;
        } else {
            // Sorted rows share the newest interval only.
            if !repair {
                return Err(TraceError::line(source, row.line, Problem::Duplicate));
            }
            repairs.record("took the mean of several of one interval", 1, row.line);
            in_slot += 1;
            if let Some(last) = rates.last_mut() {
                *last += (row.rate - *last) / f64::from(in_slot);
            }
        }
    }
    Ok(rates)
}

/// Adds `missing` rates on a straight line to the one that follows.
fn interpolate(rates: &mut Vec<f64>, missing: u64, next: f64) {
    let from = rates.last().copied().unwrap_or(next);
    let steps = super::to_f64(missing + 1);
    rates.extend((1..=missing).map(|step| from + (next - from) * super::to_f64(step) / steps));
}

fn seconds(ms: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "only shown")]
    let ms = ms as f64;
    ms / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(times_and_rates: &[(i64, f64)]) -> Vec<Row> {
        (2_u64..).zip(times_and_rates).map(|(line, (at, rate))| Row { at_ms: at * 1000, rate: *rate, line }).collect()
    }

    fn error(times_and_rates: &[(i64, f64)]) -> String {
        regularize("load.csv", "row", rows(times_and_rates), false).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        assert_eq!(
            error(&[(0, 1.0), (60, -2.0), (120, 1.0)]),
            "load.csv:3: -2 requests per second: a rate is never negative; --repair makes it 0"
        );
        assert_eq!(
            error(&[(0, 1.0), (60, 1.0), (240, 1.0), (300, 1.0)]),
            "load.csv:4: 2 of the intervals before it are missing; --repair fills them in from the values beside them"
        );
        assert_eq!(
            error(&[(0, 1.0), (60, 1.0), (30, 1.0)]),
            "load.csv:4: its time is 30 s before that of the line before; --repair sorts the trace"
        );
        assert_eq!(
            error(&[(0, 1.0), (60, 1.0), (60, 1.0)]),
            "load.csv:4: its time is that of the line before; --repair takes the mean of both"
        );
        assert_eq!(
            error(&[(0, 1.0), (60, 1.0), (120, 1.0), (160, 1.0)]),
            "load.csv:5: its time is 20 s beside the beat of 60 s; --repair moves it"
        );
        assert_eq!(error(&[(0, 1.0)]), "load.csv: two rows at least make a trace, and there are 1");
    }

    #[test]
    fn repair_mends_all_of_it_and_says_what_it_did() {
        let broken = [(0, 2.0), (120, 4.0), (60, -1.0), (120, 6.0), (300, 11.0), (360, f64::NAN)];

        let (trace, repairs) = regularize("load.csv", "row", rows(&broken), true).unwrap();

        assert_eq!(trace.rates, [2.0, 0.0, 5.0, 7.0, 9.0, 11.0]);
        let said: Vec<String> = repairs.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "made negative rates 0: once, first at line 4",
                "left out what is no rate or no time: once, first at line 7",
                "sorted by time: once, first at line 4",
                "took the mean of several of one interval: once, first at line 5",
                "filled in missing intervals: 2 times, first at line 6",
            ]
        );
    }

    #[test]
    fn scrapes_that_are_a_little_late_are_in_their_interval() {
        let late = [(0, 1.0), (15, 2.0), (31, 3.0), (45, 4.0), (60, 5.0)];

        let (trace, _) = regularize("p.json", "sample", rows(&late), false).unwrap();

        assert_eq!(trace.interval, Duration::from_secs(15));
        assert_eq!(trace.rates, [1.0, 2.0, 3.0, 4.0, 5.0]);
    }
}
