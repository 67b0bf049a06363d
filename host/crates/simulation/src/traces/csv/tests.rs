use super::*;

fn read_text(text: &str) -> Result<Vec<Row>, String> {
    read("load.csv", text.as_bytes(), ("timestamp_s", "requests_per_s")).map_err(|error| error.to_string())
}

#[test]
fn columns_are_found_by_name() {
    let text = "host,\"requests_per_s\", timestamp_s\nweb, 12.5, 0\nweb,13,60\n";

    let rows = read_text(text).unwrap();

    assert_eq!(rows, [Row { at_ms: 0, rate: 12.5, line: 2 }, Row { at_ms: 60_000, rate: 13.0, line: 3 }]);
}

#[test]
fn rfc_3339_time_is_parsed() {
    let text = "time,rate\n1998-06-29T00:00:00Z,3\n";

    let rows = read("load.csv", text.as_bytes(), ("time", "rate")).unwrap();

    assert_eq!(rows[0].at_ms, 899_078_400_000);
}

#[test]
fn errors_name_the_line() {
    for (text, wanted) in [
        (
            "a,b\n1,2\n",
            "load.csv:1: no column \"timestamp_s\" among \"a\", \"b\"; select columns with --columns TIME,RATE",
        ),
        ("timestamp_s,requests_per_s\n0,1\n60,many\n", "load.csv:3: \"many\" is not a number"),
        ("timestamp_s,requests_per_s\nnoon,1\n", "load.csv:2: \"noon\" is not a time"),
        ("timestamp_s,requests_per_s\n0,1\n60\n", "load.csv:3: 1 columns, but the header has 2"),
    ] {
        assert_eq!(read_text(text).unwrap_err(), wanted);
    }
}
