//! The time-series store: samples of series in their own SQLite file next to the inventory.
//!
//! Samples are append-only. A sample is written only if it is newer than the last one of its series, and is never
//! changed. A window of a series is therefore immutable once written, and decision records refer to windows
//! ([`SeriesRef`]) instead of copying them. The newest samples are also cached in memory (`ring_buffer`), so that a
//! tick does not read from disk. `sqlite` contains the file and its schema, `downsampling` the retention of old
//! samples. The metrics collector provides the samples.
//!
//! Losing the database affects no droplet, so its failures never stop anything. A corrupt file is moved aside and a new
//! one is created; if the file cannot be used, the samples are kept in memory; and samples that cannot be written now
//! are written later. Each of these is logged as a warning or an error.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use doproxy_core::domain::{Sample, SeriesId, SeriesRef, Timestamp};
use doproxy_support::sync::lock;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::store::downsampling::{Retention, SeriesHistory};
use crate::store::error::TimeSeriesError;
use crate::store::ring_buffer::Ring;
use crate::store::sqlite::{Location, SqliteStore};

/// Initial time range of the ring buffers, until a caller extends it.
const DEFAULT_HORIZON: Duration = Duration::from_hours(6);

/// Samples that are later than now by more than this stem from a time when the clock was wrong.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(5);

/// Maximum number of samples pending while the disk cannot be written: a few hours of a busy fleet.
const MAX_PENDING_SAMPLES: usize = 200_000;

/// Maximum number of series. A source that exceeds it has a label whose value is different every time.
const MAX_SERIES: usize = 10_000;

/// Number of failed writes after which a persistent error is logged again; at 15 s, every ten minutes.
const REPEAT_ERROR_AFTER: u32 = 40;

/// The identity of an open series.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SeriesKey {
    /// Name, such as `haproxy.requests_per_second`.
    pub name: String,
    /// Labels that distinguish series of the same name, sorted.
    pub labels: Vec<(String, String)>,
    /// Unit, such as `requests/s`. Values in another unit form another series.
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
    /// Next free series ID.
    next: u32,
    horizon: Duration,
    /// Series not yet written to the file.
    new_series: Vec<SeriesId>,
    /// Samples not yet written to the file, in order.
    pending: Vec<(SeriesId, Sample)>,
    /// Error of the file, and the number of failed writes since it was last logged.
    last_error: Option<(String, u32)>,
    prune_schedule: crate::store::downsampling::PruneSchedule,
}

/// A series in this process, with its newest samples.
#[derive(Debug)]
struct CachedSeries {
    key: SeriesKey,
    ring: Ring,
}

/// Status of the store, for `status` and `check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStatus {
    /// Path of the file, or `in memory`.
    pub location: String,
    /// True if the samples outlive this process.
    pub durable: bool,
    /// Error of the file, if any.
    pub last_error: Option<String>,
    /// Number of series.
    pub series: usize,
    /// Size of the database in bytes, without its write-ahead log.
    pub bytes: u64,
}

impl TimeSeriesStore {
    /// Opens the database at `path`, creating it if necessary. A corrupt file is moved aside first. If the file cannot
    /// be used, the store is in memory; a warning and `StoreStatus` report this.
    pub fn open(path: &Path, now: Timestamp) -> Self {
        let mut last_error = None;
        let mut opened = SqliteStore::open(path).and_then(|store| Inner::of(store, now));
        if let Err(TimeSeriesError::Open { reason, .. } | TimeSeriesError::Sqlite { reason, .. }) = &opened
            && crate::store::sqlite::is_corruption(reason)
        {
            move_damaged_aside(path, now, reason);
            opened = SqliteStore::open(path).and_then(|store| Inner::of(store, now));
        }
        let mut inner = opened.unwrap_or_else(|error| {
            tracing::warn!("{error}; metrics are kept in memory and lost when doproxy exits");
            last_error = Some((error.to_string(), 0));
            Inner::empty(SqliteStore::in_memory())
        });
        inner.last_error = last_error;
        Self(Mutex::new(inner))
    }

    /// Opens the database at `path` read-only, possibly while another process writes to it. Appended samples stay in
    /// memory.
    pub fn open_read_only(path: &Path, now: Timestamp) -> Result<Self, TimeSeriesError> {
        SqliteStore::open_read_only(path).and_then(|store| Inner::of(store, now)).map(|inner| Self(Mutex::new(inner)))
    }

    /// Creates a store that exists only in this process.
    pub fn in_memory() -> Self {
        Self(Mutex::new(Inner::empty(SqliteStore::in_memory())))
    }

