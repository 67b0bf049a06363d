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
        let challenges: Vec<Self> = headers.filter_map(Self::parse).collect();
        let bearer = challenges.iter().find(|challenge| matches!(challenge, Self::Bearer { .. }));
        bearer.or(challenges.first()).cloned()
    }

    fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service, mut scope) = (None, None, None);
        for (name, value) in parameters(rest) {
            match name.to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value),
                "service" => service = Some(value),
                "scope" => scope = Some(value),
                _ => {}
            }
        }
        Some(Self::Bearer { realm: realm?, service, scope })
    }
}

/// Parses `name="value", name=value`; stops at the first syntax error.
fn parameters(text: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.trim_start_matches([' ', ',', '\t']).split_once('=') {
        let (value, after) = if let Some(quoted) = after.strip_prefix('"') {
            match parse_quoted(quoted) {
                Some(read) => read,
                None => break,
            }
        } else {
            let end = after.find(',').unwrap_or(after.len());
            (after[..end].trim().to_owned(), &after[end..])
        };
        found.push((name.trim(), value));
        rest = after;
    }
    found
}

/// Returns the text before the closing quote, and the text after it.
fn parse_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            character => value.push(character),
        }
    }
    None
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
            assert_eq!(Challenge::parse(header), challenge, "{header}");
        }
    }

    #[test]
    fn token_is_preferred_over_password() {
        let headers = ["Basic realm=x", r#"Bearer realm="https://a""#];

        assert_eq!(Challenge::from_headers(headers.into_iter()), bearer("https://a", None, None));
    }

    proptest! {
        #[test]
        fn arbitrary_header_does_not_panic(header in "\\PC{0,80}", rest in "[a-z=\", \\\\é]{0,40}") {
            let _ = Challenge::parse(&header);
            let _ = Challenge::parse(&format!("Bearer {rest}"));
        }
    }
}
