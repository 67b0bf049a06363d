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
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(bytes: &[u8]) -> Trace {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let columns = ("timestamp_s".to_owned(), "requests_per_s".to_owned());
        let reading = ReadOptions { columns, interval: Duration::from_secs(30), repair: false };
        super::read_file(file.path(), &reading).unwrap().0
    }

    #[test]
    fn format_is_detected_with_and_without_gzip() {
        let csv = b"timestamp_s,requests_per_s\n0,2\n30,1\n".to_vec();
        let prometheus = br#" {"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[0,"2"],[30,"1"]]}]}}"#;
        let log = |second: u32| format!("::1 - - [01/Jan/1970:00:00:{second:02} +0000] \"GET / HTTP/1.1\" 200 5\n");
        let logs: String = (0..60).map(|request| log(request / 2)).chain((30..60).map(log)).collect();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(&csv).unwrap();

        for bytes in [csv, prometheus.to_vec(), logs.into_bytes(), packed.finish().unwrap()] {
            let trace = read(&bytes);

            assert_eq!((trace.interval, trace.rates), (Duration::from_secs(30), vec![2.0, 1.0]));
        }
    }
}
