//! Exports records to a single file: a time-series store with the records, the samples that they refer to, and the
//! evaluated components. The same code reads it as any other store, on a machine without an account or a configuration.
//!
//! The file contains no secrets: records contain no token, and no configuration except that of policies.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use doproxy_core::domain::{RecordId, SeriesId, SeriesRef, Timestamp};
use doproxy_metrics::TimeSeriesStore;
use rusqlite::{Transaction, params};

use crate::codec::PackedRecord;
use crate::components::{Components, store_component};
use crate::error::RecordError;
use crate::reader::LogReader;
use crate::sample_refs::SampleWindows;
use crate::sqlite::NewRow;
use crate::summary::RecordSummary;
use crate::{codec, sqlite};

/// Number of records that are written together.
const CHUNK: usize = 60;

/// A summary of an exported bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct ExportSummary {
    /// Number of records.
    pub records: usize,
    /// Number of components.
    pub components: usize,
    /// Components that were not found, with the errors; evaluations by these cannot be replayed.
    pub missing: Vec<String>,
    /// Size of the file in bytes.
    pub bytes: u64,
}

/// Writes the records of ascending numbers into a new file.
pub async fn export(
    archive: &Arc<LogReader>,
    components: &Components,
    ids: &[RecordId],
    path: &Path,
    now: Timestamp,
) -> Result<ExportSummary, RecordError> {
    let failed = |reason: String| RecordError::Bundle { path: path.to_owned(), reason };
    if path.exists() {
        return Err(failed("the file already exists; choose another name".to_owned()));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let scratch = tempfile::tempdir_in(folder).map_err(|error| failed(error.to_string()))?;
    let file = scratch.path().join("bundle.db");
    let bundle = TimeSeriesStore::open(&file, now);
    let condition = bundle.status();
    if let (false, Some(last_error)) = (condition.durable, condition.last_error) {
        return Err(failed(last_error));
    }
    let mut exported = ExportSummary::default();
    let mut used: BTreeMap<String, String> = BTreeMap::new();
    let mut copied = CopiedRanges::default();
    for chunk in ids.chunks(CHUNK) {
        let mut packed = Vec::with_capacity(chunk.len());
        for (id, content) in archive.contents(chunk)? {
            let read = content.and_then(|content| PackedRecord::decode(&content).map(|packed| (content, packed)));
            let (content, record) = read.map_err(|damage| RecordError::Corrupt { id, corruption: damage })?;
            for evaluation in record.record.evaluations.iter().filter(|evaluation| !evaluation.digest.is_empty()) {
                used.entry(evaluation.digest.clone()).or_insert_with(|| evaluation.reference.clone());
            }
            packed.push((id, content, record));
        }
        write_chunk(archive, &bundle, &packed, &mut copied)?;
        exported.records += packed.len();
    }
    for (digest, reference) in used {
        match components.bytes(&digest, &reference).await {
            Ok(bytes) => {
                store_component(&bundle, &digest, &bytes, now)?;
                exported.components += 1;
            }
            Err(error) => exported.missing.push(error.to_string()),
        }
    }
    // Ensures a single file, without a journal next to it.
    bundle.read(|connection| connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())))?;
    drop(bundle);
    exported.bytes = std::fs::metadata(&file).map_err(|error| failed(error.to_string()))?.len();
    // Not `rename`, which would overwrite a file created in the meantime.
    std::fs::hard_link(&file, path).map_err(|error| failed(error.to_string()))?;
    Ok(exported)
}

/// The samples of each series that are already in the bundle: everything after one time, up to another.
#[derive(Debug, Default)]
struct CopiedRanges(HashMap<SeriesId, (Timestamp, Timestamp)>);

impl CopiedRanges {
    /// Returns the time after which samples of a reference must be copied.
    fn extend_to(&mut self, reference: &SeriesRef) -> Timestamp {
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
    archive: &LogReader,
    bundle: &TimeSeriesStore,
    packed: &[(RecordId, Vec<u8>, PackedRecord)],
    copied: &mut CopiedRanges,
) -> Result<(), RecordError> {
    let windows = archive
        .store()
        .read(|connection| SampleWindows::read(connection, packed.iter().map(|(_, _, packed)| packed)))?;
    let mut bodies = Vec::with_capacity(packed.len());
    let mut before: Option<&[u8]> = None;
    for (_, content, _) in packed {
        bodies.push(codec::compress(content, before).map_err(RecordError::Encode)?);
        before = Some(content);
    }
    // Find missing samples before anything is written.
    let mut references: Vec<SeriesRef> = Vec::new();
    for (_, _, record) in packed {
        for reference in record.references() {
            windows.samples(&reference)?;
            references.push(reference);
        }
    }
    let written = bundle.write(|transaction| {
        for reference in &references {
            let from = copied.extend_to(reference);
            let samples = windows.samples(reference).unwrap_or_default();
            write_samples(transaction, reference, samples.iter().filter(|sample| sample.at > from))?;
        }
        write_records(transaction, packed, &bodies)
    });
    Ok(written?)
}

fn write_samples<'a>(
    transaction: &Transaction<'_>,
    reference: &SeriesRef,
    samples: impl Iterator<Item = &'a doproxy_core::domain::Sample>,
) -> rusqlite::Result<()> {
    let labels = serde_json::to_string(&reference.labels).unwrap_or_default();
    // Several series can have the same key one after another; in a bundle all of them have ended.
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
    packed: &[(RecordId, Vec<u8>, PackedRecord)],
    bodies: &[Vec<u8>],
) -> rusqlite::Result<()> {
    let keyframe = packed.first().map(|(id, ..)| *id);
    let mut before: Option<(RecordId, RecordSummary)> = None;
    for ((id, _, record), body) in packed.iter().zip(bodies) {
        let summary = RecordSummary::new(&record.record);
        sqlite::insert(
            transaction,
            &NewRow {
                id: Some(*id),
                at: record.record.at,
                keyframe: keyframe.filter(|keyframe| keyframe != id),
                base: before.as_ref().map(|(id, _)| *id),
                notable: summary.is_significant(before.as_ref().map(|(_, summary)| summary)),
                body,
            },
        )?;
        for digest in codec::component_digests(&record.record.evaluations) {
            sqlite::add_component_use(transaction, keyframe.unwrap_or(*id), digest)?;
        }
        before = Some((*id, summary));
    }
    Ok(())
}
