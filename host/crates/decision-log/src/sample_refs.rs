//! Converts between the samples of an observation and references into the time-series store.

use std::collections::HashMap;

use doproxy_core::domain::{Observation, Sample, Series, SeriesId, SeriesRef, TickRecord, Timestamp};
use doproxy_metrics::{SeriesKey, TimeSeriesError, TimeSeriesStore};
use rusqlite::Connection;

use crate::codec::{PackedRecord, PackedSeries, SampleRef};

/// The IDs of series by key, as far as they have been looked up.
pub(super) type SeriesIndex = HashMap<SeriesKey, SeriesId>;

/// Packs the series of an observation, by reference if the time-series store has identical samples.
pub(super) fn pack(record: &TickRecord, store: &TimeSeriesStore, known: &mut SeriesIndex) -> Vec<PackedSeries> {
    let pack_one = |series: &Series| match reference(series, &record.observation, store, known) {
        Some(reference) => PackedSeries::Reference(SampleRef::new(reference, record.at)),
        None => PackedSeries::Inline(series.clone()),
    };
    record.observation.metrics.iter().map(pack_one).collect()
}

fn reference(
    series: &Series,
    observation: &Observation,
    store: &TimeSeriesStore,
    known: &mut SeriesIndex,
) -> Option<SeriesRef> {
    let (first, last) = (series.samples.first()?, series.samples.last()?);
    let id = find_series(series, store, known)?;
    let reference = SeriesRef {
        series: id,
        name: series.name.clone(),
        unit: series.unit.clone(),
        labels: series.labels.clone(),
        interval_ms: series.interval_ms,
        stale: series.stale,
        from: Timestamp(first.at.0.checked_sub(1)?),
        to: last.at,
        count: u32::try_from(series.samples.len()).ok()?,
    };
    // A sample later than the tick would look like corruption later.
    if last.at > observation.now {
        return None;
    }
    let kept = store.window(&reference).ok()?;
    let same = kept.len() == series.samples.len()
        && kept
            .iter()
            .zip(&series.samples)
            .all(|(kept, seen)| kept.at == seen.at && kept.value.to_bits() == seen.value.to_bits());
    if !same {
        // The series may have been recreated under the same name.
        known.retain(|_, known| *known != id);
    }
    same.then_some(reference)
}

fn find_series(series: &Series, store: &TimeSeriesStore, known: &mut SeriesIndex) -> Option<SeriesId> {
    let key = SeriesKey { name: series.name.clone(), labels: series.labels.clone(), unit: series.unit.clone() };
    if let Some(id) = known.get(&key) {
        return Some(*id);
    }
    let ids = store.series_named(&series.name).into_iter().map(|(id, _)| id);
    let id = ids.into_iter().find(|id| store.key(*id).as_ref() == Some(&key))?;
    known.insert(key, id);
    Some(id)
}

/// Samples of all series in a time span, read at once.
#[derive(Debug, Default)]
pub(super) struct SampleWindows(HashMap<SeriesId, Vec<Sample>>);

impl SampleWindows {
    /// Reads the samples that these records need.
    pub(super) fn read<'a>(
        connection: &Connection,
        records: impl Iterator<Item = &'a PackedRecord> + Clone,
    ) -> rusqlite::Result<Self> {
        let mut windows: HashMap<SeriesId, Vec<Sample>> = HashMap::new();
        let (mut from, mut to) = (u64::MAX, 0);
        for reference in records.flat_map(PackedRecord::references) {
            windows.entry(reference.series).or_default();
            from = from.min(reference.from.0);
            to = to.max(reference.to.0);
        }
        if windows.is_empty() {
            return Ok(Self(windows));
        }
        let bound = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
        let mut statement = connection
            .prepare_cached("SELECT series, at, value FROM samples WHERE at > ?1 AND at <= ?2 ORDER BY at, series")?;
        let mut rows = statement.query([bound(from), bound(to)])?;
        while let Some(row) = rows.next()? {
            if let Some(samples) = windows.get_mut(&SeriesId(row.get(0)?)) {
                samples.push(Sample { at: Timestamp(row.get(1)?), value: row.get(2)? });
            }
        }
        Ok(Self(windows))
    }

    /// Returns the samples of a reference.
    pub(super) fn samples(&self, reference: &SeriesRef) -> Result<&[Sample], TimeSeriesError> {
        let all = self.0.get(&reference.series).map_or(&[][..], Vec::as_slice);
        let begin = all.partition_point(|sample| sample.at <= reference.from);
        let end = all.partition_point(|sample| sample.at <= reference.to);
        let found = all.get(begin..end).unwrap_or_default();
        if found.len() == reference.count as usize {
            return Ok(found);
        }
        Err(TimeSeriesError::MissingSamples {
            name: reference.name.clone(),
            from: reference.from,
            to: reference.to,
            expected: reference.count,
            found: found.len(),
        })
    }

    /// Restores the complete record.
    pub(super) fn unpack(&self, packed: PackedRecord) -> Result<TickRecord, TimeSeriesError> {
        let PackedRecord { mut record, series, .. } = packed;
        let at = record.at;
        record.observation.metrics = series
            .into_iter()
            .map(|series| match series {
                PackedSeries::Inline(series) => Ok(series),
                PackedSeries::Reference(kept) => {
                    let reference = kept.series_ref(at);
                    Ok(reference.with_samples(self.samples(&reference)?.to_vec()))
                }
            })
            .collect::<Result<_, TimeSeriesError>>()?;
        Ok(record)
    }
}
