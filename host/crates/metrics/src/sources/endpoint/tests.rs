use super::*;

#[test]
fn plain_http_needs_loopback_or_permission() {
    let token = || Some(PathBuf::from("token"));
    for (text, token_file, allow_http, expected) in [
        ("https://prometheus.example", token(), false, Ok("https://prometheus.example/")),
        ("http://127.0.0.1:9090/prom?key=secret", token(), false, Ok("http://127.0.0.1:9090/prom")),
        ("http://[::1]:9090", None, false, Ok("http://[::1]:9090/")),
        ("http://10.0.0.5:9090", None, true, Ok("http://10.0.0.5:9090/")),
        ("http://10.0.0.5:9090", None, false, Err(InvalidEndpoint::NotEncrypted)),
        ("http://localhost.example", None, false, Err(InvalidEndpoint::NotEncrypted)),
        ("http://10.0.0.5:9090", token(), true, Err(InvalidEndpoint::TokenNotEncrypted)),
        ("https://me:secret@x.example", None, true, Err(InvalidEndpoint::UserInfo)),
        ("file:///etc/passwd", None, true, Err(InvalidEndpoint::Scheme)),
        ("prometheus", None, true, Err(InvalidEndpoint::NotAUrl)),
    ] {
        let endpoint = Endpoint::new(text, token_file, allow_http);

        assert_eq!(
            endpoint.map(|endpoint| endpoint.to_string()).as_deref().map_err(|error| *error),
            expected,
            "{text}"
        );
    }
}
