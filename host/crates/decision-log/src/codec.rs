//! The format of a record: `MessagePack` with names, so that fields can be added, and every `f64` by its bits; then the
//! difference to the previous record, so that unchanged parts cost nothing; then deflate.
//!
//! A body consists of the format version (1 byte), the length of the content (4 bytes, little-endian), the first 4
//! bytes of the content's SHA-256, and a raw deflate stream.

use doproxy_core::domain::{Evaluation, Observation, Series, SeriesId, SeriesRef, TickRecord, Timestamp};
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::delta;
use crate::error::Corruption;

/// The format version that is written. It must be raised when older records can no longer be read; a new field with
/// `#[serde(default)]` does not require that.
const FORMAT_VERSION: u8 = 1;
const LENGTH_SIZE: usize = size_of::<u32>();
const CHECKSUM_SIZE: usize = 4;

/// Maximum size of a record before compression, in bytes: a fleet of 1,000 and 20 policies with full states stay below
/// 8 MiB.
const MAX_CONTENT_SIZE: usize = 64 * 1024 * 1024;

/// The compression level, out of zlib's ten.
const COMPRESSION_LEVEL: u8 = 8;

/// A record with its samples by reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PackedRecord {
    /// The version of the doproxy that wrote it.
    pub(super) doproxy_version: String,
    /// The record, without the series of its observation.
    pub(super) record: TickRecord,
    /// The series, in their original order.
    pub(super) series: Vec<PackedSeries>,
}

/// A series of an observation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum PackedSeries {
    /// The samples are in the time-series store.
    Reference(SampleRef),
    /// The samples are not in the time-series store, so they are included.
    Inline(Series),
}

/// A [`SeriesRef`] with times relative to the tick, which often stay the same from one tick to the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SampleRef {
    series: SeriesId,
    name: String,
    unit: String,
    labels: Vec<(String, String)>,
    interval_ms: u64,
    stale: bool,
    from_ago: u64,
    to_ago: u64,
    count: u32,
}

impl SampleRef {
    pub(super) fn new(reference: SeriesRef, at: Timestamp) -> Self {
        let SeriesRef { series, name, unit, labels, interval_ms, stale, from, to, count } = reference;
        // Wrapping, so that the conversion is exact regardless of clock changes.
        let (from_ago, to_ago) = (at.0.wrapping_sub(from.0), at.0.wrapping_sub(to.0));
        Self { series, name, unit, labels, interval_ms, stale, from_ago, to_ago, count }
    }

    pub(super) fn series_ref(&self, at: Timestamp) -> SeriesRef {
        SeriesRef {
            series: self.series,
            name: self.name.clone(),
            unit: self.unit.clone(),
            labels: self.labels.clone(),
            interval_ms: self.interval_ms,
            stale: self.stale,
            from: Timestamp(at.0.wrapping_sub(self.from_ago)),
            to: Timestamp(at.0.wrapping_sub(self.to_ago)),
            count: self.count,
        }
    }
}

impl PackedRecord {
    /// Packs a record with separately packed series. Does not copy the samples.
    pub(super) fn new(record: &TickRecord, series: Vec<PackedSeries>) -> Self {
        let seen = &record.observation;
        let observation = Observation {
            now: seen.now,
            tick: seen.tick,
            fleet_name: seen.fleet_name.clone(),
            templates: seen.templates.clone(),
            fleet: seen.fleet.clone(),
            metrics: Vec::new(),
            limits: seen.limits,
            boot_time_ms: seen.boot_time_ms,
            last_scale_out: seen.last_scale_out,
            last_scale_in: seen.last_scale_in,
            facts: seen.facts.clone(),
        };
        let record = TickRecord {
            at: record.at,
            trigger: record.trigger,
            observation,
            evaluations: record.evaluations.clone(),
            selected: record.selected,
            rules: record.rules.clone(),
            facts: record.facts.clone(),
            plan: record.plan.clone(),
            outcome: record.outcome.clone(),
        };
        Self { doproxy_version: env!("CARGO_PKG_VERSION").to_owned(), record, series }
    }

