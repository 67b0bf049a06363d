//! What becomes of old samples: a mean and a maximum for each five minutes, and in the end nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, Transaction, params};

use crate::model::Timestamp;

/// The time that one down-sampled row stands for.
const BUCKET_MS: u64 = 300_000;
/// How often old samples are looked for.
const PRUNE_INTERVAL: Duration = Duration::from_hours(1);
/// How often, while there are more of them than one step takes.
const CATCH_UP_INTERVAL: Duration = Duration::from_mins(1);
/// How much time one step takes away, so that none holds a tick up.
const PRUNE_STEP_MS: u64 = 6 * 3_600_000;
/// How long a history that is in memory keeps samples, whatever is configured.
const IN_MEMORY_RETENTION: Duration = Duration::from_hours(24);

/// How long samples are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// As they were measured. Decision records that are to be replayed need them.
    pub raw: Duration,
    /// As a mean and a maximum for each five minutes, from when the raw ones are gone.
    pub downsampled: Duration,
}

impl Default for Retention {
    /// 14 and 400 days.
    fn default() -> Self {
        Self { raw: Duration::from_hours(14 * 24), downsampled: Duration::from_hours(400 * 24) }
    }
}

impl Retention {
    pub(super) fn in_memory(&self) -> Self {
        Self { raw: self.raw.min(IN_MEMORY_RETENTION), downsampled: self.raw.min(IN_MEMORY_RETENTION) }
    }
}

/// When old samples are looked for next.
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

/// Takes one step; answers whether there is more to do.
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

/// What was measured in a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AggregatedPoint {
    /// When; where it is down-sampled, the beginning of its five minutes.
    pub at: Timestamp,
    /// The value, or the mean.
    pub mean: f64,
    /// The largest of the values.
    pub max: f64,
}

/// A series as it is remembered, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesHistory {
    /// What tells it apart from others of its name.
    pub labels: Vec<(String, String)>,
    /// Its unit.
    pub unit: String,
    /// What was measured.
    pub points: Vec<AggregatedPoint>,
}

/// Everything of a name from `from`, and before `to`. Series that have ended go on in the next of the same key.
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
