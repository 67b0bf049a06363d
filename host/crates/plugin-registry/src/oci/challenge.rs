//! Authentication challenges in `WWW-Authenticate`, as defined by RFC 9110 (section 11.6.1) and the token specification
//! for registries (<https://distribution.github.io/distribution/spec/auth/token/>).

/// An authentication scheme requested by a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User name and password with each request.
    Basic,
    /// A token from a token service.
    Bearer {
        /// The address of the token service.
        realm: String,
        /// The service that the token is for.
        service: Option<String>,
        /// The access that the token must grant.
        scope: Option<String>,
    },
}

impl Challenge {
    /// Returns the preferred challenge of the headers; `None` if none of them is supported.
    pub(super) fn from_headers<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Self> {
        let challenges: Vec<Self> = headers
            .filter_map(|header| http_auth::parse_challenges(header.trim()).ok())
            .flatten()
            .filter_map(|challenge| Self::supported(&challenge))
            .collect();
        let bearer = challenges.iter().find(|challenge| matches!(challenge, Self::Bearer { .. }));
        bearer.or(challenges.first()).cloned()
    }

    fn supported(challenge: &http_auth::ChallengeRef<'_>) -> Option<Self> {
        let value = |name: &str| {
            let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped())
        };
        match challenge.scheme {
            scheme if scheme.eq_ignore_ascii_case("basic") => Some(Self::Basic),
            scheme if scheme.eq_ignore_ascii_case("bearer") => {
                Some(Self::Bearer { realm: value("realm")?, service: value("service"), scope: value("scope") })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
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
            (
                r#"bearer Realm="https://a/t?x=\"1\"", service=plain"#,
                bearer(r#"https://a/t?x="1""#, Some("plain"), None),
            ),
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
}
