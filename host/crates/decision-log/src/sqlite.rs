//! SQL statements over the tables `records`, `components` and `component_uses` of the time-series store.
//!
//! Records come in groups: a *keyframe*, which is compressed on its own, and the records after it, each compressed
//! relative to its *base*, the previous one. A group is pruned as a whole. Each group's keyframe registers the
//! components that the group uses; a component without uses is pruned too.

use doproxy_core::domain::{RecordId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

/// A row of `records`.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: RecordId,
    /// The record relative to which it is compressed; `None` for a keyframe.
    pub(super) base: Option<RecordId>,
    pub(super) body: Vec<u8>,
}

/// A new row of `records`.
#[derive(Debug)]
pub(super) struct NewRow<'a> {
    /// `None` selects the next free number.
    pub(super) id: Option<RecordId>,
    pub(super) at: Timestamp,
    pub(super) keyframe: Option<RecordId>,
    pub(super) base: Option<RecordId>,
    pub(super) notable: bool,
    pub(super) body: &'a [u8],
}

fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn id_of(number: i64) -> RecordId {
    RecordId(u64::try_from(number).unwrap_or(0))
}

pub(super) fn insert(transaction: &Transaction<'_>, row: &NewRow<'_>) -> rusqlite::Result<RecordId> {
    transaction
        .prepare_cached("INSERT INTO records (id, at, keyframe, base, notable, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            row.id.map(|id| integer(id.0)),
            integer(row.at.0),
            row.keyframe.map(|id| integer(id.0)),
            row.base.map(|id| integer(id.0)),
            row.notable,
            row.body
        ])?;
    Ok(id_of(transaction.last_insert_rowid()))
}

/// Reports whether the table of records exists: a store that an older doproxy created, and that is opened read-only,
/// has none.
pub(super) fn has_records_table(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .query_row("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'records'", [], |_| Ok(()))
        .optional()
        .map(|found| found.is_some())
}

pub(super) fn newest(connection: &Connection) -> rusqlite::Result<Option<RecordId>> {
    let id: Option<i64> = connection.query_row("SELECT max(id) FROM records", [], |row| row.get(0))?;
    Ok(id.map(id_of))
}

/// Returns the number of records.
pub(super) fn count(connection: &Connection) -> rusqlite::Result<u64> {
    let count: i64 = connection.query_row("SELECT count(*) FROM records", [], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Returns the record that is `back` places before the newest; 0 is the newest.
pub(super) fn nth_newest(connection: &Connection, back: u64) -> rusqlite::Result<Option<RecordId>> {
    connection
        .query_row("SELECT id FROM records ORDER BY id DESC LIMIT 1 OFFSET ?1", [integer(back)], |row| row.get(0))
        .optional()
        .map(|id| id.map(id_of))
}

/// Returns the IDs from `first` to `last`, in order.
pub(super) fn ids(connection: &Connection, first: RecordId, last: RecordId) -> rusqlite::Result<Vec<RecordId>> {
    let mut statement = connection.prepare_cached("SELECT id FROM records WHERE id BETWEEN ?1 AND ?2 ORDER BY id")?;
    let ids = statement.query_map([integer(first.0), integer(last.0)], |row| row.get(0))?;
    ids.map(|id| id.map(id_of)).collect()
}

/// Returns the newest IDs since a time, newest first: all of them, or only the notable ones.
pub(super) fn list_ids(
    connection: &Connection,
    since: Timestamp,
    all: bool,
    limit: u64,
) -> rusqlite::Result<Vec<RecordId>> {
    let mut statement = connection
        .prepare_cached("SELECT id FROM records WHERE at >= ?1 AND (?2 OR notable != 0) ORDER BY id DESC LIMIT ?3")?;
    let ids = statement.query_map(params![integer(since.0), all, integer(limit)], |row| row.get(0))?;
    ids.map(|id| id.map(id_of)).collect()
}

/// Returns a record and those that it is based on, itself first. IDs must decrease along the chain, so that it ends
/// even in a corrupt file.
pub(super) fn chain(connection: &Connection, id: RecordId) -> rusqlite::Result<Vec<Row>> {
    rows(
        connection,
        "WITH RECURSIVE chain (id, base, body) AS (
             SELECT id, base, body FROM records WHERE id = ?1
             UNION ALL SELECT r.id, r.base, r.body FROM records r JOIN chain c ON r.id = c.base AND r.id < c.id LIMIT ?2
         ) SELECT id, base, body FROM chain ORDER BY id DESC",
        [integer(id.0), MAX_CHAIN_LENGTH],
    )
}

/// Returns the records from `first` to `last`, in order.
pub(super) fn rows_between(connection: &Connection, first: RecordId, last: RecordId) -> rusqlite::Result<Vec<Row>> {
    rows(
        connection,
        "SELECT id, base, body FROM records WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
        [integer(first.0), integer(last.0)],
    )
}

/// An upper bound, far above the size of a group.
const MAX_CHAIN_LENGTH: i64 = 1000;

fn rows(connection: &Connection, sql: &str, parameters: [i64; 2]) -> rusqlite::Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(parameters, |row| {
        let base: Option<i64> = row.get(1)?;
        Ok(Row { id: id_of(row.get(0)?), base: base.map(id_of), body: row.get(2)? })
    })?;
    rows.collect()
}

