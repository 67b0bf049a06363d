//! The parameters and results of polls.

use std::sync::Arc;
use std::time::Duration;

use doproxy_core::domain::{DropletId, Sample, Timestamp};

use crate::error::SourceError;

/// The parameters of one poll.
#[derive(Debug, Clone)]
pub(crate) struct Poll {
    pub(crate) now: Timestamp,
    /// The time of the newest known sample.
    pub(crate) newest: Option<Timestamp>,
    /// The lookback if no sample is known.
    pub(crate) lookback: Duration,
    /// The time between its samples.
    pub(crate) interval: Duration,
    /// The serving droplets.
    pub(crate) droplets: Arc<[DropletId]>,
}

/// The samples of one series.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PolledSeries {
    /// The suffix of the source's name; empty for the source's own name.
    pub(crate) suffix: &'static str,
    pub(crate) labels: Vec<(String, String)>,
    /// Oldest first.
    pub(crate) samples: Vec<Sample>,
}

/// The result of a poll.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PollResult {
    /// No new sample is possible yet.
    Unchanged,
    /// All current series, each with its new samples.
    Series(Vec<PolledSeries>),
}

impl PollResult {
    /// Returns a single series without labels.
    pub(super) fn single(sample: Sample) -> Self {
        Self::Series(vec![PolledSeries { suffix: "", labels: Vec::new(), samples: vec![sample] }])
    }
}

/// Returns the number if it is finite, otherwise an error.
pub(super) fn finite(number: f64, what: impl FnOnce() -> String) -> Result<f64, SourceError> {
    if number.is_finite() {
        return Ok(number);
    }
    Err(SourceError::NotFinite { what: what(), found: number.to_string() })
}
