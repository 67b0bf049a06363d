//! The newest samples of one series, cached in memory.

use std::collections::VecDeque;
use std::time::Duration;

use doproxy_core::domain::{Sample, Timestamp};

/// Maximum number of samples in a ring, regardless of its horizon: two weeks at 15 s are 80,640.
const MAX_SAMPLES: usize = 100_000;

/// All samples of a series since a point in time.
#[derive(Debug, Default)]
pub(super) struct Ring {
    samples: VecDeque<Sample>,
    /// Time after which no samples are missing.
    complete_since: Timestamp,
}

impl Ring {
    /// Creates an empty ring for a series without samples later than `complete_since`.
    pub(super) fn since(complete_since: Timestamp) -> Self {
        Self { samples: VecDeque::new(), complete_since }
    }

    /// Appends a sample. Returns `false` if it is not finite or not later than all previous ones.
    pub(super) fn push(&mut self, sample: Sample, horizon: Duration) -> bool {
        if sample.at <= self.last_timestamp() || !sample.value.is_finite() {
            return false;
        }
        self.samples.push_back(sample);
        self.trim(horizon);
        true
    }

    /// Drops samples older than the horizon, except for the newest.
    fn trim(&mut self, horizon: Duration) {
        let Some(newest) = self.newest() else { return };
        let since = newest.at.minus(horizon);
        while self.samples.len() > 1 && (self.samples[0].at <= since || self.samples.len() > MAX_SAMPLES) {
            if let Some(old) = self.samples.pop_front() {
                self.complete_since = old.at;
            }
        }
    }

    /// Prepends older samples, ordered by time; `older` must contain every sample later than `since`.
    pub(super) fn prepend(&mut self, older: &[Sample], since: Timestamp) {
        if since >= self.complete_since {
            return;
        }
        let mut missing = older.iter().rev().filter(|sample| sample.at <= self.complete_since);
        let mut complete_since = since;
        let room = MAX_SAMPLES.saturating_sub(self.samples.len());
        for sample in missing.by_ref().take(room) {
            self.samples.push_front(*sample);
        }
        if let Some(left_out) = missing.next() {
            complete_since = left_out.at;
        }
        self.complete_since = complete_since;
    }

    /// Returns the time that a new sample must exceed.
    fn last_timestamp(&self) -> Timestamp {
        self.newest().map_or(self.complete_since, |newest| newest.at)
    }

    pub(super) fn newest(&self) -> Option<Sample> {
        self.samples.back().copied()
    }

    pub(super) fn complete_since(&self) -> Timestamp {
        self.complete_since
    }

    /// Returns the samples later than `from` and not later than `to`. `None` if the ring may lack some of them.
    pub(super) fn between(&self, from: Timestamp, to: Timestamp) -> Option<impl ExactSizeIterator<Item = Sample> + '_> {
        if from < self.complete_since {
            return None;
        }
        let first = self.samples.partition_point(|sample| sample.at <= from);
        let end = self.samples.partition_point(|sample| sample.at <= to).max(first);
        Some(self.samples.range(first..end).copied())
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Sample> + '_ {
        self.samples.iter().copied()
    }
}