/// Registers that the group of a keyframe uses a component.
pub(super) fn add_component_use(
    transaction: &Transaction<'_>,
    keyframe: RecordId,
    digest: &str,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR IGNORE INTO component_uses (keyframe, digest) VALUES (?1, ?2)")?
        .execute(params![integer(keyframe.0), digest])?;
    Ok(())
}

pub(super) fn has_component(connection: &Connection, digest: &str) -> rusqlite::Result<bool> {
    connection
        .query_row("SELECT 1 FROM components WHERE digest = ?1", [digest], |_| Ok(()))
        .optional()
        .map(|found| found.is_some())
}

/// Returns the uncompressed size and the compressed bytes.
pub(super) fn component(connection: &Connection, digest: &str) -> rusqlite::Result<Option<(i64, Vec<u8>)>> {
    connection
        .query_row("SELECT size, body FROM components WHERE digest = ?1", [digest], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()
}

pub(super) fn insert_component(
    transaction: &Transaction<'_>,
    digest: &str,
    added: Timestamp,
    size: usize,
    body: &[u8],
) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT OR REPLACE INTO components (digest, added, size, body) VALUES (?1, ?2, ?3, ?4)",
        params![digest, integer(added.0), i64::try_from(size).unwrap_or(i64::MAX), body],
    )?;
    Ok(())
}

/// Prunes the oldest group if all of it is older than `before`; reports whether it did. After the last such group, also
/// prunes unused components, except recently added ones.
pub(super) fn prune_oldest_group(transaction: &Transaction<'_>, before: Timestamp) -> rusqlite::Result<bool> {
    let oldest: Option<(i64, i64)> = transaction
        .query_row("SELECT id, coalesce(keyframe, id) FROM records ORDER BY id LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let newest_at: Option<i64> = match oldest {
        None => None,
        // A group without its keyframe cannot be read, and is pruned like any other.
        Some((id, keyframe)) => transaction.query_row(
            "SELECT max(at) FROM records WHERE id BETWEEN ?1 AND ?2 AND coalesce(keyframe, id) = ?3",
            [id, id.saturating_add(MAX_CHAIN_LENGTH), keyframe],
            |row| row.get(0),
        )?,
    };
    if let (Some((id, keyframe)), Some(at)) = (oldest, newest_at)
        && at < integer(before.0)
    {
        transaction.execute(
            "DELETE FROM records WHERE id BETWEEN ?1 AND ?2 AND coalesce(keyframe, id) = ?3",
            [id, id.saturating_add(MAX_CHAIN_LENGTH), keyframe],
        )?;
        transaction.execute("DELETE FROM component_uses WHERE keyframe = ?1", [keyframe])?;
        return Ok(true);
    }
    transaction.execute(
        "DELETE FROM components WHERE added < ?1 AND digest NOT IN (SELECT digest FROM component_uses)",
        [integer(before.0)],
    )?;
    Ok(false)
}
