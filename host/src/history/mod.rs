//! What was measured, over time: samples of series, in a SQLite file of its own beside the inventory.
//!
//! Samples are append-only: one is written only when it is later than the last of its series, and is never changed. So
//! a window of a series, once written, stays what it was, and decision records refer to windows ([`SeriesRef`]) in place
//! of copying them. The newest samples are in memory too (`ring`), so that a tick reads nothing from disk. `store` is the
//! file and its schema, `age` makes fewer of old samples. Where samples come from is `crate::metrics`.
//!
//! Losing the history loses no droplet, and so it never stops anything: a damaged file is moved aside and a new one
//! begun, a file that cannot be used leaves the history in memory, and what cannot be written now is written later. Each
//! is said loudly.

mod downsampling;
mod error;
mod ring_buffer;
mod sqlite;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

pub use downsampling::{AggregatedPoint, Retention, SeriesHistory};
pub use error::TimeSeriesError;

use crate::model::{Sample, SeriesId, SeriesRef, Timestamp};
use ring_buffer::Ring;
use sqlite::{Location, SqliteStore};

/// How far back the rings go until somebody asks for more.
const DEFAULT_HORIZON: Duration = Duration::from_hours(6);

/// Samples this much later than now are from a time when the clock was wrong.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(5);

/// Most samples that wait for a disk that cannot be written: some hours of a busy fleet.
const MAX_PENDING_SAMPLES: usize = 200_000;

/// Most series that are known. Whoever makes more has a label that is never the same twice.
const MAX_SERIES: usize = 10_000;

/// A trouble that lasts is said again after so many failed writes; at 15 s, each ten minutes.
const REPEAT_ERROR_AFTER: u32 = 40;

/// What tells apart the series that are open.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SeriesKey {
    /// Such as `haproxy.requests_per_second`.
    pub name: String,
    /// What tells apart series of one name; sorted.
    pub labels: Vec<(String, String)>,
    /// Such as `requests/s`: numbers of another unit are another series.
    pub unit: String,
}

/// The samples of all series of a fleet.
#[derive(Debug)]
pub struct TimeSeriesStore(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    store: SqliteStore,
    series: BTreeMap<SeriesId, CachedSeries>,
    open: HashMap<SeriesKey, SeriesId>,
    /// The next free number.
    next: u32,
    horizon: Duration,
    /// Series that the file does not have yet.
    new_series: Vec<SeriesId>,
    /// Samples that the file does not have yet, in order.
    pending: Vec<(SeriesId, Sample)>,
    /// What is wrong with the file, and how many writes have failed since that was said.
    last_error: Option<(String, u32)>,
    prune_schedule: downsampling::PruneSchedule,
}

/// A series of this process, with its newest samples.
#[derive(Debug)]
struct CachedSeries {
    key: SeriesKey,
    ring: Ring,
}

/// How the history is doing, for `status` and `check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStatus {
    /// The file, or `in memory`.
    pub location: String,
    /// Whether it outlives this process.
    pub durable: bool,
    /// What is wrong with the file, where something is.
    pub last_error: Option<String>,
    /// Series that are known.
    pub series: usize,
    /// Bytes of the database, its log left out.
    pub bytes: u64,
}

impl TimeSeriesStore {
    /// Opens the history at `path`, and makes it where there is none. Where that cannot be done it is in memory, which
    /// is said in a warning and in [`Condition`]; a damaged file is moved aside first.
    pub fn open(path: &Path, now: Timestamp) -> Self {
        let mut trouble = None;
        let mut opened = SqliteStore::open(path).and_then(|store| Inner::of(store, now));
        if let Err(TimeSeriesError::Open { reason, .. } | TimeSeriesError::Sqlite { reason, .. }) = &opened
            && sqlite::is_corruption(reason)
        {
            move_damaged_aside(path, now, reason);
            opened = SqliteStore::open(path).and_then(|store| Inner::of(store, now));
        }
        let mut inner = opened.unwrap_or_else(|error| {
            tracing::warn!("{error}; what is measured is kept in memory, and lost when doproxy ends");
            trouble = Some((error.to_string(), 0));
            Inner::empty(SqliteStore::in_memory())
        });
        inner.last_error = trouble;
        Self(Mutex::new(inner))
    }