    /// Encodes the content of the record's body.
    pub(super) fn encode(&self) -> Result<Vec<u8>, Corruption> {
        rmp_serde::to_vec_named(self).map_err(|error| Corruption::InvalidContent(error.to_string()))
    }

    /// Decodes the output of [`encode`](Self::encode).
    pub(super) fn decode(content: &[u8]) -> Result<Self, Corruption> {
        rmp_serde::from_slice(content).map_err(|error| Corruption::InvalidContent(error.to_string()))
    }

    /// Returns the references to the time-series store.
    pub(super) fn references(&self) -> impl Iterator<Item = SeriesRef> {
        let at = self.record.at;
        self.series.iter().filter_map(move |series| match series {
            PackedSeries::Reference(kept) => Some(kept.series_ref(at)),
            PackedSeries::Inline(_) => None,
        })
    }
}

/// Compresses a content, relative to the content of another record if `base` is given.
pub(super) fn compress(content: &[u8], base: Option<&[u8]>) -> Result<Vec<u8>, Corruption> {
    let length = u32::try_from(content.len()).ok().filter(|_| content.len() <= MAX_CONTENT_SIZE);
    let length = length.ok_or(Corruption::TooLarge(content.len()))?;
    let mut body = vec![FORMAT_VERSION];
    body.extend(length.to_le_bytes());
    body.extend(checksum(content));
    body.extend(match base {
        Some(base) => compress_to_vec(&delta::diff(base, content), COMPRESSION_LEVEL),
        None => compress_to_vec(content, COMPRESSION_LEVEL),
    });
    Ok(body)
}

/// Decompresses a body to its content. The body may be malformed: allocations are bounded by the maximum size of a
/// record.
pub(super) fn decompress(body: &[u8], base: Option<&[u8]>) -> Result<Vec<u8>, Corruption> {
    let (form, rest) = body.split_first().ok_or(Corruption::Truncated)?;
    if *form != FORMAT_VERSION {
        return Err(Corruption::UnknownFormat(*form));
    }
    let (length, rest) = rest.split_first_chunk::<LENGTH_SIZE>().ok_or(Corruption::Truncated)?;
    let (expected, stream) = rest.split_first_chunk::<CHECKSUM_SIZE>().ok_or(Corruption::Truncated)?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_CONTENT_SIZE {
        return Err(Corruption::TooLarge(length));
    }
    // A difference may be slightly larger than its result.
    let most = length.saturating_mul(2).saturating_add(64);
    let inflated =
        decompress_to_vec_with_limit(stream, most).map_err(|error| Corruption::InvalidStream(error.to_string()))?;
    let content = match base {
        Some(base) => delta::apply(base, &inflated, length).ok_or(Corruption::WrongBase)?,
        None => inflated,
    };
    if content.len() == length && checksum(&content) == *expected {
        Ok(content)
    } else {
        Err(Corruption::ChecksumMismatch)
    }
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM_SIZE] {
    let digest: [u8; 32] = Sha256::digest(content).into();
    let [a, b, c, d, ..] = digest;
    [a, b, c, d]
}

/// Reports whether two values are bit-identical.
pub(super) fn bit_identical<T: Serialize + ?Sized>(one: &T, other: &T) -> bool {
    match (rmp_serde::to_vec(one), rmp_serde::to_vec(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// Returns the digests of the evaluated components without repetition. A policy that failed to load has none.
pub(super) fn component_digests(evaluations: &[Evaluation]) -> impl Iterator<Item = &str> {
    evaluations.iter().enumerate().filter_map(|(index, evaluation)| {
        let before = evaluations.iter().take(index).any(|other| other.digest == evaluation.digest);
        (!before && !evaluation.digest.is_empty()).then_some(evaluation.digest.as_str())
    })
}
