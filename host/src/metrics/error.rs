//! Why a source gave nothing. Its series are stale then; nothing stops.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::cloud::{CloudError, ErrorClass};

/// Why a source gave nothing this time.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No answer in time.
    #[error("no answer from {what} within {after:?}; set a longer `timeout`, or see why it is slow")]
    TimedOut {
        /// Who was asked.
        what: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// No answer at all.
    #[error("{url}: {why}")]
    Transport {
        /// Where, without the query.
        url: String,
        /// What happened.
        why: String,
    },
    /// The HTTP client cannot be set up.
    #[error("the HTTP client cannot be set up: {0}; for https, install the package ca-certificates")]
    Setup(String),
    /// An answer that is no success.
    #[error("{url} answers with status {status}{said}")]
    Status {
        /// Where, without the query.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it says, with a separator before it; or nothing.
        said: String,
    },
    /// An answer without end.
    #[error("the answer of {url} is larger than {most} bytes, and was not read on")]
    TooLarge {
        /// Where, without the query.
        url: String,
        /// How much is read.
        most: usize,
    },
    /// An answer that is no JSON, or not of the shape that is expected.
    #[error("the answer of {url} is not understood: {why}")]
    InvalidResponse {
        /// Where, without the query.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is nothing at the pointer.
    #[error("the answer of {url} has nothing at {pointer:?}; it begins {found}")]
    PointerNotFound {
        /// Where, without the query.
        url: String,
        /// The JSON pointer.
        pointer: String,
        /// The beginning of the answer.
        found: String,
    },
    /// What should be a number is none.
    #[error("{what} is no number: {found}")]
    NotANumber {
        /// What it is about.
        what: String,
        /// What is there in its place.
        found: String,
    },
    /// NaN or infinity.
    #[error("{what} is {found}, which nothing can be decided on")]
    NotFinite {
        /// What it is about.
        what: String,
        /// What it is.
        found: String,
    },
    /// Prometheus refused the query.
    #[error("Prometheus refuses the query: {0}")]
    QueryRejected(String),
    /// There is no data.
    #[error("{0}")]
    NoData(String),
    /// More series than a policy can read.
    #[error("the query gives {found} series, and {most} are the most; add them up, as in `sum(...)`")]
    TooManySeries {
        /// How many there are.
        found: usize,
        /// How many may be.
        most: usize,
    },
    /// The program cannot be run.
    #[error("cannot run {program}: {source}")]
    CannotRun {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The program said that it failed.
    #[error("{program} ended with {how}{said}")]
    Failed {
        /// The program.
        program: String,
        /// Its exit status.
        how: String,
        /// What it says, with a separator before it; or nothing.
        said: String,
    },
    /// The file with the bearer token cannot be used.
    #[error("the bearer token file {} {problem}", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The API of DigitalOcean failed.
    #[error("{0}{hint}", hint = hint(.0))]
    Cloud(#[from] CloudError),
    /// The source itself failed.
    #[error("the source failed: {0}; this is a fault in doproxy")]
    Panicked(String),
}

/// Tokens with all scopes that the fleet needs lack this one.
fn hint(error: &CloudError) -> &'static str {
    if error.class == ErrorClass::Unauthorized { "; the token needs the scope monitoring:read" } else { "" }
}
