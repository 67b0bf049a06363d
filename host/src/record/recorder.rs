//! Writing records: one short call a tick.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::codec::{self, Packed};
use super::gist::Gist;
use super::table::{self, NewRow};
use super::windows::{self, Known};
use super::{RecordError, components};
use crate::history::History;
use crate::model::{RecordId, TickRecord, Timestamp};
use crate::plugin::{Digest, PluginHost, Reference};

/// How long records are kept where nothing else is said.
pub const DEFAULT_RETENTION: Duration = Duration::from_hours(14 * 24);

/// Records from one keyframe to the next: a quarter of an hour at 15 s. What is damaged takes no more with it.
const GROUP: u32 = 60;

/// How often old records are looked for.
const PRUNE_EVERY: Duration = Duration::from_mins(10);

/// Writes records into the database of a history.
#[derive(Debug)]
pub struct Recorder {
    history: Arc<History>,
    retention: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    before: Option<Before>,
    known: Known,
    next_prune: Timestamp,
}

/// The record that was written last.
#[derive(Debug)]
struct Before {
    id: RecordId,
    keyframe: RecordId,
    /// Records of its group, itself included.
    members: u32,
    content: Vec<u8>,
    gist: Gist,
    /// The components that are counted for the group.
    used: HashSet<String>,
}

impl Recorder {
    /// A recorder over a history, which keeps records for `retention`.
    pub fn new(history: Arc<History>, retention: Duration) -> Self {
        Self { history, retention, inner: Mutex::default() }
    }

    /// The history behind it.
    pub fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// Keeps the component behind a reference, so that records which it answers for can be replayed wherever they are
    /// taken. To be called when a policy is loaded; costs nothing when it is kept already. `digest` is that of the
    /// component that was loaded.
    pub async fn keep(
        &self,
        host: &PluginHost,
        reference: &Reference,
        digest: &str,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        if self.history.read(|connection| table::has_component(connection, digest))? {
            return Ok(());
        }
        let bytes = host.component_of(reference).await?;
        if Digest::of(&bytes).hex() != digest {
            return Err(RecordError::NoComponent { digest: digest.to_owned(), reference: reference.to_string() });
        }
        let (history, digest) = (self.history.clone(), digest.to_owned());
        let kept = tokio::task::spawn_blocking(move || components::keep(&history, &digest, &bytes, now));
        kept.await.map_err(|error| RecordError::BrokeOff(error.to_string()))?
    }

    /// Writes a tick, and what it saw of series and the history has not written yet. A failure is worth a warning and no
    /// more: the next tick is written all the same.
    pub fn append(&self, record: &TickRecord) -> Result<RecordId, RecordError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let series = windows::pack(record, &self.history, &mut inner.known);
        let content = Packed::of(record, series).content().map_err(RecordError::Unwritable)?;
        let gist = Gist::of(record);
        // Whatever goes wrong now, the next record builds on none of before.
        let mut before = inner.before.take();
        let notable = gist.is_notable(before.as_ref().map(|before| &before.gist));
        let newest = self.history.read(table::newest)?;
        // Another process may have written meanwhile, or the file may be another one.
        before = before.filter(|before| before.members < GROUP && newest == Some(before.id));
        let body = codec::compress(&content, before.as_ref().map(|before| before.content.as_slice()));
        let body = body.map_err(RecordError::Unwritable)?;
        let mut used = before.as_ref().map(|before| before.used.clone()).unwrap_or_default();
        let new: Vec<&str> = codec::digests(&record.answers).filter(|digest| !used.contains(*digest)).collect();
        let (id, keyframe) = self.history.write(|transaction| {
            let row = NewRow {
                id: None,
                at: record.at,
                keyframe: before.as_ref().map(|before| before.keyframe),
                base: before.as_ref().map(|before| before.id),
                notable,
                body: &body,
            };
            let id = table::insert(transaction, &row)?;
            let keyframe = row.keyframe.unwrap_or(id);
            for digest in &new {
                table::uses(transaction, keyframe, digest)?;
            }
            Ok((id, keyframe))
        })?;
        used.extend(new.into_iter().map(str::to_owned));
        let members = before.map_or(0, |before| before.members) + 1;
        inner.before = Some(Before { id, keyframe, members, content, gist, used });
        Ok(id)
    }

    /// Forgets a little of what is older than the retention. Costs nothing while there is nothing to do.
    pub fn prune(&self, now: Timestamp) -> Result<(), RecordError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if now < inner.next_prune {
            return Ok(());
        }
        let more = self.history.write(|transaction| table::forget_one_group(transaction, now.minus(self.retention)))?;
        if !more {
            inner.next_prune = now.plus(PRUNE_EVERY);
        }
        Ok(())
    }
}