    /// Looks at the history at `path`, while another process may write it: what is appended stays in memory.
    pub fn open_read_only(path: &Path, now: Timestamp) -> Result<Self, TimeSeriesError> {
        SqliteStore::open_read_only(path).and_then(|store| Inner::of(store, now)).map(|inner| Self(Mutex::new(inner)))
    }

    /// A history that is gone with this process.
    pub fn in_memory() -> Self {
        Self(Mutex::new(Inner::empty(SqliteStore::in_memory())))
    }

    /// The series of this key, which is begun where it is not known yet; `None` when there are too many.
    pub fn get_or_create(&self, key: &SeriesKey) -> Option<SeriesId> {
        self.inner().get_or_create(key)
    }

    /// The open series of a name, with when their newest sample was taken.
    pub fn series_named(&self, name: &str) -> Vec<(SeriesId, Option<Timestamp>)> {
        let inner = self.inner();
        let named = inner.series.iter().filter(|(_, known)| known.key.name == name);
        named.map(|(id, known)| (*id, known.ring.newest().map(|sample| sample.at))).collect()
    }

    /// Takes samples of a series, oldest first; answers how many were taken. Left out is what is no number, what is not
    /// later than the last sample of the series, and what is later than `now`. They are on disk after the next
    /// [`flush`](Self::flush), or with the next record.
    pub fn append(&self, series: SeriesId, samples: &[Sample], now: Timestamp) -> usize {
        self.inner().append(series, samples, now)
    }

    /// Writes what is not written yet, in one transaction. What cannot be written now stays for the next time.
    pub fn flush(&self) -> Result<(), TimeSeriesError> {
        if self.inner().is_flushed() { Ok(()) } else { self.write(|_| Ok(())) }
    }

    /// The newest sample of a series.
    pub fn newest(&self, series: SeriesId) -> Option<Sample> {
        self.inner().series.get(&series)?.ring.newest()
    }

    /// What a series is called.
    pub fn name(&self, series: SeriesId) -> Option<String> {
        self.inner().series.get(&series).map(|known| known.key.name.clone())
    }

    /// What tells a series apart.
    pub fn key(&self, series: SeriesId) -> Option<SeriesKey> {
        self.inner().series.get(&series).map(|known| known.key.clone())
    }

    /// A reference to the samples of a series that are at most `window` older than `now`, and at least to its newest.
    /// `None` where it has none.
    pub fn window_ref(
        &self,
        series: SeriesId,
        window: Duration,
        now: Timestamp,
        interval: Duration,
        stale: bool,
    ) -> Option<SeriesRef> {
        let inner = self.inner();
        let known = inner.series.get(&series)?;
        let newest = known.ring.newest()?;
        // Without the newest, nothing is before it; time begins at 0.
        let before_newest = Timestamp(newest.at.0.saturating_sub(1));
        let from = now.minus(window).max(known.ring.complete_since()).min(before_newest);
        let count = known.ring.between(from, newest.at)?.len();
        Some(SeriesRef {
            series,
            name: known.key.name.clone(),
            unit: known.key.unit.clone(),
            labels: known.key.labels.clone(),
            interval_ms: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
            stale,
            from,
            to: newest.at,
            count: u32::try_from(count).unwrap_or(u32::MAX),
        })
    }

    /// The samples that a reference stands for, oldest first. Recent ones come from memory.
    pub fn window(&self, reference: &SeriesRef) -> Result<Vec<Sample>, TimeSeriesError> {
        let mut found = self.windows(std::slice::from_ref(reference))?;
        Ok(found.pop().unwrap_or_default())
    }

    /// As [`window`](Self::window), of several series at once, in their order: the file is read once for all.
    pub fn windows(&self, references: &[SeriesRef]) -> Result<Vec<Vec<Sample>>, TimeSeriesError> {
        self.inner().windows(references)
    }

    /// Lets rings go back at least this far, so that windows of this length are never read from disk.
    pub fn extend_horizon(&self, horizon: Duration, now: Timestamp) {
        self.inner().extend_horizon(horizon, now);
    }

    /// Makes fewer of what is older than the retention. Costs nothing while there is nothing to do.
    pub fn prune(&self, retention: &Retention, now: Timestamp) -> Result<(), TimeSeriesError> {
        self.inner().prune(retention, now)
    }

