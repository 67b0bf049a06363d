//! Trace errors.

use std::path::PathBuf;

use crate::traces::MAX_INTERVALS;

/// A trace error with its position and remedy. Retrying does not help with any of them.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file cannot be read.
    #[error("failed to read trace {}: {source}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// Underlying error.
        source: std::io::Error,
    },
    /// A line is invalid.
    #[error("{source_name}:{line}: {problem}")]
    Line {
        /// File name, or a description of the samples.
        source_name: String,
        /// Line number, from 1; the sample number if there are no lines.
        line: u64,
        /// Problem with the line.
        problem: Problem,
    },
    /// The trace as a whole is invalid.
    #[error("{source_name}: {problem}")]
    Whole {
        /// File name, or a description of the samples.
        source_name: String,
        /// Description of the problem.
        problem: String,
    },
    /// A generator expression is invalid.
    #[error("{text:?} is not a valid trace: {problem}")]
    Generator {
        /// Text of the expression.
        text: String,
        /// Description of the problem.
        problem: String,
    },
}

/// A problem with a line.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Problem {
    /// The line has an unexpected format.
    #[error("{0}")]
    Malformed(String),
    /// The rate is negative.
    #[error("{0} requests per second is negative; pass --repair to set negative rates to 0")]
    Negative(f64),
    /// The rate is not finite.
    #[error("{0} is not a rate; pass --repair to interpolate it")]
    NotFinite(f64),
    /// The time is before 1970.
    #[error("time is before 1970")]
    BeforeEpoch,
    /// The time is before that of the previous line.
    #[error("time is {0} s before that of the previous line; pass --repair to sort the trace")]
    OutOfOrder(f64),
    /// The time equals that of the previous line.
    #[error("time equals that of the previous line; pass --repair to average both")]
    Duplicate,
    /// Lines are missing.
    #[error("{missing} of the preceding intervals {} missing; pass --repair to interpolate them", if *.missing == 1 { "is" } else { "are" })]
    Gap {
        /// Number of intervals without a line.
        missing: u64,
    },
    /// The time does not match the regular interval.
    #[error("time is {off_s} s off the {interval_s} s interval; pass --repair to move it")]
    OffInterval {
        /// Deviation, in seconds.
        off_s: f64,
        /// Regular interval, in seconds.
        interval_s: f64,
    },
    /// The line exceeds the maximum length.
    #[error("line is longer than {0} bytes")]
    TooLong(usize),
}

impl TraceError {
    pub(super) fn line(source: &str, line: u64, problem: Problem) -> Self {
        Self::Line { source_name: source.to_owned(), line, problem }
    }

    pub(super) fn malformed(source: &str, line: u64, problem: impl Into<String>) -> Self {
        Self::line(source, line, Problem::Malformed(problem.into()))
    }

    pub(super) fn whole(source: &str, problem: impl Into<String>) -> Self {
        Self::Whole { source_name: source.to_owned(), problem: problem.into() }
    }

    pub(super) fn too_long(source: &str, intervals: u64) -> Self {
        Self::whole(
            source,
            format!("{intervals} intervals exceed the maximum of {MAX_INTERVALS}; check the times and their unit"),
        )
    }
}
