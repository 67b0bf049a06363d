//! Converts between rows and plain data.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use doproxy_core::domain::{
    CreateHistory, Droplet, DropletId, DropletName, HourlyPrice, Money, Operation, OperationId, OperationKind,
    OperationState, Pauses, Phase, Template, Timestamp, redacted,
};
use doproxy_core::seams::{Maintenance, Provenance};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

/// A cell with a value that this program never writes.
#[derive(Debug)]
struct CorruptCell(String);

impl fmt::Display for CorruptCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for CorruptCell {}

fn corrupt_cell(column: &str, why: impl fmt::Display) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(CorruptCell(format!("{column}: {why}"))))
}

fn name(row: &Row<'_>, column: &str) -> Result<DropletName> {
    DropletName::parse(row.get::<_, String>(column)?).map_err(|error| corrupt_cell(column, error))
}

fn phase(row: &Row<'_>) -> Result<Phase> {
    let word: String = row.get("phase")?;
    Phase::parse(&word).ok_or_else(|| corrupt_cell("phase", word))
}

fn time(row: &Row<'_>, column: &str) -> Result<Timestamp> {
    row.get(column).map(Timestamp)
}

fn droplet(row: &Row<'_>) -> Result<Droplet> {
    let address: Option<String> = row.get("address")?;
    Ok(Droplet {
        name: name(row, "name")?,
        index: row.get("fleet_index")?,
        id: row.get::<_, Option<u64>>("cloud_id")?.map(DropletId),
        phase: phase(row)?,
        phase_since: time(row, "phase_since")?,
        created_at: time(row, "created_at")?,
        template: Template {
            size: row.get("size")?,
            region: row.get("region")?,
            image: row.get("image")?,
            tags: serde_json::from_str(&row.get::<_, String>("tags")?).map_err(|error| corrupt_cell("tags", error))?,
        },
        hourly_price: HourlyPrice::from_micro_dollars(row.get("hourly_price_micro_dollars")?),
        address: address
            .map(|text| text.parse::<IpAddr>())
            .transpose()
            .map_err(|error| corrupt_cell("address", error))?,
        protected: row.get("protected")?,
    })
}

/// Reads droplets that are not gone, in creation order.
pub(super) fn droplets(connection: &Connection) -> Result<Vec<Droplet>> {
    connection
        .prepare_cached("SELECT * FROM droplets WHERE phase <> 'gone' ORDER BY fleet_index")?
        .query_map([], droplet)?
        .collect()
}

pub(super) fn insert_droplet(connection: &Connection, droplet: &Droplet) -> Result<()> {
    let tags = serde_json::to_string(&droplet.template.tags).map_err(|error| corrupt_cell("tags", error))?;
    connection.execute(
        "INSERT INTO droplets VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        params![
            droplet.name.as_str(),
            droplet.index,
            droplet.id.map(|id| id.0),
            droplet.phase.as_str(),
            droplet.phase_since.0,
            droplet.created_at.0,
            droplet.template.size,
            droplet.template.region,
            droplet.template.image,
            tags,
            droplet.hourly_price.micro_dollars(),
            droplet.address.map(|address| address.to_string()),
            droplet.protected,
        ],
    )?;
    add_history(connection, &droplet.name, droplet.phase, droplet.phase_since)
}

pub(super) fn phase_of(connection: &Connection, droplet: &DropletName) -> Result<Option<Phase>> {
    connection.query_row("SELECT phase FROM droplets WHERE name = ?1", [droplet.as_str()], phase).optional()
}

pub(super) fn set_phase(connection: &Connection, droplet: &DropletName, phase: Phase, at: Timestamp) -> Result<()> {
    connection.execute(
        "UPDATE droplets SET phase = ?2, phase_since = ?3 WHERE name = ?1",
        params![droplet.as_str(), phase.as_str(), at.0],
    )?;
    add_history(connection, droplet, phase, at)
}

pub(super) fn set_address(connection: &Connection, droplet: &DropletName, address: IpAddr) -> Result<()> {
    connection
        .execute("UPDATE droplets SET address = ?2 WHERE name = ?1", params![droplet.as_str(), address.to_string()])?;
    Ok(())
}

fn add_history(connection: &Connection, droplet: &DropletName, phase: Phase, at: Timestamp) -> Result<()> {
    connection.execute("INSERT INTO phases VALUES (?1, ?2, ?3)", params![droplet.as_str(), phase.as_str(), at.0])?;
    Ok(())
}

pub(super) fn history(connection: &Connection, droplet: &DropletName) -> Result<Vec<(Phase, Timestamp)>> {
    connection
        .prepare("SELECT phase, at FROM phases WHERE droplet = ?1 ORDER BY rowid")?
        .query_map([droplet.as_str()], |row| Ok((phase(row)?, time(row, "at")?)))?
        .collect()
}

