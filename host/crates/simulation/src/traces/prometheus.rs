//! The response to a range query of Prometheus's HTTP API.

use std::io::Read;

use serde::Deserialize;

use crate::traces::csv::from_seconds;
use crate::traces::error::TraceError;
use crate::traces::rows::Row;

#[derive(Deserialize)]
struct QueryResponse {
    status: Option<String>,
    error: Option<String>,
    data: Option<QueryData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueryData {
    result_type: String,
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    values: Vec<(f64, String)>,
}

/// Reads the single series of the response.
pub(super) fn read(source: &str, input: impl Read) -> Result<Vec<Row>, TraceError> {
    let response: QueryResponse = serde_json::from_reader(input).map_err(|error| {
        TraceError::malformed(source, error.line() as u64, format!("not a Prometheus response: {error}"))
    })?;
    let data = match response {
        QueryResponse { error: Some(error), .. } => {
            return Err(TraceError::whole(source, format!("Prometheus returned an error: {error}")));
        }
        QueryResponse { data: Some(data), .. } => data,
        QueryResponse { status, .. } => {
            let status = status.unwrap_or_default();
            return Err(TraceError::whole(source, format!("Prometheus response without data, status {status:?}")));
        }
    };
    if data.result_type != "matrix" {
        let kind = data.result_type;
        return Err(TraceError::whole(source, format!("expected a matrix from query_range, found a {kind}")));
    }
    let [series] = data.result.as_slice() else {
        let count = data.result.len();
        return Err(TraceError::whole(
            source,
            format!("expected one series, found {count}; aggregate them with a query such as sum(rate(…))"),
        ));
    };
    (1_u64..)
        .zip(&series.values)
        .map(|(line, (seconds, value))| {
            let form = |problem: String| TraceError::malformed(source, line, problem);
            let at_ms = from_seconds(*seconds).ok_or_else(|| form(format!("{seconds} is not a time")))?;
            let rate = value.parse().map_err(|_| form(format!("value {value:?} is not a number")))?;
            Ok(Row { at_ms, rate, line })
        })
        .collect()
}

#[cfg(test)]
mod tests;
