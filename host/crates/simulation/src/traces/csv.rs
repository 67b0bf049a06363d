//! CSV with a header: reads two columns by name.

use std::io::Read;

use crate::traces::error::TraceError;
use crate::traces::rows::Row;

/// Reads the columns `time` and `rate`. A time is given in seconds, since 1970 or since the start of the trace, or in
/// RFC 3339 format.
pub(super) fn read(source: &str, input: impl Read, columns: (&str, &str)) -> Result<Vec<Row>, TraceError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(input);
    let failed = |error: &csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                TraceError::malformed(source, line, format!("{len} columns, but the header has {expected_len}"))
            }
            _ => TraceError::malformed(source, line, error.to_string()),
        }
    };
    let header = reader.headers().map_err(|error| failed(&error))?;
    let find = |name: &str| {
        header.iter().position(|column| column == name).ok_or_else(|| {
            let there = header.iter().map(|column| format!("{column:?}")).collect::<Vec<_>>().join(", ");
            TraceError::malformed(
                source,
                1,
                format!("no column {name:?} among {there}; select columns with --columns TIME,RATE"),
            )
        })
    };
    let (time, rate) = (find(columns.0)?, find(columns.1)?);
    let mut rows = Vec::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| failed(&error))? {
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |index: usize| record.get(index).unwrap_or_default();
        let at_ms = parse_time(cell(time))
            .ok_or_else(|| TraceError::malformed(source, line, format!("{:?} is not a time", cell(time))))?;
        // An empty cell is a gap that `--repair` interpolates.
        let rate = match cell(rate) {
            "" => f64::NAN,
            text => {
                text.parse().map_err(|_| TraceError::malformed(source, line, format!("{text:?} is not a number")))?
            }
        };
        rows.push(Row { at_ms, rate, line });
    }
    Ok(rows)
}

/// Parses a time, in milliseconds since the epoch.
fn parse_time(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return from_seconds(seconds);
    }
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// Converts seconds to milliseconds since the epoch; returns `None` if out of range.
pub(super) fn from_seconds(seconds: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    let ms = (seconds.abs() < 1e12).then(|| (seconds * 1000.0).round() as i64);
    ms
}

#[cfg(test)]
mod tests;