    /// What is known of all series of a name between two times, raw or down-sampled.
    pub fn series_history(
        &self,
        name: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SeriesHistory>, TimeSeriesError> {
        self.read(|connection| downsampling::read_history(connection, name, from, to))
    }

    /// How it is doing.
    pub fn status(&self) -> StoreStatus {
        let inner = self.inner();
        let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        StoreStatus {
            location: inner.store.location(),
            durable: matches!(inner.store.location, Location::File(_)),
            last_error: inner.last_error.as_ref().map(|(trouble, _)| trouble.clone()),
            series: inner.series.len(),
            bytes: inner.store.connection.query_row(size, [], |row| row.get(0)).unwrap_or(0),
        }
    }

    /// Carries out `work` in a transaction, in which what waits is written before it.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, TimeSeriesError> {
        self.inner().write(work)
    }

    /// Reads from the database. What was appended since the last write is not there yet.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, TimeSeriesError> {
        let inner = self.inner();
        work(&inner.store.connection).map_err(|reason| inner.sqlite_error("read", reason))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic while the lock was held leaves a rolled-back transaction, and rings that are whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TimeSeriesStore {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

impl Inner {
    fn empty(store: SqliteStore) -> Self {
        Self {
            store,
            series: BTreeMap::new(),
            open: HashMap::new(),
            next: 1,
            horizon: DEFAULT_HORIZON,
            new_series: Vec::new(),
            pending: Vec::new(),
            last_error: None,
            prune_schedule: downsampling::PruneSchedule::default(),
        }
    }

    /// What the file has, with rings that are filled.
    fn of(store: SqliteStore, now: Timestamp) -> Result<Self, TimeSeriesError> {
        let mut inner = Self::empty(store);
        let read = inner.close_future_series(now).and_then(|()| inner.load(now.minus(DEFAULT_HORIZON)));
        read.map_err(|reason| inner.sqlite_error("read", reason))?;
        Ok(inner)
    }

    /// Series with samples from a time when the clock was wrong take no more: a new one of the same key goes on.
    fn close_future_series(&mut self, now: Timestamp) -> rusqlite::Result<()> {
        if !matches!(self.store.location, Location::File(_)) {
            return Ok(());
        }
        let ended = self.store.connection.execute(
            "UPDATE series SET ended = ?1 WHERE ended IS NULL AND id IN (SELECT series FROM samples WHERE at > ?2)",
            params![now.0, now.plus(CLOCK_TOLERANCE).0],
        )?;
        if ended > 0 {
            tracing::warn!(
                "the history has samples later than {now}: the clock was wrong then, or is now; {ended} series begin anew"
            );
        }
        Ok(())
    }

    fn load(&mut self, since: Timestamp) -> rusqlite::Result<()> {
        let connection = &self.store.connection;
        // Numbers of series that have ended are not used again.
        self.next = connection.query_row("SELECT coalesce(max(id), 0) + 1 FROM series", [], |row| row.get(0))?;
        let mut statement = connection.prepare("SELECT id, name, labels, unit FROM series WHERE ended IS NULL")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let labels: String = row.get(2)?;
            // A row that cannot be read is one that nothing is appended to; its key is begun anew.
            let Ok(labels) = serde_json::from_str(&labels) else { continue };
            let key = SeriesKey { name: row.get(1)?, labels, unit: row.get(3)? };
            let id = SeriesId(row.get(0)?);
            self.open.insert(key.clone(), id);
            self.series.insert(id, CachedSeries { key, ring: Ring::since(since) });
        }
        let mut statement = connection.prepare("SELECT series, at, value FROM samples WHERE at > ?1 ORDER BY at")?;
        let mut rows = statement.query([since.0])?;
        while let Some(row) = rows.next()? {
            if let Some(known) = self.series.get_mut(&SeriesId(row.get(0)?)) {
                known.ring.push(Sample { at: Timestamp(row.get(1)?), value: row.get(2)? }, self.horizon);
            }
        }
        Ok(())
    }

    fn get_or_create(&mut self, key: &SeriesKey) -> Option<SeriesId> {
        if let Some(id) = self.open.get(key) {
            return Some(*id);
        }
        if self.series.len() >= MAX_SERIES {
            return None;
        }
        let id = SeriesId(self.next);
        self.next += 1;
        self.open.insert(key.clone(), id);
        self.series.insert(id, CachedSeries { key: key.clone(), ring: Ring::default() });
        self.new_series.push(id);
        Some(id)
    }

    fn append(&mut self, series: SeriesId, samples: &[Sample], now: Timestamp) -> usize {
        let Some(known) = self.series.get_mut(&series) else { return 0 };
        let mut taken = 0;
        for sample in samples.iter().filter(|sample| sample.at <= now) {
            // SQLite knows one zero, and what a policy saw has to be read again to the bit.
            let sample = Sample { value: sample.value + 0.0, ..*sample };
            if known.ring.push(sample, self.horizon) {
                self.pending.push((series, sample));
                taken += 1;
            }
        }
        if matches!(self.store.location, Location::ReadOnlyFile(_)) {
            self.pending.clear();
        } else if self.pending.len() > MAX_PENDING_SAMPLES {
            let lost = self.pending.len() - MAX_PENDING_SAMPLES;
            self.pending.drain(..lost);
            tracing::warn!("{lost} samples will not be in the history: it could not be written for too long");
        }
        taken
    }

    fn is_flushed(&self) -> bool {
        self.new_series.is_empty() && self.pending.is_empty()
            || matches!(self.store.location, Location::ReadOnlyFile(_))
    }

    fn windows(&self, references: &[SeriesRef]) -> Result<Vec<Vec<Sample>>, TimeSeriesError> {
        let mut found: Vec<Option<Vec<Sample>>> =
            references.iter().map(|reference| self.read_ring(reference)).collect();
        let missing = || references.iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(wanted, _)| wanted);
        if let (Some(from), Some(to)) =
            (missing().map(|wanted| wanted.from).min(), missing().map(|wanted| wanted.to).max())
        {
            let mut read: HashMap<SeriesId, Vec<Sample>> = HashMap::new();
            for wanted in missing() {
                read.insert(wanted.series, Vec::new());
            }
            self.read_between(from, to, &mut read).map_err(|reason| self.sqlite_error("read", reason))?;
            for (wanted, found) in references.iter().zip(&mut found).filter(|(_, found)| found.is_none()) {
                let samples = read.get(&wanted.series).into_iter().flatten();
                *found = Some(samples.filter(|one| one.at > wanted.from && one.at <= wanted.to).copied().collect());
            }
        }
        let samples = found.into_iter().map(Option::unwrap_or_default);
        references.iter().zip(samples).map(|(wanted, samples)| check_complete(wanted, samples)).collect()
    }

