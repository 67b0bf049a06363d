//! Records in one file: a history of its own with the records, the samples that they refer to, and the components that
//! answered. It is read by the same code as any history, on a machine without account and configuration.
//!
//! There is nothing secret in it: no record has a token, and no configuration but those of policies.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Transaction, params};

use super::codec::{self, Packed};
use super::components::keep;
use super::gist::Gist;
use super::table::{self, NewRow};
use super::windows::Windows;
use super::{Archive, Components, RecordError};
use crate::history::History;
use crate::model::{RecordId, SeriesId, SeriesRef, Timestamp};

/// Records that are written together.
const CHUNK: usize = 60;

/// What was put into a bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Exported {
    /// Records.
    pub records: usize,
    /// Components.
    pub components: usize,
    /// Components that could not be had, with why: their answers cannot be replayed.
    pub missing: Vec<String>,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Writes the records of these numbers, which rise, into a new file.
pub async fn export(
    archive: &Arc<Archive>,
    components: &Components,
    ids: &[RecordId],
    path: &Path,
    now: Timestamp,
) -> Result<Exported, RecordError> {
    let failed = |reason: String| RecordError::Bundle { path: path.to_owned(), reason };
    if path.exists() {
        return Err(failed("it is there already; name another file".to_owned()));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let scratch = tempfile::tempdir_in(folder).map_err(|error| failed(error.to_string()))?;
    let file = scratch.path().join("bundle.db");
    let bundle = History::open(&file, now);
    let condition = bundle.condition();
    if let (false, Some(trouble)) = (condition.durable, condition.trouble) {
        return Err(failed(trouble));
    }
    let mut exported = Exported::default();
    let mut used: BTreeMap<String, String> = BTreeMap::new();
    let mut copied = Copied::default();
    for chunk in ids.chunks(CHUNK) {
        let mut packed = Vec::with_capacity(chunk.len());
        for (id, content) in archive.contents(chunk)? {
            let read = content.and_then(|content| Packed::read(&content).map(|packed| (content, packed)));
            let (content, record) = read.map_err(|damage| RecordError::Damaged { id, damage })?;
            for answer in record.record.answers.iter().filter(|answer| !answer.digest.is_empty()) {
                used.entry(answer.digest.clone()).or_insert_with(|| answer.reference.clone());
            }
            packed.push((id, content, record));
        }
        write_chunk(archive, &bundle, &packed, &mut copied)?;
        exported.records += packed.len();
    }
    for (digest, reference) in used {
        match components.bytes(&digest, &reference).await {
            Ok(bytes) => {
                keep(&bundle, &digest, &bytes, now)?;
                exported.components += 1;
            }
            Err(error) => exported.missing.push(error.to_string()),
        }
    }
    // One file, with nothing beside it.
    bundle.read(|connection| connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())))?;
    drop(bundle);
    exported.bytes = std::fs::metadata(&file).map_err(|error| failed(error.to_string()))?.len();
    // Not `rename`, which would take the place of a file that came meanwhile.
    std::fs::hard_link(&file, path).map_err(|error| failed(error.to_string()))?;
    Ok(exported)
}

/// What of each series is in the bundle already: everything after one time, up to another.
#[derive(Debug, Default)]
struct Copied(HashMap<SeriesId, (Timestamp, Timestamp)>);

impl Copied {
    /// What of a reference is to be copied: all after this.
    fn from(&mut self, reference: &SeriesRef) -> Timestamp {
        let SeriesRef { series, from, to, .. } = reference;
        match self.0.get_mut(series) {
            Some((begin, end)) if *begin <= *from && *from <= *end => {
                let known = *end;
                *end = (*end).max(*to);
                known.max(*from)
            }
            _ => {
                self.0.insert(*series, (*from, *to));
                *from
            }
        }
    }
}

fn write_chunk(
    archive: &Archive,
    bundle: &History,
    packed: &[(RecordId, Vec<u8>, Packed)],
    copied: &mut Copied,
) -> Result<(), RecordError> {
    let windows =
        archive.history().read(|connection| Windows::read(connection, packed.iter().map(|(_, _, packed)| packed)))?;
    let mut bodies = Vec::with_capacity(packed.len());
    let mut before: Option<&[u8]> = None;
    for (_, content, _) in packed {
        bodies.push(codec::compress(content, before).map_err(RecordError::Unwritable)?);
        before = Some(content);
    }
    // What is missing is found before anything is written.
    let mut references: Vec<SeriesRef> = Vec::new();
    for (_, _, record) in packed {
        for reference in record.references() {
            windows.of(&reference)?;
            references.push(reference);
        }
    }
    let written = bundle.write(|transaction| {
        for reference in &references {
            let from = copied.from(reference);
            let samples = windows.of(reference).unwrap_or_default();
            write_samples(transaction, reference, samples.iter().filter(|sample| sample.at > from))?;
        }
        write_records(transaction, packed, &bodies)
    });
    Ok(written?)
}

fn write_samples<'a>(
    transaction: &Transaction<'_>,
    reference: &SeriesRef,
    samples: impl Iterator<Item = &'a crate::model::Sample>,
) -> rusqlite::Result<()> {
    let labels = serde_json::to_string(&reference.labels).unwrap_or_default();
    // Series of one key may follow one another; in a bundle all have ended.
    transaction
        .prepare_cached("INSERT OR IGNORE INTO series (id, name, labels, unit, ended) VALUES (?1, ?2, ?3, ?4, 0)")?
        .execute(params![reference.series.0, reference.name, labels, reference.unit])?;
    let mut insert =
        transaction.prepare_cached("INSERT OR IGNORE INTO samples (at, series, value) VALUES (?1, ?2, ?3)")?;
    for sample in samples {
        insert.execute(params![sample.at.0, reference.series.0, sample.value])?;
    }
    Ok(())
}

fn write_records(
    transaction: &Transaction<'_>,
    packed: &[(RecordId, Vec<u8>, Packed)],
    bodies: &[Vec<u8>],
) -> rusqlite::Result<()> {
    let keyframe = packed.first().map(|(id, ..)| *id);
    let mut before: Option<(RecordId, Gist)> = None;
    for ((id, _, record), body) in packed.iter().zip(bodies) {
        let gist = Gist::of(&record.record);
        table::insert(
            transaction,
            &NewRow {
                id: Some(*id),
                at: record.record.at,
                keyframe: keyframe.filter(|keyframe| keyframe != id),
                base: before.as_ref().map(|(id, _)| *id),
                notable: gist.is_notable(before.as_ref().map(|(_, gist)| gist)),
                body,
            },
        )?;
        for digest in codec::digests(&record.record.answers) {
            table::uses(transaction, keyframe.unwrap_or(*id), digest)?;
        }
        before = Some((*id, gist));
    }
    Ok(())
}
