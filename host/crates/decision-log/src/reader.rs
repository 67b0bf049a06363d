//! Reads decision records.

use std::path::Path;
use std::sync::Arc;

use doproxy_core::domain::{RecordId, TickRecord, Timestamp};
use doproxy_metrics::TimeSeriesStore;

use crate::codec::PackedRecord;
use crate::error::{Corruption, RecordError};
use crate::sample_refs::SampleWindows;
use crate::selection::RecordRange;
use crate::sqlite::Row;
use crate::{codec, sqlite};

/// A record with its number and version.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRecord {
    /// The record's number.
    pub id: RecordId,
    /// The version of the doproxy that wrote it.
    pub doproxy_version: String,
    /// The tick.
    pub record: TickRecord,
}

/// Read access to the records of a time-series store.
#[derive(Debug)]
pub struct LogReader {
    store: Arc<TimeSeriesStore>,
}

/// A record's number with its content, or with the corruption found.
type RowContent = (RecordId, Result<Vec<u8>, Corruption>);

impl LogReader {
    /// Creates a reader over an open store.
    pub fn new(store: Arc<TimeSeriesStore>) -> Self {
        Self { store }
    }

    /// Opens the records in a file, which another process may be writing.
    pub fn open_read_only(path: &Path, now: Timestamp) -> Result<Self, RecordError> {
        Ok(Self { store: Arc::new(TimeSeriesStore::open_read_only(path, now)?) })
    }

    pub(super) fn store(&self) -> &TimeSeriesStore {
        &self.store
    }

    /// Returns a record with its samples.
    pub fn get(&self, id: RecordId) -> Result<StoredRecord, RecordError> {
        let packed = self.packed(id)?;
        self.unpack_all(vec![(id, Ok(packed))])?.pop().unwrap_or(Err(RecordError::NotFound(id)))
    }

    /// Returns a record without series, for lists. Works even after the samples have been pruned.
    pub fn get_without_series(&self, id: RecordId) -> Result<StoredRecord, RecordError> {
        let PackedRecord { doproxy_version: program, record, .. } = self.packed(id)?;
        Ok(StoredRecord { id, doproxy_version: program, record })
    }

    /// Returns the records of ascending numbers, with their samples. A record that cannot be read yields an error of
    /// its own; the call as a whole fails only if the database cannot be read. Reading many records at once reads each
    /// sample once.
    pub fn get_many(&self, ids: &[RecordId]) -> Result<Vec<Result<StoredRecord, RecordError>>, RecordError> {
        let packed = self.contents(ids)?.into_iter().map(|(id, content)| {
            let packed = content.and_then(|content| PackedRecord::decode(&content));
            (id, packed.map_err(|damage| RecordError::Corrupt { id, corruption: damage }))
        });
        self.unpack_all(packed.collect())
    }

    /// Returns the numbers that a range selects, in order; at least one.
    pub fn select(&self, selection: RecordRange) -> Result<Vec<RecordId>, RecordError> {
        let (first, last) = match selection {
            RecordRange::All => (RecordId(0), RecordId(u64::MAX)),
            RecordRange::Range(first, last) => (self.resolve(first)?, self.resolve(last)?),
            RecordRange::One(one) => {
                let id = self.resolve(one)?;
                (id, id)
            }
        };
        let ids = self.query(|connection| sqlite::ids(connection, first, last))?;
        match selection {
            _ if !ids.is_empty() => Ok(ids),
            RecordRange::All => Err(RecordError::Empty),
            RecordRange::One(_) | RecordRange::Range(..) => Err(RecordError::NotFound(first)),
        }
    }

    fn resolve(&self, which: crate::selection::RecordSelector) -> Result<RecordId, RecordError> {
        match which {
            crate::selection::RecordSelector::Id(id) => Ok(id),
            crate::selection::RecordSelector::FromEnd(back) => {
                let id = self.query(|connection| sqlite::nth_newest(connection, back - 1).map(Vec::from_iter))?;
                match id.first() {
                    Some(id) => Ok(*id),
                    None => Err(match self.count()? {
                        0 => RecordError::Empty,
                        count => RecordError::TooFew(count),
                    }),
                }
            }
        }
    }

