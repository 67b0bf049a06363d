use super::*;

const HAPROXY: &str = "Feb  6 12:14:14 localhost haproxy[14389]: [2001:db8::1]:33317 [06/Feb/2009:12:14:14.655] http-in static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {1wt.eu} {} \"GET /index.html HTTP/1.1\"";
const COMBINED: &str = "127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] \"GET /apache_pb.gif HTTP/1.0\" 200 2326 \"http://www.example.com/start.html\" \"Mozilla/4.08 [en]\"";

#[test]
fn request_time_is_parsed_in_each_format() {
    assert_eq!(parse_time(HAPROXY.as_bytes()), Some(1_233_922_454_655));
    assert_eq!(parse_time(COMBINED.as_bytes()), Some(971_211_336_000));
    assert_eq!(parse_time(b"[ssl:warn] [pid 12] nothing"), None);
    assert_eq!(parse_time(b"x [41/Oct/2000:13:55:36 -0700]"), None);
    assert_eq!(parse_time(b"x [31/Feb/2000:13:55:36 -0700]"), None);
}

#[test]
fn requests_are_counted_in_any_order() {
    let log = |second: u32| format!("::1 - - [10/Oct/2000:13:55:{second:02} +0000] \"GET / HTTP/1.1\" 200 5\n");
    let text: String = [30, 5, 10, 31, 59].map(log).concat();

    let (rows, repairs) = read("access.log", text.as_bytes(), 10_000, false).unwrap();

    assert_eq!(rows.iter().map(|row| row.rate).collect::<Vec<_>>(), [0.1, 0.1, 0.0, 0.2, 0.0, 0.1]);
    assert!(repairs.is_empty());
}

#[test]
fn haproxy_status_lines_are_skipped_but_garbage_fails() {
    let text = format!("{HAPROXY}\nFeb  6 12:14:15 localhost haproxy[14389]: Server www/a is UP\nrubbish\n");

    let error = read("haproxy.log", text.as_bytes(), 1000, false).unwrap_err().to_string();
    let (_, repairs) = read("haproxy.log", text.as_bytes(), 1000, true).unwrap();

    assert_eq!(error, "haproxy.log:3: no request with a bracketed time: \"rubbish\"; pass --repair to skip such lines");
    assert_eq!(repairs[0].to_string(), "skipped lines that are not requests: 2 times, first at line 2");
}
