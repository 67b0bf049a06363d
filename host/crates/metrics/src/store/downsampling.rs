//! Retention of old samples: they are downsampled to a mean and a maximum per five minutes, and eventually deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use doproxy_core::domain::Timestamp;
use rusqlite::{Connection, Transaction, params};

/// Interval covered by one downsampled row.
const BUCKET_MS: u64 = 300_000;
/// Interval between pruning runs.
const PRUNE_INTERVAL: Duration = Duration::from_hours(1);
/// Interval between pruning runs while one step cannot prune all old samples.
const CATCH_UP_INTERVAL: Duration = Duration::from_mins(1);
/// Time range pruned in one step; limited so that a step does not delay a tick.
const PRUNE_STEP_MS: u64 = 6 * 3_600_000;
/// Maximum retention of an in-memory store, regardless of the configuration.
const IN_MEMORY_RETENTION: Duration = Duration::from_hours(24);

/// Retention periods of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Retention of raw samples. Replaying decision records requires them.
    pub raw: Duration,
    /// Retention of downsampled data (a mean and a maximum per five minutes), which replace raw samples once those are
    /// deleted.
    pub downsampled: Duration,
}

impl Default for Retention {
    /// Returns 14 and 400 days.
    fn default() -> Self {
        Self { raw: Duration::from_hours(14 * 24), downsampled: Duration::from_hours(400 * 24) }
    }
}

impl Retention {
    pub(super) fn in_memory(&self) -> Self {
        Self { raw: self.raw.min(IN_MEMORY_RETENTION), downsampled: self.raw.min(IN_MEMORY_RETENTION) }
    }
}

/// Time of the next pruning run.
#[derive(Debug, Default)]
pub(super) struct PruneSchedule {
    next: Timestamp,
}

impl PruneSchedule {
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.next <= now
    }

    pub(super) fn reschedule(&mut self, now: Timestamp, more: bool) {
        self.next = now.plus(if more { CATCH_UP_INTERVAL } else { PRUNE_INTERVAL });
    }
}

/// Runs one pruning step. Returns `true` if more steps are needed.
pub(super) fn prune(transaction: &Transaction<'_>, retention: &Retention, now: Timestamp) -> rusqlite::Result<bool> {
    let whole_buckets = |at: Timestamp| at.0 - at.0 % BUCKET_MS;
    let target = whole_buckets(now.minus(retention.raw));
    let oldest: Option<u64> = transaction.query_row("SELECT min(at) FROM samples", [], |row| row.get(0))?;
    let cut = target.min(whole_buckets(Timestamp(oldest.unwrap_or(target))) + PRUNE_STEP_MS);
    if oldest.is_some_and(|oldest| oldest < cut) {
        transaction.execute(
            "INSERT OR IGNORE INTO downsampled (at, series, mean, max)
             SELECT at - at % ?2, series, avg(value), max(value) FROM samples WHERE at < ?1 GROUP BY at - at % ?2, series",
            params![cut, BUCKET_MS],
        )?;
        transaction.execute("DELETE FROM samples WHERE at < ?1", [cut])?;
    }
    transaction.execute("DELETE FROM downsampled WHERE at < ?1", [now.minus(retention.downsampled).0])?;
    Ok(oldest.is_some() && cut < target)
}

/// A measurement, or the aggregate of five minutes of measurements.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AggregatedPoint {
    /// Time of measurement; for downsampled data, the start of the five minutes.
    pub at: Timestamp,
    /// Value or mean.
    pub mean: f64,
    /// Maximum.
    pub max: f64,
}

/// The stored data of a series, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesHistory {
    /// Labels that distinguish it from other series of the same name.
    pub labels: Vec<(String, String)>,
    /// Unit.
    pub unit: String,
    /// Data points.
    pub points: Vec<AggregatedPoint>,
}

/// Reads all series with this name from `from` (inclusive) to `to` (exclusive). A closed series is continued by the
/// next series with the same key.
pub(super) fn read_history(
    connection: &Connection,
    name: &str,
    from: Timestamp,
    to: Timestamp,
) -> rusqlite::Result<Vec<SeriesHistory>> {
    let mut statement = connection.prepare_cached(
        "SELECT s.labels, s.unit, p.at, p.mean, p.max FROM series s JOIN (
             SELECT at, series, mean, max FROM downsampled WHERE at >= ?2 AND at < ?3
             UNION ALL SELECT at, series, value, value FROM samples WHERE at >= ?2 AND at < ?3
         ) p ON p.series = s.id WHERE s.name = ?1 ORDER BY p.at, s.id",
    )?;
    let mut rows = statement.query(params![name, from.0, to.0])?;
    let mut found: BTreeMap<(String, String), Vec<AggregatedPoint>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let point = AggregatedPoint { at: Timestamp(row.get(2)?), mean: row.get(3)?, max: row.get(4)? };
        found.entry((row.get(0)?, row.get(1)?)).or_default().push(point);
    }
    let series = found.into_iter().map(|((labels, unit), points)| {
        let labels = serde_json::from_str(&labels).unwrap_or_default();
        SeriesHistory { labels, unit, points }
    });
    Ok(series.collect())
}