    fn read_ring(&self, wanted: &SeriesRef) -> Option<Vec<Sample>> {
        if wanted.count == 0 {
            return Some(Vec::new());
        }
        Some(self.series.get(&wanted.series)?.ring.between(wanted.from, wanted.to)?.collect())
    }

    fn read_between(
        &self,
        from: Timestamp,
        to: Timestamp,
        into: &mut HashMap<SeriesId, Vec<Sample>>,
    ) -> rusqlite::Result<()> {
        let mut statement = self
            .store
            .connection
            .prepare_cached("SELECT series, at, value FROM samples WHERE at > ?1 AND at <= ?2 ORDER BY at, series")?;
        let mut rows = statement.query([from.0, to.0])?;
        while let Some(row) = rows.next()? {
            if let Some(samples) = into.get_mut(&SeriesId(row.get(0)?)) {
                samples.push(Sample { at: Timestamp(row.get(1)?), value: row.get(2)? });
            }
        }
        // What waits is newer than what is written.
        for (series, sample) in self.pending.iter().filter(|(_, sample)| sample.at > from && sample.at <= to) {
            if let Some(samples) = into.get_mut(series) {
                samples.push(*sample);
            }
        }
        Ok(())
    }

    fn extend_horizon(&mut self, horizon: Duration, now: Timestamp) {
        if horizon <= self.horizon {
            return;
        }
        self.horizon = horizon;
        let since = now.minus(horizon);
        let mut older: HashMap<SeriesId, Vec<Sample>> = self.series.keys().map(|id| (*id, Vec::new())).collect();
        match self.read_between(since, now, &mut older) {
            Ok(()) => {
                for (id, known) in &mut self.series {
                    known.ring.prepend(older.get(id).map_or(&[], Vec::as_slice), since);
                }
            }
            Err(reason) => {
                tracing::warn!("{}; policies see a shorter history", self.sqlite_error("read", reason));
            }
        }
    }

