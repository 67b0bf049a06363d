//! Errors of a source. They make its series stale; everything else continues.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use doproxy_core::seams::{CloudError, ErrorClass};

/// The error of one poll.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No response in time.
    #[error("no response from {what} within {after:?}; set a longer `timeout`, or investigate the delay")]
    TimedOut {
        /// The URL or program.
        what: String,
        /// The timeout.
        after: Duration,
    },
    /// No response at all.
    #[error("{url}: {why}")]
    Transport {
        /// The URL, without the query.
        url: String,
        /// The cause.
        why: String,
    },
    /// The HTTP client could not be created.
    #[error("failed to set up the HTTP client: {0}; for https, install the package ca-certificates")]
    Setup(String),
    /// A response with an error status.
    #[error("{url} returned status {status}{detail}")]
    Status {
        /// The URL, without the query.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The beginning of the body with a separator before it, or empty.
        detail: String,
    },
    /// A response beyond the size limit.
    #[error("the response of {url} exceeds {most} bytes")]
    TooLarge {
        /// The URL, without the query.
        url: String,
        /// The size limit.
        most: usize,
    },
    /// A response that is not JSON, or has an unexpected shape.
    #[error("invalid response from {url}: {why}")]
    InvalidResponse {
        /// The URL, without the query.
        url: String,
        /// The parse error.
        why: String,
    },
    /// The JSON pointer matches nothing.
    #[error("no value at {pointer:?} in the response of {url}; it begins with {found}")]
    PointerNotFound {
        /// The URL, without the query.
        url: String,
        /// The JSON pointer.
        pointer: String,
        /// The beginning of the response.
        found: String,
    },
    /// A value that should be a number.
    #[error("{what} is not a number: {found}")]
    NotANumber {
        /// A description of the value.
        what: String,
        /// The actual value.
        found: String,
    },
    /// NaN or infinity.
    #[error("{what} is {found}, not a finite number")]
    NotFinite {
        /// A description of the value.
        what: String,
        /// The actual value.
        found: String,
    },
    /// Prometheus rejected the query.
    #[error("Prometheus rejected the query: {0}")]
    QueryRejected(String),
    /// No data is available.
    #[error("{0}")]
    NoData(String),
    /// More series than a policy can read.
    #[error(
        "the query returned {found} series, more than the limit of {most}; aggregate them, for example with `sum(...)`"
    )]
    TooManySeries {
        /// The number of series.
        found: usize,
        /// The maximum number of series.
        most: usize,
    },
    /// The program failed to start.
    #[error("failed to run {program}: {source}")]
    CannotRun {
        /// The program.
        program: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The program ended with an error.
    #[error("{program} failed with {exit_status}{detail}")]
    Failed {
        /// The program.
        program: String,
        /// Its exit status.
        exit_status: String,
        /// Its output with a separator before it, or empty.
        detail: String,
    },
    /// The bearer token file is unusable.
    #[error("bearer token file {} {problem}", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// The problem and its remedy.
        problem: String,
    },
    /// A call to DigitalOcean's API failed.
    #[error("{0}{hint}", hint = hint(.0))]
    Cloud(#[from] CloudError),
    /// The source panicked.
    #[error("the source failed: {0}; this is a bug in doproxy")]
    Panicked(String),
}

/// Returns a hint about the scope `monitoring:read`, which a token with all scopes for the fleet may still lack.
fn hint(error: &CloudError) -> &'static str {
    if error.class == ErrorClass::Unauthorized { "; the token needs the scope monitoring:read" } else { "" }
}
