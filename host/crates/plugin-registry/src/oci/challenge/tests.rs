use proptest::prelude::*;

use super::*;

#[expect(clippy::unnecessary_wraps, reason = "compared with an `Option`")]
fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Some(Challenge::Bearer { realm: realm.to_owned(), service: owned(service), scope: owned(scope) })
}

#[test]
fn challenges_of_common_registries_are_parsed() {
    for (header, challenge) in [
        (r#"Basic realm="basic-realm""#, Some(Challenge::Basic)),
        (
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull""#,
            bearer("https://auth.docker.io/token", Some("registry.docker.io"), Some("repository:a/b:pull")),
        ),
        (r#"bearer Realm="https://a/t?x=\"1\"", service=plain"#, bearer(r#"https://a/t?x="1""#, Some("plain"), None)),
        (r#"Bearer service="x""#, None),
        (r#"Bearer realm="https://a"#, None),
        ("Negotiate", None),
        ("", None),
    ] {
        assert_eq!(Challenge::from_headers([header].into_iter()), challenge, "{header}");
    }
}

#[test]
fn token_is_preferred_over_password() {
    let headers = ["Basic realm=x", r#"Bearer realm="https://a""#];

    assert_eq!(Challenge::from_headers(headers.into_iter()), bearer("https://a", None, None));
    let header = r#"Basic realm="x", Bearer realm="https://a""#;
    assert_eq!(Challenge::from_headers([header].into_iter()), bearer("https://a", None, None));
}

proptest! {
    #[test]
    fn arbitrary_header_does_not_panic(header in "\\PC{0,80}", rest in "[a-z=\", \\\\é]{0,40}") {
        let _ = Challenge::from_headers([header.as_str()].into_iter());
        let _ = Challenge::from_headers([format!("Bearer {rest}").as_str()].into_iter());
    }
}
