//! A `PromQL` query, sent as a range query from the last sample until now, so that a pause leaves no gap.

use std::collections::BTreeMap;
use std::time::Duration;

use doproxy_core::domain::{Sample, Timestamp};
use serde::Deserialize;

use crate::error::SourceError;
use crate::sources::endpoint::{Endpoint, HttpProbe, HttpResponse};
use crate::sources::poll::{Poll, PollResult, PolledSeries};
use crate::sources::text::sanitize;

/// Maximum size of a response.
const MAX_BYTES: usize = 4 << 20;
/// Maximum series in a response.
const MAX_SERIES: usize = 50;
/// Maximum points per request; Prometheus rejects more than 11,000.
const MAX_POINTS: u64 = 10_000;
/// Maximum length of a label.
const MAX_LABEL_CHARS: usize = 200;

#[derive(Debug)]
pub(crate) struct Prometheus {
    probe: HttpProbe,
    query: String,
    timeout: Duration,
}

/// A response: `status` is `success` with `data`, or `error` with the other two fields.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueryResponse {
    status: String,
    data: Option<Data>,
    error_type: Option<String>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Data {
    result: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Row {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

/// The result type of a response with a different shape.
#[derive(Debug, Deserialize)]
struct TypedResponse {
    data: ResultType,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResultType {
    result_type: String,
}

impl Prometheus {
    pub(crate) fn new(endpoint: &Endpoint, query: String, timeout: Duration) -> Self {
        Self { probe: HttpProbe::new(endpoint.join("/api/v1/query_range"), timeout), query, timeout }
    }

    pub(crate) async fn poll(&self, poll: &Poll) -> Result<PollResult, SourceError> {
        let Some(range) = Range::for_poll(poll) else { return Ok(PollResult::Unchanged) };
        let seconds = |ms: u64| format!("{}.{:03}", ms / 1000, ms % 1000);
        let query = [
            ("query", self.query.clone()),
            ("start", seconds(range.start)),
            ("end", seconds(range.end)),
            ("step", seconds(range.step)),
            ("timeout", format!("{}ms", self.timeout.as_millis())),
        ];
        let HttpResponse { status, body } = self.probe.get(&query, MAX_BYTES).await?;
        let url = || self.probe.display_url();
        let reply: QueryResponse = match serde_json::from_slice(&body) {
            Ok(reply) => reply,
            Err(_) if !status.is_success() => {
                return Err(SourceError::Status { url: url(), status: status.as_u16(), detail: String::new() });
            }
            Err(error) => {
                let kind = serde_json::from_slice::<TypedResponse>(&body).map(|kind| kind.data.result_type);
                let why = match kind {
                    Ok(kind) if kind != "matrix" => format!("expected a matrix, found a {}", sanitize(&kind)),
                    _ => sanitize(&error.to_string()),
                };
                return Err(SourceError::InvalidResponse { url: url(), why });
            }
        };
        let Some(data) = reply.data.filter(|_| reply.status == "success" && status.is_success()) else {
            let kind = reply.error_type.map(|kind| sanitize(&kind)).unwrap_or_default();
            let error = reply.error.map_or_else(|| format!("status {}", status.as_u16()), |error| sanitize(&error));
            let message = if kind.is_empty() { error } else { format!("{kind}: {error}") };
            return Err(SourceError::QueryRejected(message));
        };
        parse_series(data.result, range)
    }
}

/// Evaluation times in milliseconds, all multiples of the step, so that they do not depend on the time of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    start: u64,
    end: u64,
    step: u64,
}

impl Range {
    /// Returns the range after the newest sample until now; `None` if the next evaluation time is in the future.
    fn for_poll(poll: &Poll) -> Option<Self> {
        let step = u64::try_from(poll.interval.as_millis()).unwrap_or(u64::MAX).max(1);
        let window = u64::try_from(poll.lookback.as_millis()).unwrap_or(u64::MAX);
        let end = poll.now.0 - poll.now.0 % step;
        let earliest = end.saturating_sub(step.saturating_mul(MAX_POINTS));
        let next = |newest: Timestamp| newest.0 - newest.0 % step + step;
        let start = poll.newest.map_or(end.saturating_sub(window), next).max(earliest);
        (start <= end).then_some(Self { start, end, step })
    }
}

fn parse_series(rows: Vec<Row>, range: Range) -> Result<PollResult, SourceError> {
    if rows.len() > MAX_SERIES {
        return Err(SourceError::TooManySeries { found: rows.len(), most: MAX_SERIES });
    }
    if rows.is_empty() {
        let (start, end) = (Timestamp(range.start), Timestamp(range.end));
        return Err(SourceError::NoData(format!("the query has no data from {start} to {end}")));
    }
    let mut readings = Vec::with_capacity(rows.len());
    for row in rows {
        let mut samples = Vec::with_capacity(row.values.len());
        let mut refused = None;
        for (seconds, text) in row.values {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and NaN is 0")]
            let at = Timestamp((seconds * 1000.0).round() as u64);
            match text.parse::<f64>() {
                Ok(value) if value.is_finite() => samples.push(Sample { at, value }),
                _ => refused = Some(text),
            }
        }
        // Single values may be a division by zero; if all values are, no policy can use the series.
        if let (true, Some(found)) = (samples.is_empty(), refused) {
            return Err(SourceError::NotFinite { what: "the query's value".to_owned(), found: sanitize(&found) });
        }
        samples.sort_by_key(|sample| sample.at);
        let labels = row.metric.into_iter().filter(|(name, _)| name != "__name__");
        let labels = labels.map(|(name, value)| (truncate_label(&name), truncate_label(&value))).collect();
        readings.push(PolledSeries { suffix: "", labels, samples });
    }
    Ok(PollResult::Series(readings))
}

fn truncate_label(label: &str) -> String {
    sanitize(label).chars().take(MAX_LABEL_CHARS).collect()
}

#[cfg(test)]
mod tests;
