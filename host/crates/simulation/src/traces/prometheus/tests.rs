use super::*;

#[test]
fn range_query_samples_become_rows() {
    let text = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"job":"haproxy"},"values":[[1435781430.781,"1.5"],[1435781445.781,"2"]]}]}}"#;

    let rows = read("p.json", text.as_bytes()).unwrap();

    assert_eq!(
        rows.iter().map(|row| (row.at_ms, row.rate)).collect::<Vec<_>>(),
        [(1_435_781_430_781, 1.5), (1_435_781_445_781, 2.0)]
    );
}

#[test]
fn unsupported_responses_have_distinct_errors() {
    for (text, wanted) in [
        (
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"values":[]},{"values":[]}]}}"#,
            "p.json: expected one series, found 2; aggregate them with a query such as sum(rate(…))",
        ),
        (
            r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#,
            "p.json: Prometheus returned an error: parse error",
        ),
        (
            r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#,
            "p.json: expected a matrix from query_range, found a vector",
        ),
    ] {
        assert_eq!(read("p.json", text.as_bytes()).unwrap_err().to_string(), wanted);
    }
}