    /// Returns the series with this key, creating it if necessary. `None` means that the maximum number of series is
    /// reached.
    pub fn get_or_create(&self, key: &SeriesKey) -> Option<SeriesId> {
        self.inner().get_or_create(key)
    }

    /// Returns the open series with this name, and the times of their newest samples.
    pub fn series_named(&self, name: &str) -> Vec<(SeriesId, Option<Timestamp>)> {
        let inner = self.inner();
        let named = inner.series.iter().filter(|(_, known)| known.key.name == name);
        named.map(|(id, known)| (*id, known.ring.newest().map(|sample| sample.at))).collect()
    }

    /// Appends samples to a series, oldest first, and returns how many were accepted. Samples are ignored if they are
    /// not finite, not later than the last sample of the series, or later than `now`. They are on disk after the next
    /// [`flush`](Self::flush) or the next decision record.
    pub fn append(&self, series: SeriesId, samples: &[Sample], now: Timestamp) -> usize {
        self.inner().append(series, samples, now)
    }

    /// Writes pending data in one transaction. Data that cannot be written now stays pending.
    pub fn flush(&self) -> Result<(), TimeSeriesError> {
        if self.inner().is_flushed() { Ok(()) } else { self.write(|_| Ok(())) }
    }

    /// Returns the newest sample of a series.
    pub fn newest(&self, series: SeriesId) -> Option<Sample> {
        self.inner().series.get(&series)?.ring.newest()
    }

    /// Returns the name of a series.
    pub fn name(&self, series: SeriesId) -> Option<String> {
        self.inner().series.get(&series).map(|known| known.key.name.clone())
    }

    /// Returns the key of a series.
    pub fn key(&self, series: SeriesId) -> Option<SeriesKey> {
        self.inner().series.get(&series).map(|known| known.key.clone())
    }

    /// Returns a reference to the samples of a series that are at most `window` older than `now`, and at least to the
    /// newest one. `None` if the series has no samples.
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
        // Selects only the newest sample; time starts at 0.
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

    /// Returns the samples of a reference, oldest first. Recent ones come from memory.
    pub fn window(&self, reference: &SeriesRef) -> Result<Vec<Sample>, TimeSeriesError> {
        let mut found = self.windows(std::slice::from_ref(reference))?;
        Ok(found.pop().unwrap_or_default())
    }

    /// Returns the samples of several references at once, in their order, like [`window`](Self::window). The file is
    /// read once for all of them.
    pub fn windows(&self, references: &[SeriesRef]) -> Result<Vec<Vec<Sample>>, TimeSeriesError> {
        self.inner().windows(references)
    }

    /// Extends the ring buffers at least to `horizon`, so that windows of this length are never read from disk.
    pub fn extend_horizon(&self, horizon: Duration, now: Timestamp) {
        self.inner().extend_horizon(horizon, now);
    }

    /// Downsamples or deletes data older than the retention periods. A cheap no-op if nothing is due.
    pub fn prune(&self, retention: &Retention, now: Timestamp) -> Result<(), TimeSeriesError> {
        self.inner().prune(retention, now)
    }

    /// Returns all stored data of the series with this name between two times, raw or downsampled.
    pub fn series_history(
        &self,
        name: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SeriesHistory>, TimeSeriesError> {
        self.read(|connection| crate::store::downsampling::read_history(connection, name, from, to))
    }

    /// Returns the status of the store.
    pub fn status(&self) -> StoreStatus {
        let inner = self.inner();
        let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        StoreStatus {
            location: inner.store.location(),
            durable: matches!(inner.store.location, Location::File(_)),
            last_error: inner.last_error.as_ref().map(|(last_error, _)| last_error.clone()),
            series: inner.series.len(),
            bytes: inner.store.connection.query_row(size, [], |row| row.get(0)).unwrap_or(0),
        }
    }

    /// Runs `work` in a transaction, after writing pending data in the same transaction.
    pub fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, TimeSeriesError> {
        self.inner().write(work)
    }

    /// Runs `work` on the database. Data appended since the last write is not visible yet.
    pub fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, TimeSeriesError> {
        let inner = self.inner();
        work(&inner.store.connection).map_err(|reason| inner.sqlite_error("read", reason))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // After a panic with the lock held, the transaction is rolled back and the ring buffers are consistent.
        lock(&self.0)
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
            prune_schedule: crate::store::downsampling::PruneSchedule::default(),
        }
    }

    /// Loads the contents of the file and fills the ring buffers.
    fn of(store: SqliteStore, now: Timestamp) -> Result<Self, TimeSeriesError> {
        let mut inner = Self::empty(store);
        let read = inner.close_future_series(now).and_then(|()| inner.load(now.minus(DEFAULT_HORIZON)));
        read.map_err(|reason| inner.sqlite_error("read", reason))?;
        Ok(inner)
    }

