//! Reads a trace from a file of any supported format, optionally compressed with gzip.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use flate2::bufread::MultiGzDecoder;

use crate::traces::trace::millis;
use crate::traces::{Repair, Trace, TraceError, access_log, csv, prometheus, rows};

/// Options for reading a file.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// CSV columns of the time and the rate.
    pub columns: (String, String),
    /// Interval over which the lines of a log are counted.
    pub interval: Duration,
    /// True to repair invalid data where possible.
    pub repair: bool,
}

/// Number of bytes inspected to detect the format.
const SNIFF_BYTES: usize = 64 * 1024;

/// The file formats.
enum TraceFormat {
    Csv,
    Prometheus,
    AccessLog,
}

/// Reads the file at `path`.
pub fn read_file(path: &Path, reading: &ReadOptions) -> Result<(Trace, Vec<Repair>), TraceError> {
    let failed = |source| TraceError::Read { path: path.to_owned(), source };
    let mut file = BufReader::with_capacity(SNIFF_BYTES, File::open(path).map_err(failed)?);
    let is_packed = file.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
    let source = path.display().to_string();
    if is_packed {
        return read_text(&source, BufReader::with_capacity(SNIFF_BYTES, MultiGzDecoder::new(file)), reading);
    }
    read_text(&source, file, reading)
}

/// Reads text of any supported format.
fn read_text(source: &str, mut input: impl BufRead, reading: &ReadOptions) -> Result<(Trace, Vec<Repair>), TraceError> {
    let start = input.fill_buf().map_err(|error| TraceError::whole(source, error.to_string()))?;
    match detect_format(start) {
        TraceFormat::Csv => {
            let (time, rate) = &reading.columns;
            rows::regularize(source, "row", csv::read(source, input, (time, rate))?, reading.repair)
        }
        TraceFormat::Prometheus => rows::regularize(source, "sample", prometheus::read(source, input)?, reading.repair),
        TraceFormat::AccessLog => {
            let interval = i64::try_from(millis(reading.interval)).unwrap_or(i64::MAX);
            let (counted, skipped) = access_log::read(source, input, interval, reading.repair)?;
            let (trace, repairs) = rows::regularize(source, "interval", counted, reading.repair)?;
            Ok((trace, skipped.into_iter().chain(repairs).collect()))
        }
    }
}

fn detect_format(start: &[u8]) -> TraceFormat {
    let start = start.trim_ascii_start();
    let first_line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if start.starts_with(b"{") {
        TraceFormat::Prometheus
    } else if access_log::is_access_log_line(first_line) {
        TraceFormat::AccessLog
    } else {
        TraceFormat::Csv
    }
}

#[cfg(test)]
mod tests;
