//! Detects damage that SQLite does not: rows that differ from those written.
//!
//! SQLite's own check detects a damaged tree, but not a flipped bit in an address. Therefore each table has a checksum
//! over its rows, which connection-level triggers update in the transaction that changes a row. A row contributes its
//! digest regardless of its position, so the cost of a change depends on the row and not on the table.

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, Result};
use sha2::{Digest, Sha256};

/// The table of checksums.
const CHECKSUM_TABLE: &str = "table_sums";
/// The name of the checksum of the schema itself.
const SCHEMA_ENTRY: &str = "sqlite_schema";

/// The number of rows, and the sum of their digests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TableChecksum {
    pub(super) rows: i64,
    checksum: i64,
}

impl TableChecksum {
    fn add(&mut self, digest: i64) {
        self.rows += 1;
        self.checksum = self.checksum.wrapping_add(digest);
    }
}

/// Installs triggers that update the checksums on every change made through this connection.
pub(super) fn install_triggers(connection: &Connection) -> Result<()> {
    // REPLACE deletes rows, and fires delete triggers only with this setting.
    connection.pragma_update(None, "recursive_triggers", true)?;
    register_function(connection, "with_row", i64::wrapping_add)?;
    register_function(connection, "without_row", i64::wrapping_sub)?;
    for table in tables(connection)? {
        let columns = columns(connection, &table)?;
        let of = |row: &str| columns.iter().map(|column| format!(", {row}.\"{column}\"")).collect::<String>();
        let (new, old) = (of("NEW"), of("OLD"));
        for (event, rows, sum) in [
            ("INSERT", "rows + 1", format!("with_row(sum{new})")),
            ("DELETE", "rows - 1", format!("without_row(sum{old})")),
            ("UPDATE", "rows", format!("with_row(without_row(sum{old}){new})")),
        ] {
            connection.execute_batch(&format!(
                "CREATE TEMP TRIGGER \"sum of {table} at {event}\" AFTER {event} ON main.\"{table}\" BEGIN
                     UPDATE {CHECKSUM_TABLE} SET rows = {rows}, sum = {sum} WHERE name = '{table}';
                 END"
            ))?;
        }
    }
    Ok(())
}

/// Writes the checksums of the current content, after a schema change.
pub(super) fn write(connection: &Connection) -> Result<()> {
    connection.execute(&format!("DELETE FROM {CHECKSUM_TABLE}"), [])?;
    for (name, sum) in compute(connection)? {
        connection.execute(
            &format!("INSERT INTO {CHECKSUM_TABLE} (name, rows, sum) VALUES (?1, ?2, ?3)"),
            (name, sum.rows, sum.checksum),
        )?;
    }
    Ok(())
}

/// Finds content that differs from what was written; `None` if there is none, or if the inventory predates checksums.
pub(super) fn find_mismatch(connection: &Connection) -> Result<Option<String>> {
    let are_kept: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)",
        [CHECKSUM_TABLE],
        |row| row.get(0),
    )?;
    if !are_kept {
        return Ok(None);
    }
    let mut counted = compute(connection)?;
    for (name, written) in stored(connection)? {
        match counted.iter().position(|(table, _)| *table == name).map(|index| counted.swap_remove(index)) {
            Some((_, sum)) if sum == written => {}
            Some(_) => return Ok(Some(format!("the content of {name} differs from what was written"))),
            None => return Ok(Some(format!("the table {name} is missing"))),
        }
    }
    Ok(counted.first().map(|(name, _)| format!("unexpected table {name}")))
}

/// Reads the stored checksums, by table.
pub(super) fn stored(connection: &Connection) -> Result<Vec<(String, TableChecksum)>> {
    connection
        .prepare(&format!("SELECT name, rows, sum FROM {CHECKSUM_TABLE} ORDER BY name"))?
        .query_map([], |row| Ok((row.get(0)?, TableChecksum { rows: row.get(1)?, checksum: row.get(2)? })))?
        .collect()
}

/// Returns the number of rows that a table had when its checksum was stored.
pub(super) fn stored_row_count(connection: &Connection, table: &str) -> Result<Option<i64>> {
    connection
        .query_row(&format!("SELECT rows FROM {CHECKSUM_TABLE} WHERE name = ?1"), [table], |row| row.get(0))
        .optional()
}

fn compute(connection: &Connection) -> Result<Vec<(String, TableChecksum)>> {
    let mut sums = vec![(
        SCHEMA_ENTRY.to_owned(),
        checksum_rows(connection, "SELECT sql, user_version FROM main.sqlite_schema, pragma_user_version")?,
    )];
    for table in tables(connection)? {
        let sum = checksum_rows(connection, &format!("SELECT * FROM main.\"{table}\""))?;
        sums.push((table, sum));
    }
    Ok(sums)
}

fn checksum_rows(connection: &Connection, select: &str) -> Result<TableChecksum> {
    let mut statement = connection.prepare(select)?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    let mut sum = TableChecksum::default();
    while let Some(row) = rows.next()? {
        let values = (0..columns).map(|column| row.get_ref(column)).collect::<Result<Vec<_>>>()?;
        sum.add(digest(values.into_iter()));
    }
    Ok(sum)
}

fn tables(connection: &Connection) -> Result<Vec<String>> {
    connection
        .prepare(
            "SELECT name FROM main.sqlite_schema
             WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> ?1 ORDER BY name",
        )?
        .query_map([CHECKSUM_TABLE], |row| row.get(0))?
        .collect()
}

fn columns(connection: &Connection, table: &str) -> Result<Vec<String>> {
    connection
        .prepare("SELECT name FROM pragma_table_info(?1) ORDER BY cid")?
        .query_map([table], |row| row.get(0))?
        .collect()
}

/// Registers an SQL function that takes the checksum as its first argument and the row in the others.
fn register_function(connection: &Connection, name: &str, change: fn(i64, i64) -> i64) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function(name, -1, flags, move |context: &mut Context<'_>| {
        let row = (1..context.len()).map(|argument| context.get_raw(argument));
        Ok(Value::Integer(change(context.get(0)?, digest(row))))
    })
}

fn digest<'value>(row: impl Iterator<Item = ValueRef<'value>>) -> i64 {
    let mut digest = Sha256::new();
    // Type and length are included, so that different rows never hash the same bytes.
    let mut add = |kind: u8, bytes: &[u8]| {
        digest.update([kind]);
        digest.update(bytes.len().to_le_bytes());
        digest.update(bytes);
    };
    for value in row {
        match value {
            ValueRef::Null => add(0, &[]),
            ValueRef::Integer(number) => add(1, &number.to_le_bytes()),
            ValueRef::Real(number) => add(2, &number.to_le_bytes()),
            ValueRef::Text(text) => add(3, text),
            ValueRef::Blob(bytes) => add(4, bytes),
        }
    }
    let digest: [u8; 32] = digest.finalize().into();
    digest.first_chunk().map_or(0, |start| i64::from_le_bytes(*start))
}