    /// Closes series with samples from a time when the clock was wrong. A new series with the same key continues each
    /// of them.
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
                "metrics database has samples later than {now}: the clock was wrong then, or is wrong now; {ended} series are closed and continued by new ones"
            );
        }
        Ok(())
    }

    fn load(&mut self, since: Timestamp) -> rusqlite::Result<()> {
        let connection = &self.store.connection;
        // IDs of closed series are not reused.
        self.next = connection.query_row("SELECT coalesce(max(id), 0) + 1 FROM series", [], |row| row.get(0))?;
        let mut statement = connection.prepare("SELECT id, name, labels, unit FROM series WHERE ended IS NULL")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let labels: String = row.get(2)?;
            // Nothing is appended to a row that cannot be parsed; a new series with its key is created instead.
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
            // SQLite does not preserve the sign of zero, and replay must read exactly the bits that the policy
            // received.
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
            tracing::warn!("dropped {lost} samples: the metrics database could not be written for too long");
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

    fn read_ring(&self, reference: &SeriesRef) -> Option<Vec<Sample>> {
        if reference.count == 0 {
            return Some(Vec::new());
        }
        Some(self.series.get(&reference.series)?.ring.between(reference.from, reference.to)?.collect())
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
        // Pending samples are newer than written ones.
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
                tracing::warn!("{}; policies receive shorter metric windows", self.sqlite_error("read", reason));
            }
        }
    }

    fn prune(&mut self, retention: &Retention, now: Timestamp) -> Result<(), TimeSeriesError> {
        let limited = if matches!(self.store.location, Location::Memory) { retention.in_memory() } else { *retention };
        if matches!(self.store.location, Location::ReadOnlyFile(_)) || !self.prune_schedule.is_due(now) {
            return Ok(());
        }
        let more = self.write(|transaction| crate::store::downsampling::prune(transaction, &limited, now))?;
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
                if let (Some((last_error, _)), Location::File(path)) = (&self.last_error, &self.store.location) {
                    tracing::warn!(%last_error, "metrics database {} is writable again", path.display());
                    self.last_error = None;
                }
                Ok(value)
            }
            Err(reason) => {
                let damaged = crate::store::sqlite::is_corruption(&reason);
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

    /// Handles a failed write: a corrupt file is replaced and refilled from memory; other failures are retried later.
    fn record_failure(&mut self, error: &TimeSeriesError, damaged: bool) {
        let message = error.to_string();
        if damaged && let Location::File(path) = &self.store.location {
            let path = path.clone();
            // Closes the database before its file is moved, so that it cannot write to the moved file.
            self.store = SqliteStore::in_memory();
            let now = self.series.values().filter_map(|known| known.ring.newest()).map(|sample| sample.at).max();
            move_damaged_aside(&path, now.unwrap_or_default(), &error);
            match SqliteStore::open(&path) {
                Ok(store) => self.store = store,
                Err(error) => {
                    tracing::error!("{error}; metrics are kept in memory and lost when doproxy exits");
                    self.last_error = Some((error.to_string(), 0));
                }
            }
            self.new_series = self.series.keys().copied().collect();
            self.pending = self.series.iter().flat_map(|(id, known)| known.ring.all().map(|one| (*id, one))).collect();
            return;
        }
        let failed = match &self.last_error {
            Some((before, failed)) if *before == message && *failed < REPEAT_ERROR_AFTER => failed + 1,
            _ => {
                tracing::error!("{message}; samples are kept in memory until the database can be written");
                0
            }
        };
        self.last_error = Some((message, failed));
    }

    fn sqlite_error(&self, action: &'static str, reason: rusqlite::Error) -> TimeSeriesError {
        TimeSeriesError::Sqlite { action, place: self.store.location(), reason }
    }
}

fn move_damaged_aside(path: &Path, now: Timestamp, why: &dyn std::fmt::Display) {
    match crate::store::sqlite::move_aside(path, now) {
        Ok(aside) => tracing::error!(
            "metrics database {} is corrupt ({why}) and was moved to {}; created a new one, and earlier decisions cannot be replayed",
            path.display(),
            aside.display()
        ),
        Err(error) => {
            tracing::error!("metrics database {} is corrupt ({why}) and cannot be moved: {error}", path.display());
        }
    }
}

fn check_complete(reference: &SeriesRef, samples: Vec<Sample>) -> Result<Vec<Sample>, TimeSeriesError> {
    if samples.len() == reference.count as usize {
        return Ok(samples);
    }
    Err(TimeSeriesError::MissingSamples {
        name: reference.name.clone(),
        from: reference.from,
        to: reference.to,
        expected: reference.count,
        found: samples.len(),
    })
}
