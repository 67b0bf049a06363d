//! Why records cannot be written or read. None of it is a reason for a tick to fail.

use std::path::PathBuf;

use crate::history::TimeSeriesError;
use crate::model::RecordId;
use crate::plugin::PluginError;

/// Why records cannot be written, read or replayed.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The database.
    #[error(transparent)]
    Store(#[from] TimeSeriesError),
    /// It was never written, or is older than the retention.
    #[error("there is no record {0}; `doproxy decisions list --all` shows what there is")]
    NotFound(RecordId),
    /// Nothing was recorded.
    #[error("there are no records yet; `doproxy run` makes one each tick")]
    Empty,
    /// There are fewer than were counted back.
    #[error("there are only {0} records; `doproxy decisions list --all` shows them")]
    TooFew(u64),
    /// It is not what was written. Others may be whole.
    #[error("record {id} cannot be read: {corruption}")]
    Corrupt {
        /// Which.
        id: RecordId,
        /// What is wrong with it.
        corruption: Corruption,
    },
    /// A tick that cannot be written.
    #[error("the tick cannot be recorded: {0}")]
    Encode(Corruption),
    /// A component cannot be had, or not called.
    #[error(transparent)]
    Plugin(Box<PluginError>),
    /// No component of this digest is anywhere.
    #[error(
        "the component {digest} of {reference} is not there: neither in the records, nor built in, nor at its reference"
    )]
    NoComponent {
        /// SHA-256, in hexadecimal.
        digest: String,
        /// Where it came from.
        reference: String,
    },
    /// A bundle cannot be written.
    #[error("cannot write {}: {reason}", path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What should be only computing broke off.
    #[error("reading the records broke off: {0}")]
    TaskAborted(String),
}

impl From<PluginError> for RecordError {
    fn from(error: PluginError) -> Self {
        Self::Plugin(Box::new(error))
    }
}

/// What is wrong with the bytes of a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Corruption {
    /// Another doproxy wrote it.
    #[error("it has the form {0}, which this doproxy does not know; use the doproxy that wrote it")]
    UnknownFormat(u8),
    /// It is shorter than its head.
    #[error("it is cut off")]
    Truncated,
    /// It says to be larger than any record is.
    #[error("it would be {0} bytes")]
    TooLarge(usize),
    /// It does not inflate.
    #[error("it is damaged ({0})")]
    InvalidStream(String),
    /// It is the difference to another record than the one before it.
    #[error("it does not fit to the record before it")]
    WrongBase,
    /// It is not what was written.
    #[error("it is damaged (its checksum is another)")]
    ChecksumMismatch,
    /// It is something else.
    #[error("it is no record ({0})")]
    InvalidContent(String),
    /// The record that it is compressed by is not there.
    #[error("a record that it builds on is missing")]
    MissingBase,
}
