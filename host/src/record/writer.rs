//! Writing records: one short call a tick.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::codec::{self, PackedRecord};
use super::sample_refs::{self, SeriesIndex};
use super::sqlite::{self, NewRow};
use super::summary::RecordSummary;
use super::{RecordError, components};
use crate::history::TimeSeriesStore;
use crate::model::{RecordId, TickRecord, Timestamp};
use crate::plugin::{Digest, PluginHost, Reference};

/// How long records are kept where nothing else is said.
pub const DEFAULT_RETENTION: Duration = Duration::from_hours(14 * 24);

/// Records from one keyframe to the next: a quarter of an hour at 15 s. What is damaged takes no more with it.
const GROUP_SIZE: u32 = 60;

/// How often old records are looked for.
const PRUNE_INTERVAL: Duration = Duration::from_mins(10);

/// Writes records into the database of a history.
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

/// The record that was written last.
#[derive(Debug)]
struct PreviousRecord {
    id: RecordId,
    keyframe: RecordId,
    /// Records of its group, itself included.
    group_size: u32,
    content: Vec<u8>,
    summary: RecordSummary,
    /// The components that are counted for the group.
    group_components: HashSet<String>,
}

impl LogWriter {
    /// A recorder over a history, which keeps records for `retention`.
    pub fn new(history: Arc<TimeSeriesStore>, retention: Duration) -> Self {
        Self { store: history, retention, inner: Mutex::default() }
    }

    /// The history behind it.
    pub fn store(&self) -> &Arc<TimeSeriesStore> {
        &self.store
    }

    /// Keeps the component behind a reference, so that records which it answers for can be replayed wherever they are
    /// taken. To be called when a policy is loaded; costs nothing when it is kept already. `digest` is that of the
    /// component that was loaded.
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
        let (history, digest) = (self.store.clone(), digest.to_owned());
        let kept = tokio::task::spawn_blocking(move || components::store_component(&history, &digest, &bytes, now));
        kept.await.map_err(|error| RecordError::TaskAborted(error.to_string()))?
    }

    /// Writes a tick, and what it saw of series and the history has not written yet. A failure is worth a warning and no
    /// more: the next tick is written all the same.
    pub fn append(&self, record: &TickRecord) -> Result<RecordId, RecordError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let series = sample_refs::pack(record, &self.store, &mut inner.series_index);
        let content = PackedRecord::new(record, series).encode().map_err(RecordError::Encode)?;
        let gist = RecordSummary::new(record);
        // Whatever goes wrong now, the next record builds on none of before.
        let mut before = inner.previous.take();
        let notable = gist.is_significant(before.as_ref().map(|before| &before.summary));
        let newest = self.store.read(sqlite::newest)?;
        // Another process may have written meanwhile, or the file may be another one.
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
            Some(PreviousRecord { id, keyframe, group_size: members, content, summary: gist, group_components: used });
        Ok(id)
    }

    /// Forgets a little of what is older than the retention. Costs nothing while there is nothing to do.
    pub fn prune(&self, now: Timestamp) -> Result<(), RecordError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
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
