//! The answer of Prometheus to a range query, as its HTTP API writes it.

use std::io::Read;

use serde::Deserialize;

use super::csv::from_seconds;
use super::error::TraceError;
use super::rows::Row;

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

/// Reads the one series that the answer has.
pub(super) fn read(source: &str, input: impl Read) -> Result<Vec<Row>, TraceError> {
    let answer: QueryResponse = serde_json::from_reader(input).map_err(|error| {
        TraceError::malformed(source, error.line() as u64, format!("not what Prometheus answers: {error}"))
    })?;
    let data = match answer {
        QueryResponse { error: Some(error), .. } => {
            return Err(TraceError::whole(source, format!("Prometheus answered with an error: {error}")));
        }
        QueryResponse { data: Some(data), .. } => data,
        QueryResponse { status, .. } => {
            let status = status.unwrap_or_default();
            return Err(TraceError::whole(source, format!("an answer of Prometheus without data, status {status:?}")));
        }
    };
    if data.result_type != "matrix" {
        let kind = data.result_type;
        return Err(TraceError::whole(source, format!("a {kind}, where the answer to query_range is a matrix")));
    }
    let [series] = data.result.as_slice() else {
        let count = data.result.len();
        return Err(TraceError::whole(
            source,
            format!("{count} series; a query such as sum(rate(…)) makes one of them"),
        ));
    };
    (1_u64..)
        .zip(&series.values)
        .map(|(line, (seconds, value))| {
            let form = |problem: String| TraceError::malformed(source, line, problem);
            let at_ms = from_seconds(*seconds).ok_or_else(|| form(format!("{seconds} is no time")))?;
            let rate = value.parse().map_err(|_| form(format!("the value {value:?} is no number")))?;
            Ok(Row { at_ms, rate, line })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_of_a_range_query_are_rows() {
        let text = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"job":"haproxy"},"values":[[1435781430.781,"1.5"],[1435781445.781,"2"]]}]}}"#;

        let rows = read("p.json", text.as_bytes()).unwrap();

        assert_eq!(
            rows.iter().map(|row| (row.at_ms, row.rate)).collect::<Vec<_>>(),
            [(1_435_781_430_781, 1.5), (1_435_781_445_781, 2.0)]
        );
    }

    #[test]
    fn several_series_an_error_and_another_kind_are_told_apart() {
        for (text, wanted) in [
            (
                r#"{"status":"success","data":{"resultType":"matrix","result":[{"values":[]},{"values":[]}]}}"#,
                "p.json: 2 series; a query such as sum(rate(…)) makes one of them",
            ),
            (
                r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#,
                "p.json: Prometheus answered with an error: parse error",
            ),
            (
                r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#,
                "p.json: a vector, where the answer to query_range is a matrix",
            ),
        ] {
            assert_eq!(read("p.json", text.as_bytes()).unwrap_err().to_string(), wanted);
        }
    }
}
