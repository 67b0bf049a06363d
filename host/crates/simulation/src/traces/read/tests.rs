use std::io::Write as _;

use super::*;

fn read(bytes: &[u8]) -> Trace {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let columns = ("timestamp_s".to_owned(), "requests_per_s".to_owned());
    let reading = ReadOptions { columns, interval: Duration::from_secs(30), repair: false };
    super::read_file(file.path(), &reading).unwrap().0
}

#[test]
fn format_is_detected_with_and_without_gzip() {
    let csv = b"timestamp_s,requests_per_s\n0,2\n30,1\n".to_vec();
    let prometheus =
        br#" {"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[0,"2"],[30,"1"]]}]}}"#;
    let log = |second: u32| format!("::1 - - [01/Jan/1970:00:00:{second:02} +0000] \"GET / HTTP/1.1\" 200 5\n");
    let logs: String = (0..60).map(|request| log(request / 2)).chain((30..60).map(log)).collect();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(&csv).unwrap();

    for bytes in [csv, prometheus.to_vec(), logs.into_bytes(), packed.finish().unwrap()] {
        let trace = read(&bytes);

        assert_eq!((trace.interval, trace.rates), (Duration::from_secs(30), vec![2.0, 1.0]));
    }
}
