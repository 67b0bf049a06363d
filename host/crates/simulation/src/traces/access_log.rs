//! HAProxy's HTTP log and the Common and Combined Log Formats of web servers. Each line is a request with its time in
//! brackets (`[06/Feb/2009:12:14:14.655]`, `[10/Oct/2000:13:55:36 -0700]`).
//!
//! Log lines are ordered by the end of each request, so their times may go backwards. Requests are only counted, so the
//! order does not matter. HAProxy logs no time zone; its times are interpreted as UTC.

use std::collections::BTreeMap;
use std::io::{BufRead, Read as _};

use jiff::fmt::strtime;
use jiff::tz::Offset;

use crate::number::to_f64;
use crate::traces::MAX_INTERVALS;
use crate::traces::error::{Problem, TraceError};
use crate::traces::rows::{Repair, Row};

/// Maximum line length; HAProxy writes at most 64 KiB.
const MAX_LINE_BYTES: usize = 1 << 20;

/// Maximum length of a time including its closing bracket.
const MAX_TIME_BYTES: usize = 32;

/// Counts the requests in each interval of `interval_ms`. An interval without requests has a rate of 0.
pub(super) fn read(
    source: &str,
    mut input: impl BufRead,
    interval_ms: i64,
    repair: bool,
) -> Result<(Vec<Row>, Vec<Repair>), TraceError> {
    let mut counts: BTreeMap<i64, u64> = BTreeMap::new();
    let mut skipped = Repair { description: "skipped lines that are not requests", count: 0, first: 0 };
    let mut bytes = Vec::new();
    let mut line = 0;
    loop {
        bytes.clear();
        line += 1;
        let most = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
        let read = (&mut input).take(most).read_until(b'\n', &mut bytes);
        if read.map_err(|error| TraceError::malformed(source, line, error.to_string()))? == 0 {
            break;
        }
        if bytes.len() == MAX_LINE_BYTES {
            return Err(TraceError::line(source, line, Problem::TooLong(MAX_LINE_BYTES)));
        }
        let text = bytes.trim_ascii();
        if text.is_empty() {
            continue;
        }
        match parse_time(text) {
            Some(at_ms) => *counts.entry(at_ms.div_euclid(interval_ms)).or_default() += 1,
            // HAProxy logs its own state and that of its servers in the same file.
            None if repair || contains(text, b"haproxy[") => {
                skipped.first = if skipped.count == 0 { line } else { skipped.first };
                skipped.count += 1;
            }
            None => {
                let shown: String = String::from_utf8_lossy(text).chars().take(60).collect();
                let problem = format!("no request with a bracketed time: {shown:?}; pass --repair to skip such lines");
                return Err(TraceError::malformed(source, line, problem));
            }
        }
    }
    let repairs = if skipped.count > 0 { vec![skipped] } else { Vec::new() };
    Ok((rows(source, &counts, interval_ms)?, repairs))
}

/// Returns a row for each interval from the first to the last.
fn rows(source: &str, counts: &BTreeMap<i64, u64>, interval_ms: i64) -> Result<Vec<Row>, TraceError> {
    let (Some((first, _)), Some((last, _))) = (counts.first_key_value(), counts.last_key_value()) else {
        return Ok(Vec::new());
    };
    let slots = u64::try_from(last - first).unwrap_or(u64::MAX).saturating_add(1);
    if slots > MAX_INTERVALS {
        return Err(TraceError::too_long(source, slots));
    }
    let seconds = to_f64(u64::try_from(interval_ms).unwrap_or(1)) / 1000.0;
    let rate = |slot: i64| to_f64(counts.get(&slot).copied().unwrap_or_default()) / seconds;
    Ok((1_u64..)
        .zip(*first..=*last)
        .map(|(line, slot)| Row { at_ms: slot * interval_ms, rate: rate(slot), line })
        .collect())
}

/// Reports whether a line has one of these formats.
pub(super) fn is_access_log_line(line: &[u8]) -> bool {
    parse_time(line).is_some() || contains(line, b"haproxy[")
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Parses the time of a request, in milliseconds since the epoch.
fn parse_time(line: &[u8]) -> Option<i64> {
    // IPv6 addresses may be bracketed, too.
    let opened = line.iter().enumerate().filter(|(_, byte)| **byte == b'[').map(|(index, _)| index + 1);
    opened.take(8).find_map(|index| parse_bracketed_time(line.get(index..)?))
}

/// Parses `06/Feb/2009:12:14:14.655]` or `10/Oct/2000:13:55:36 -0700]`.
fn parse_bracketed_time(text: &[u8]) -> Option<i64> {
    let end = text.iter().take(MAX_TIME_BYTES).position(|byte| *byte == b']')?;
    let text = text.get(..end)?;
    // Web servers log an offset; HAProxy logs milliseconds instead.
    let time =
        strtime::parse("%d/%b/%Y:%H:%M:%S %z", text).or_else(|_| strtime::parse("%d/%b/%Y:%H:%M:%S%.f", text)).ok()?;
    let offset = time.offset().unwrap_or(Offset::UTC);
    Some(offset.to_timestamp(time.to_datetime().ok()?).ok()?.as_millisecond())
}

#[cfg(test)]
mod tests;
