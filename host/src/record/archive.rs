//! Reading records.

use std::path::Path;
use std::sync::Arc;

use super::codec::{self, Packed};
use super::table::{self, Row};
use super::windows::Windows;
use super::{Damage, RecordError, Selection};
use crate::history::History;
use crate::model::{RecordId, TickRecord, Timestamp};

/// A record with its number.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Its number.
    pub id: RecordId,
    /// The version of the doproxy that wrote it.
    pub program: String,
    /// The tick.
    pub record: TickRecord,
}

/// The records of a history, to be read.
#[derive(Debug)]
pub struct Archive {
    history: Arc<History>,
}

/// A row with its content, or with what is wrong with it.
type Content = (RecordId, Result<Vec<u8>, Damage>);

impl Archive {
    /// The records of a history that is open already.
    pub fn of(history: Arc<History>) -> Self {
        Self { history }
    }

    /// The records in a file, while another process may write it.
    pub fn look(path: &Path, now: Timestamp) -> Result<Self, RecordError> {
        Ok(Self { history: Arc::new(History::look(path, now)?) })
    }

    pub(super) fn history(&self) -> &History {
        &self.history
    }

    /// The record of this number, with its samples.
    pub fn get(&self, id: RecordId) -> Result<Recorded, RecordError> {
        let packed = self.packed(id)?;
        self.whole(vec![(id, Ok(packed))])?.pop().unwrap_or(Err(RecordError::Unknown(id)))
    }

    /// The record of this number without any series: for what is listed, also when the samples are gone.
    pub fn without_series(&self, id: RecordId) -> Result<Recorded, RecordError> {
        let Packed { program, record, .. } = self.packed(id)?;
        Ok(Recorded { id, program, record })
    }

    /// The records of these numbers, which rise, with their samples. What is wrong with one is its own answer; only a
    /// database that cannot be read at all is an error. Reading many at once reads each sample once.
    pub fn get_many(&self, ids: &[RecordId]) -> Result<Vec<Result<Recorded, RecordError>>, RecordError> {
        let packed = self.contents(ids)?.into_iter().map(|(id, content)| {
            let packed = content.and_then(|content| Packed::read(&content));
            (id, packed.map_err(|damage| RecordError::Damaged { id, damage }))
        });
        self.whole(packed.collect())
    }

    /// The numbers that a selection stands for, in order; at least one.
    pub fn select(&self, selection: Selection) -> Result<Vec<RecordId>, RecordError> {
        let (first, last) = match selection {
            Selection::All => (RecordId(0), RecordId(u64::MAX)),
            Selection::Range(first, last) => (self.resolve(first)?, self.resolve(last)?),
            Selection::One(one) => {
                let id = self.resolve(one)?;
                (id, id)
            }
        };
        let ids = self.read(|connection| table::ids(connection, first, last))?;
        match selection {
            _ if !ids.is_empty() => Ok(ids),
            Selection::All => Err(RecordError::Empty),
            Selection::One(_) | Selection::Range(..) => Err(RecordError::Unknown(first)),
        }
    }

    fn resolve(&self, which: super::selection::Which) -> Result<RecordId, RecordError> {
        match which {
            super::selection::Which::Id(id) => Ok(id),
            super::selection::Which::Back(back) => {
                let id = self.read(|connection| table::from_the_end(connection, back - 1).map(Vec::from_iter))?;
                match id.first() {
                    Some(id) => Ok(*id),
                    None => Err(match self.count()? {
                        0 => RecordError::Empty,
                        count => RecordError::Fewer(count),
                    }),
                }
            }
        }
    }

    /// How many records there are.
    pub fn count(&self) -> Result<u64, RecordError> {
        Ok(self
            .history
            .read(|connection| if table::is_there(connection)? { table::count(connection) } else { Ok(0) })?)
    }

    /// The newest `limit` numbers since a time, newest first: all, or those where something was decided or changed.
    pub fn list(&self, since: Timestamp, all: bool, limit: u64) -> Result<Vec<RecordId>, RecordError> {
        self.read(|connection| table::listed(connection, since, all, limit))
    }

    /// Contents of these numbers, which rise. Each is decompressed by the one before it, and that by the one before.
    pub(super) fn contents(&self, ids: &[RecordId]) -> Result<Vec<Content>, RecordError> {
        let mut contents: Vec<Content> = Vec::with_capacity(ids.len());
        let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return Ok(contents) };
        // Numbers that are close are read together.
        let dense = last.0 - first.0 < 4 * ids.len() as u64;
        let rows = if dense { self.read(|connection| table::between(connection, *first, *last))? } else { Vec::new() };
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
                    Err(RecordError::Damaged { damage, .. }) => Err(damage),
                    Err(error) => return Err(error),
                },
            };
            before = content.as_ref().ok().map(|content| (*id, content.clone()));
            contents.push((*id, content));
        }
        Ok(contents)
    }

    fn content(&self, id: RecordId) -> Result<Vec<u8>, RecordError> {
        let chain = self.read(|connection| table::chain(connection, id))?;
        let oldest = chain.last().ok_or(RecordError::Unknown(id))?;
        if oldest.base.is_some() {
            return Err(RecordError::Damaged { id, damage: Damage::NoBase });
        }
        let mut content: Option<Vec<u8>> = None;
        for row in chain.iter().rev() {
            let next = codec::decompress(&row.body, content.as_deref());
            content = Some(next.map_err(|damage| RecordError::Damaged { id, damage })?);
        }
        content.ok_or(RecordError::Unknown(id))
    }

    fn packed(&self, id: RecordId) -> Result<Packed, RecordError> {
        Packed::read(&self.content(id)?).map_err(|damage| RecordError::Damaged { id, damage })
    }

    fn whole(
        &self,
        packed: Vec<(RecordId, Result<Packed, RecordError>)>,
    ) -> Result<Vec<Result<Recorded, RecordError>>, RecordError> {
        let readable = packed.iter().filter_map(|(_, packed)| packed.as_ref().ok());
        let windows = self.history.read(|connection| Windows::read(connection, readable))?;
        let unpacked = packed.into_iter().map(|(id, packed)| {
            let packed = packed?;
            let program = packed.program.clone();
            Ok(Recorded { id, program, record: windows.unpack(packed)? })
        });
        Ok(unpacked.collect())
    }

    /// A history that an older doproxy made has no records.
    fn read<T: Default>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>,
    ) -> Result<T, RecordError> {
        Ok(self
            .history
            .read(|connection| if table::is_there(connection)? { work(connection) } else { Ok(T::default()) })?)
    }
}
