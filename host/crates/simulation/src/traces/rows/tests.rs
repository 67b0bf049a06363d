use super::*;

fn rows(times_and_rates: &[(i64, f64)]) -> Vec<Row> {
    (2_u64..).zip(times_and_rates).map(|(line, (at, rate))| Row { at_ms: at * 1000, rate: *rate, line }).collect()
}

fn error(times_and_rates: &[(i64, f64)]) -> String {
    regularize("load.csv", "row", rows(times_and_rates), false).unwrap_err().to_string()
}

#[test]
fn errors_name_the_line() {
    assert_eq!(
        error(&[(0, 1.0), (60, -2.0), (120, 1.0)]),
        "load.csv:3: -2 requests per second is negative; pass --repair to set negative rates to 0"
    );
    assert_eq!(
        error(&[(0, 1.0), (60, 1.0), (240, 1.0), (300, 1.0)]),
        "load.csv:4: 2 of the preceding intervals are missing; pass --repair to interpolate them"
    );
    assert_eq!(
        error(&[(0, 1.0), (60, 1.0), (30, 1.0)]),
        "load.csv:4: time is 30 s before that of the previous line; pass --repair to sort the trace"
    );
    assert_eq!(
        error(&[(0, 1.0), (60, 1.0), (60, 1.0)]),
        "load.csv:4: time equals that of the previous line; pass --repair to average both"
    );
    assert_eq!(
        error(&[(0, 1.0), (60, 1.0), (120, 1.0), (160, 1.0)]),
        "load.csv:5: time is 20 s off the 60 s interval; pass --repair to move it"
    );
    assert_eq!(error(&[(0, 1.0)]), "load.csv: a trace needs at least two rows, found 1");
}

#[test]
fn repair_fixes_and_reports_all_problems() {
    let broken = [(0, 2.0), (120, 4.0), (60, -1.0), (120, 6.0), (300, 11.0), (360, f64::NAN)];

    let (trace, repairs) = regularize("load.csv", "row", rows(&broken), true).unwrap();

    assert_eq!(trace.rates, [2.0, 0.0, 5.0, 7.0, 9.0, 11.0]);
    let output: Vec<String> = repairs.iter().map(ToString::to_string).collect();
    assert_eq!(
        output,
        [
            "set negative rates to 0: once, first at line 4",
            "dropped rows without a valid rate or time: once, first at line 7",
            "sorted by time: once, first at line 4",
            "averaged rows of the same interval: once, first at line 5",
            "interpolated missing intervals: 2 times, first at line 6",
        ]
    );
}

#[test]
fn slightly_late_scrapes_stay_in_their_interval() {
    let late = [(0, 1.0), (15, 2.0), (31, 3.0), (45, 4.0), (60, 5.0)];

    let (trace, _) = regularize("p.json", "sample", rows(&late), false).unwrap();

    assert_eq!(trace.interval, Duration::from_secs(15));
    assert_eq!(trace.rates, [1.0, 2.0, 3.0, 4.0, 5.0]);
}
