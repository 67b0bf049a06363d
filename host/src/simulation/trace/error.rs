//! What can be wrong with a trace.

use std::path::PathBuf;

use super::MAX_INTERVALS;

/// What is wrong with a trace, where, and what to do. None of these goes away by trying again.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file cannot be read.
    #[error("cannot read the trace {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is wrong.
    #[error("{source_name}:{line}: {problem}")]
    Line {
        /// The file, or what the samples are.
        source_name: String,
        /// The line, from 1; the number of the sample where there are no lines.
        line: u64,
        /// What is wrong with it.
        problem: Problem,
    },
    /// The whole is wrong.
    #[error("{source_name}: {problem}")]
    Whole {
        /// The file, or what the samples are.
        source_name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A generator is written wrongly.
    #[error("{text:?} is no trace: {problem}")]
    Generator {
        /// What was written.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Problem {
    /// It has another form than those before.
    #[error("{0}")]
    Malformed(String),
    /// The rate is below zero.
    #[error("{0} requests per second: a rate is never negative; --repair makes it 0")]
    Negative(f64),
    /// The rate is not finite.
    #[error("{0} is no rate; --repair fills it in from the values beside it")]
    NotFinite(f64),
    /// The time is before 1970.
    #[error("a time before 1970")]
    BeforeEpoch,
    /// The time is before that of the line before.
    #[error("its time is {0} s before that of the line before; --repair sorts the trace")]
    OutOfOrder(f64),
    /// The time is that of the line before.
    #[error("its time is that of the line before; --repair takes the mean of both")]
    Duplicate,
    /// Lines are missing.
    #[error("{missing} of the intervals before it {} missing; --repair fills them in from the values beside them", if *.missing == 1 { "is" } else { "are" })]
    Gap {
        /// How many intervals have no line.
        missing: u64,
    },
    /// The time is beside the beat of the others.
    #[error("its time is {off_s} s beside the beat of {interval_s} s; --repair moves it")]
    OffInterval {
        /// How far, in seconds.
        off_s: f64,
        /// The beat, in seconds.
        interval_s: f64,
    },
    /// The line does not end.
    #[error("the line is longer than {0} bytes")]
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
            format!("{intervals} intervals are more than {MAX_INTERVALS}; is a time wrong, or the unit?"),
        )
    }
}
