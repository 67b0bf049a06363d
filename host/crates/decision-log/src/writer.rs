//! Writes decision records, with one short call per tick.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doproxy_core::domain::{RecordId, TickRecord, Timestamp};
use doproxy_metrics::TimeSeriesStore;
use doproxy_plugin_host::PluginHost;
use doproxy_plugin_registry::{Digest, Reference};
use doproxy_support::sync::lock;

use crate::codec::PackedRecord;
use crate::error::RecordError;
use crate::sample_refs::SeriesIndex;
use crate::sqlite::NewRow;
use crate::summary::RecordSummary;
use crate::{codec, components, sample_refs, sqlite};

/// The default retention of records.
pub const DEFAULT_RETENTION: Duration = Duration::from_hours(14 * 24);

/// Number of records from one keyframe to the next, a quarter of an hour at 15 s. Limits the damage of a corrupt
/// record.
const GROUP_SIZE: u32 = 60;

/// The interval of pruning.
const PRUNE_INTERVAL: Duration = Duration::from_mins(10);

/// Writes records into the database of a time-series store.
#[derive(Debug)]
pub struct LogWriter {
    store: Arc<TimeSeriesStore>,
    retention: Duration,
    inner: Mutex<WriterState>,
}

#[derive(Debug, Default)]
struct WriterState {
    previous: Option<PreviousRecord>,
    series_index: SeriesIndex,
    next_prune: Timestamp,
}

/// The previously written record.
#[derive(Debug)]
struct PreviousRecord {
    id: RecordId,
    keyframe: RecordId,
    /// Number of records in its group so far, including itself.
    group_size: u32,
    content: Vec<u8>,
    summary: RecordSummary,
    /// Components that are registered for the group.
    group_components: HashSet<String>,
}

impl LogWriter {
    /// Creates a writer over a store that keeps records for `retention`.
    pub fn new(store: Arc<TimeSeriesStore>, retention: Duration) -> Self {
        Self { store, retention, inner: Mutex::default() }
    }

    /// The underlying time-series store.
    pub fn store(&self) -> &Arc<TimeSeriesStore> {
        &self.store
    }

    /// Stores the component of a reference, so that its evaluations can be replayed on any machine. Must be called when
    /// a policy is loaded; costs nothing if the component is already stored. `digest` is that of the loaded component.
    pub async fn store_component(
        &self,
        host: &PluginHost,
        reference: &Reference,
        digest: &str,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        if self.store.read(|connection| sqlite::has_component(connection, digest))? {
            return Ok(());
        }
        let bytes = host.component_bytes(reference).await?;
        if Digest::of(&bytes).hex() != digest {
            return Err(RecordError::NoComponent { digest: digest.to_owned(), reference: reference.to_string() });
        }
        let (store, digest) = (self.store.clone(), digest.to_owned());
        let kept = tokio::task::spawn_blocking(move || components::store_component(&store, &digest, &bytes, now));
        kept.await.map_err(|error| RecordError::TaskAborted(error.to_string()))?
    }

    /// Writes a tick, including samples that the time-series store has not written yet. A failure only warrants a
    /// warning: it does not affect the next tick.
    pub fn append(&self, record: &TickRecord) -> Result<RecordId, RecordError> {
        let mut inner = lock(&self.inner);
        let series = sample_refs::pack(record, &self.store, &mut inner.series_index);
        let content = PackedRecord::new(record, series).encode().map_err(RecordError::Encode)?;
        let summary = RecordSummary::new(record);
        // Cleared first, so that after a failure the next record does not build on this one.
        let mut before = inner.previous.take();
        let notable = summary.is_significant(before.as_ref().map(|before| &before.summary));
        let newest = self.store.read(sqlite::newest)?;
        // Another process may have written in the meantime, or the file may have been replaced.
        before = before.filter(|before| before.group_size < GROUP_SIZE && newest == Some(before.id));
        let body = codec::compress(&content, before.as_ref().map(|before| before.content.as_slice()));
        let body = body.map_err(RecordError::Encode)?;
        let mut used = before.as_ref().map(|before| before.group_components.clone()).unwrap_or_default();
        let new: Vec<&str> =
            codec::component_digests(&record.evaluations).filter(|digest| !used.contains(*digest)).collect();
        let (id, keyframe) = self.store.write(|transaction| {
            let row = NewRow {
                id: None,
                at: record.at,
                keyframe: before.as_ref().map(|before| before.keyframe),
                base: before.as_ref().map(|before| before.id),
                notable,
                body: &body,
            };
            let id = sqlite::insert(transaction, &row)?;
            let keyframe = row.keyframe.unwrap_or(id);
            for digest in &new {
                sqlite::add_component_use(transaction, keyframe, digest)?;
            }
            Ok((id, keyframe))
        })?;
        used.extend(new.into_iter().map(str::to_owned));
        let members = before.map_or(0, |before| before.group_size) + 1;
        inner.previous =
            Some(PreviousRecord { id, keyframe, group_size: members, content, summary, group_components: used });
        Ok(id)
    }

    /// Prunes a small part of the records older than the retention. Costs nothing when there are none.
    pub fn prune(&self, now: Timestamp) -> Result<(), RecordError> {
        let mut inner = lock(&self.inner);
        if now < inner.next_prune {
            return Ok(());
        }
        let more =
            self.store.write(|transaction| sqlite::prune_oldest_group(transaction, now.minus(self.retention)))?;
        if !more {
            inner.next_prune = now.plus(PRUNE_INTERVAL);
        }
        Ok(())
    }
}