    /// Returns the number of records.
    pub fn count(&self) -> Result<u64, RecordError> {
        Ok(self.store.read(
            |connection| if sqlite::has_records_table(connection)? { sqlite::count(connection) } else { Ok(0) },
        )?)
    }

    /// Returns the newest `limit` numbers since a time, newest first: all of them, or only those of significant ticks.
    pub fn list(&self, since: Timestamp, all: bool, limit: u64) -> Result<Vec<RecordId>, RecordError> {
        self.query(|connection| sqlite::list_ids(connection, since, all, limit))
    }

    /// Returns the contents of ascending numbers. Each content is decompressed relative to the previous one.
    pub(super) fn contents(&self, ids: &[RecordId]) -> Result<Vec<RowContent>, RecordError> {
        let mut contents: Vec<RowContent> = Vec::with_capacity(ids.len());
        let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return Ok(contents) };
        // Numbers that are close together are read with one query.
        let dense = last.0 - first.0 < 4 * ids.len() as u64;
        let rows =
            if dense { self.query(|connection| sqlite::rows_between(connection, *first, *last))? } else { Vec::new() };
        let mut before: Option<(RecordId, Vec<u8>)> = None;
        for id in ids {
            let row = rows.binary_search_by_key(id, |row| row.id).ok().and_then(|index| rows.get(index));
            let content = match (row, &before) {
                (Some(Row { base: None, body, .. }), _) => codec::decompress(body, None),
                (Some(Row { base: Some(base), body, .. }), Some((id, content))) if id == base => {
                    codec::decompress(body, Some(content))
                }
                _ => match self.content(*id) {
                    Ok(content) => Ok(content),
                    Err(RecordError::Corrupt { corruption: damage, .. }) => Err(damage),
                    Err(error) => return Err(error),
                },
            };
            before = content.as_ref().ok().map(|content| (*id, content.clone()));
            contents.push((*id, content));
        }
        Ok(contents)
    }

    fn content(&self, id: RecordId) -> Result<Vec<u8>, RecordError> {
        let chain = self.query(|connection| sqlite::chain(connection, id))?;
        let oldest = chain.last().ok_or(RecordError::NotFound(id))?;
        if oldest.base.is_some() {
            return Err(RecordError::Corrupt { id, corruption: Corruption::MissingBase });
        }
        let mut content: Option<Vec<u8>> = None;
        for row in chain.iter().rev() {
            let next = codec::decompress(&row.body, content.as_deref());
            content = Some(next.map_err(|damage| RecordError::Corrupt { id, corruption: damage })?);
        }
        content.ok_or(RecordError::NotFound(id))
    }

    fn packed(&self, id: RecordId) -> Result<PackedRecord, RecordError> {
        PackedRecord::decode(&self.content(id)?).map_err(|damage| RecordError::Corrupt { id, corruption: damage })
    }

    fn unpack_all(
        &self,
        packed: Vec<(RecordId, Result<PackedRecord, RecordError>)>,
    ) -> Result<Vec<Result<StoredRecord, RecordError>>, RecordError> {
        let readable = packed.iter().filter_map(|(_, packed)| packed.as_ref().ok());
        let windows = self.store.read(|connection| SampleWindows::read(connection, readable))?;
        let unpacked = packed.into_iter().map(|(id, packed)| {
            let packed = packed?;
            let program = packed.doproxy_version.clone();
            Ok(StoredRecord { id, doproxy_version: program, record: windows.unpack(packed)? })
        });
        Ok(unpacked.collect())
    }

    /// Runs a query; returns the default for a store of an older doproxy, which has no records.
    fn query<T: Default>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>,
    ) -> Result<T, RecordError> {
        Ok(self.store.read(
            |connection| if sqlite::has_records_table(connection)? { work(connection) } else { Ok(T::default()) },
        )?)
    }
}