fn operation(row: &Row<'_>) -> Result<Operation> {
    let kind: String = row.get("kind")?;
    let state: String = row.get("state")?;
    Ok(Operation {
        id: OperationId(row.get("id")?),
        kind: match kind.as_str() {
            "create" => OperationKind::Create,
            "delete" => OperationKind::Delete,
            _ => return Err(corrupt_cell("kind", kind)),
        },
        droplet: name(row, "droplet")?,
        started_at: time(row, "started_at")?,
        sent_at: row.get::<_, Option<u64>>("sent_at")?.map(Timestamp),
        body_digest: row.get("body_digest")?,
        user_data_params: row.get("user_data_params")?,
        state: match state.as_str() {
            "open" => OperationState::Open,
            "done" => OperationState::Done,
            "failed" => OperationState::Failed { reason: row.get::<_, Option<String>>("reason")?.unwrap_or_default() },
            _ => return Err(corrupt_cell("state", state)),
        },
    })
}

/// Reads the open operations or the closed ones, oldest first.
pub(super) fn operations(connection: &Connection, open: bool) -> Result<Vec<Operation>> {
    connection
        .prepare_cached("SELECT * FROM operations WHERE (state = 'open') = ?1 ORDER BY id")?
        .query_map([open], operation)?
        .collect()
}

pub(super) fn open_operations_of(connection: &Connection, droplet: &DropletName) -> Result<Vec<Operation>> {
    connection
        .prepare_cached("SELECT * FROM operations WHERE droplet = ?1 AND state = 'open' ORDER BY id")?
        .query_map([droplet.as_str()], operation)?
        .collect()
}

pub(super) fn droplet_of(connection: &Connection, operation: OperationId) -> Result<Option<DropletName>> {
    connection
        .query_row("SELECT droplet FROM operations WHERE id = ?1", [operation.0], |row| name(row, "droplet"))
        .optional()
}

pub(super) fn insert_operation(
    connection: &Connection,
    kind: OperationKind,
    droplet: &DropletName,
    at: Timestamp,
    body_digest: Option<&str>,
    user_data_params: Option<&str>,
) -> Result<Operation> {
    let word = match kind {
        OperationKind::Create => "create",
        OperationKind::Delete => "delete",
    };
    connection.query_row(
        "INSERT INTO operations (kind, droplet, started_at, body_digest, user_data_params, state)
         VALUES (?1, ?2, ?3, ?4, ?5, 'open') RETURNING *",
        params![word, droplet.as_str(), at.0, body_digest, user_data_params],
        operation,
    )
}

pub(super) fn close_operation(
    connection: &Connection,
    id: OperationId,
    state: &OperationState,
    at: Timestamp,
) -> Result<()> {
    let (word, reason) = match state {
        OperationState::Open => ("open", None),
        OperationState::Done => ("done", None),
        OperationState::Failed { reason } => ("failed", Some(redacted(reason))),
    };
    connection.execute(
        "UPDATE operations SET state = ?2, reason = ?3, ended_at = ?4 WHERE id = ?1 AND state = 'open'",
        params![id.0, word, reason, at.0],
    )?;
    Ok(())
}

/// Marks the droplet of this create as not started in time.
pub(super) fn mark_as_failed_boot(connection: &Connection, create: OperationId) -> Result<()> {
    connection.execute("UPDATE operations SET ran_out_of_time = 1 WHERE id = ?1", [create.0]).map(|_| ())
}

/// Returns the start of the last create and of the last delete.
pub(super) fn last_scaling(connection: &Connection) -> Result<(Option<Timestamp>, Option<Timestamp>)> {
    connection.query_row(
        "SELECT max(started_at) FILTER (WHERE kind = 'create'), max(started_at) FILTER (WHERE kind = 'delete')
         FROM operations",
        [],
        |row| Ok((row.get::<_, Option<u64>>(0)?.map(Timestamp), row.get::<_, Option<u64>>(1)?.map(Timestamp))),
    )
}

/// Looks up the history of a droplet that is not in the fleet now.
pub(super) fn provenance(connection: &Connection, id: DropletId, droplet: &str) -> Result<Provenance> {
    let left: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM droplets WHERE cloud_id = ?1 AND phase = 'gone')",
        [id.0],
        |row| row.get(0),
    )?;
    if left {
        return Ok(Provenance::Former);
    }
    let asked = connection
        .query_row(
            "SELECT name FROM droplets WHERE name = ?1 COLLATE NOCASE AND EXISTS (
                 SELECT 1 FROM operations WHERE droplet = name AND kind = 'create' AND sent_at IS NOT NULL)",
            [droplet],
            |row| name(row, "name"),
        )
        .optional()?;
    Ok(asked.map_or(Provenance::Unknown, |name| Provenance::Requested { name }))
}