    fn prune(&mut self, retention: &Retention, now: Timestamp) -> Result<(), TimeSeriesError> {
        let limited = if matches!(self.store.location, Location::Memory) { retention.in_memory() } else { *retention };
        if matches!(self.store.location, Location::ReadOnlyFile(_)) || !self.prune_schedule.is_due(now) {
            return Ok(());
        }
        let more = self.write(|transaction| downsampling::prune(transaction, &limited, now))?;
        self.prune_schedule.reschedule(now, more);
        Ok(())
    }

    fn write<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, TimeSeriesError> {
        if matches!(self.store.location, Location::ReadOnlyFile(_)) {
            return Err(TimeSeriesError::ReadOnly);
        }
        let written = self.transact(work);
        match written {
            Ok(value) => {
                self.new_series.clear();
                self.pending.clear();
                if let (Some((trouble, _)), Location::File(path)) = (&self.last_error, &self.store.location) {
                    tracing::warn!(%trouble, "the history {} can be written again", path.display());
                    self.last_error = None;
                }
                Ok(value)
            }
            Err(reason) => {
                let damaged = sqlite::is_corruption(&reason);
                let error = self.sqlite_error("write", reason);
                self.record_failure(&error, damaged);
                Err(error)
            }
        }
    }

    fn transact<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let transaction = self.store.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for id in &self.new_series {
            let Some(CachedSeries { key, .. }) = self.series.get(id) else { continue };
            let labels = serde_json::to_string(&key.labels).unwrap_or_default();
            transaction
                .prepare_cached("INSERT INTO series (id, name, labels, unit) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![id.0, key.name, labels, key.unit])?;
        }
        {
            let mut insert =
                transaction.prepare_cached("INSERT INTO samples (at, series, value) VALUES (?1, ?2, ?3)")?;
            for (id, sample) in &self.pending {
                insert.execute(params![sample.at.0, id.0, sample.value])?;
            }
        }
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }

    /// Goes on with a file that failed: a damaged one is replaced and filled from memory, any other is tried again.
    fn record_failure(&mut self, error: &TimeSeriesError, damaged: bool) {
        let said = error.to_string();
        if damaged && let Location::File(path) = &self.store.location {
            let path = path.clone();
            // Closed before its file is moved, so that it does not write into what is there no more.
            self.store = SqliteStore::in_memory();
            let now = self.series.values().filter_map(|known| known.ring.newest()).map(|sample| sample.at).max();
            move_damaged_aside(&path, now.unwrap_or_default(), &error);
            match SqliteStore::open(&path) {
                Ok(store) => self.store = store,
                Err(error) => {
                    tracing::error!("{error}; what is measured is kept in memory, and lost when doproxy ends");
                    self.last_error = Some((error.to_string(), 0));
                }
            }
            self.new_series = self.series.keys().copied().collect();
            self.pending = self.series.iter().flat_map(|(id, known)| known.ring.all().map(|one| (*id, one))).collect();
            return;
        }
        let failed = match &self.last_error {
            Some((before, failed)) if *before == said && *failed < REPEAT_ERROR_AFTER => failed + 1,
            _ => {
                tracing::error!("{said}; what is measured waits in memory until it can be written");
                0
            }
        };
        self.last_error = Some((said, failed));
    }

    fn sqlite_error(&self, action: &'static str, reason: rusqlite::Error) -> TimeSeriesError {
        TimeSeriesError::Sqlite { action, place: self.store.location(), reason }
    }
}

fn move_damaged_aside(path: &Path, now: Timestamp, why: &dyn std::fmt::Display) {
    match sqlite::move_aside(path, now) {
        Ok(aside) => tracing::error!(
            "the history {} is damaged ({why}) and was moved to {}; a new one is begun, and older decisions cannot be replayed",
            path.display(),
            aside.display()
        ),
        Err(error) => tracing::error!("the history {} is damaged ({why}) and cannot be moved: {error}", path.display()),
    }
}

fn check_complete(wanted: &SeriesRef, samples: Vec<Sample>) -> Result<Vec<Sample>, TimeSeriesError> {
    if samples.len() == wanted.count as usize {
        return Ok(samples);
    }
    Err(TimeSeriesError::MissingSamples {
        name: wanted.name.clone(),
        from: wanted.from,
        to: wanted.to,
        wanted: wanted.count,
        found: samples.len(),
    })
}
