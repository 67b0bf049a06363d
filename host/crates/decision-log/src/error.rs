//! Errors of writing and reading decision records. None of them makes a tick fail.

use std::path::PathBuf;

use doproxy_core::domain::RecordId;
use doproxy_metrics::TimeSeriesError;
use doproxy_plugin_host::PluginError;

/// An error of writing, reading or replaying records.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] TimeSeriesError),
    /// The record was never written, or is older than the retention.
    #[error("record {0} not found; run `doproxy decisions list --all` to list the records")]
    NotFound(RecordId),
    /// The log is empty.
    #[error("no records yet; `doproxy run` writes one per tick")]
    Empty,
    /// There are fewer records than the selector counts back.
    #[error("there are only {0} records; run `doproxy decisions list --all` to list them")]
    TooFew(u64),
    /// The record is corrupt. Others may be intact.
    #[error("failed to read record {id}: {corruption}")]
    Corrupt {
        /// The record.
        id: RecordId,
        /// The corruption.
        corruption: Corruption,
    },
    /// A tick cannot be encoded.
    #[error("failed to record the tick: {0}")]
    Encode(Corruption),
    /// A component cannot be loaded or called.
    #[error(transparent)]
    Plugin(Box<PluginError>),
    /// No component with this digest was found.
    #[error(
        "component {digest} of {reference} not found in the records, among the built-in components or at its reference"
    )]
    NoComponent {
        /// The SHA-256 of the component, in hexadecimal.
        digest: String,
        /// The reference from which it was loaded.
        reference: String,
    },
    /// A bundle cannot be written.
    #[error("failed to write {}: {reason}", path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A background task was aborted.
    #[error("reading the records was aborted: {0}")]
    TaskAborted(String),
}

impl From<PluginError> for RecordError {
    fn from(error: PluginError) -> Self {
        Self::Plugin(Box::new(error))
    }
}

/// The corruption of a record's bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Corruption {
    /// Another version of doproxy wrote the record.
    #[error("unknown format version {0}; use the doproxy that wrote it")]
    UnknownFormat(u8),
    /// The body is shorter than its header.
    #[error("truncated")]
    Truncated,
    /// The declared size exceeds the maximum.
    #[error("declared size of {0} bytes exceeds the maximum")]
    TooLarge(usize),
    /// The body does not inflate.
    #[error("invalid compressed data ({0})")]
    InvalidStream(String),
    /// The body is the difference to a record other than the previous one.
    #[error("does not match the previous record")]
    WrongBase,
    /// The checksum does not match.
    #[error("checksum mismatch")]
    ChecksumMismatch,
    /// The content is not a record.
    #[error("not a record ({0})")]
    InvalidContent(String),
    /// The record that it is based on is missing.
    #[error("a record that it is based on is missing")]
    MissingBase,
}