/// Returns the results of creates since `since`. A create that failed before its droplet had an ID says nothing about
/// booting, nor does one whose droplet was removed before its time limit.
pub(super) fn creates_since(connection: &Connection, since: Timestamp) -> Result<CreateHistory> {
    let started = connection.query_row(
        "SELECT count(*) FROM operations WHERE kind = 'create' AND started_at >= ?1",
        [since.0],
        |row| row.get(0),
    )?;
    let mut creates = CreateHistory { started, ..CreateHistory::default() };
    let mut ended = connection.prepare_cached(
        "SELECT operations.state = 'failed' AS failed, started_at FROM operations
         JOIN droplets ON droplets.name = operations.droplet
         WHERE kind = 'create' AND (state = 'done' OR ran_out_of_time) AND cloud_id IS NOT NULL AND started_at >= ?1
         ORDER BY operations.id DESC",
    )?;
    let mut rows = ended.query([since.0])?;
    while let Some(row) = rows.next()? {
        if !row.get::<_, bool>("failed")? {
            break;
        }
        creates.consecutive_failures += 1;
        creates.last_failure = creates.last_failure.or(Some(time(row, "started_at")?));
    }
    Ok(creates)
}

pub(super) fn maintenance(connection: &Connection) -> Result<Option<Maintenance>> {
    let Some(since) = meta(connection, "maintenance_since")? else { return Ok(None) };
    let since = since.parse().map(Timestamp).map_err(|error| corrupt_cell("maintenance_since", error))?;
    Ok(Some(Maintenance { since, reason: meta(connection, "maintenance_reason")?.unwrap_or_default() }))
}

pub(super) fn set_maintenance(connection: &Connection, maintenance: Option<&Maintenance>) -> Result<()> {
    connection.execute("DELETE FROM meta WHERE key IN ('maintenance_since', 'maintenance_reason')", [])?;
    let Some(maintenance) = maintenance else { return Ok(()) };
    let mut insert = connection.prepare("INSERT INTO meta (key, value) VALUES (?1, ?2)")?;
    insert.execute(["maintenance_since", &maintenance.since.0.to_string()])?;
    insert.execute(["maintenance_reason", &maintenance.reason])?;
    Ok(())
}

/// Reads the pauses; empty if none were ever set.
pub(super) fn pauses(connection: &Connection) -> Result<Pauses> {
    let text = meta(connection, "pauses")?;
    text.map_or(Ok(Pauses::default()), |text| {
        serde_json::from_str(&text).map_err(|error| corrupt_cell("pauses", error))
    })
}

pub(super) fn set_pauses(connection: &Connection, pauses: &Pauses) -> Result<()> {
    let text = serde_json::to_string(pauses).map_err(|error| corrupt_cell("pauses", error))?;
    set_meta(connection, "pauses", &text)
}

/// Reads the value of a key; `None` if it was never set.
pub(super) fn meta(connection: &Connection, key: &str) -> Result<Option<String>> {
    connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()
}

pub(super) fn set_meta(connection: &Connection, key: &str, value: &str) -> Result<()> {
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", [key, value])?;
    Ok(())
}

/// Returns the cost of droplets that existed between the two times.
pub(super) fn cost_between(connection: &Connection, since: Timestamp, now: Timestamp) -> Result<Money> {
    connection
        .prepare_cached(
            "SELECT hourly_price_micro_dollars, created_at, CASE phase WHEN 'gone' THEN phase_since END
             FROM droplets WHERE cloud_id IS NOT NULL AND (phase <> 'gone' OR phase_since >= ?1)",
        )?
        .query_map([since.0], |row| {
            let price = HourlyPrice::from_micro_dollars(row.get(0)?);
            let (born, left) = (Timestamp(row.get(1)?), row.get::<_, Option<u64>>(2)?.map_or(now, Timestamp));
            Ok(price.billed_cost(left.min(now).since(born.max(since))))
        })?
        .try_fold(Money::default(), |sum, cost| Ok(sum.plus(cost?)))
}

/// Returns the times from request to serving, newest first.
pub(super) fn boot_times(connection: &Connection, count: u32) -> Result<Vec<Duration>> {
    connection
        .prepare_cached(
            "SELECT phases.at, operations.started_at FROM phases
             JOIN operations ON operations.droplet = phases.droplet AND operations.kind = 'create'
             WHERE phases.phase = 'serving' ORDER BY phases.at DESC LIMIT ?1",
        )?
        .query_map([count], |row| Ok(Timestamp(row.get(0)?).since(Timestamp(row.get(1)?))))?
        .collect()
}
