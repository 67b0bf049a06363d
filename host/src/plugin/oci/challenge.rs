//! What a registry asks for in `WWW-Authenticate`, as RFC 9110 (section 11.6.1) and the token specification of
//! registries (<https://distribution.github.io/distribution/spec/auth/token/>) have it.

/// How a registry wants to be told who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A name and a password with each request.
    Basic,
    /// A token from another address.
    Bearer {
        /// That address.
        realm: String,
        /// What the token is for.
        service: Option<String>,
        /// What it shall allow.
        scope: Option<String>,
    },
}

impl Challenge {
    /// The challenge of a header that is answered best; `None` where there is none that can be.
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

/// `name="value", name=value`; stops where that is not what is written.
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

/// What stands before the closing quote, and what after it.
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

    #[expect(clippy::unnecessary_wraps, reason = "as it is compared with")]
    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Some(Challenge::Bearer { realm: realm.to_owned(), service: owned(service), scope: owned(scope) })
    }

    #[test]
    fn challenges_are_read_as_registries_write_them() {
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
    fn a_token_goes_before_a_password() {
        let headers = ["Basic realm=x", r#"Bearer realm="https://a""#];

        assert_eq!(Challenge::from_headers(headers.into_iter()), bearer("https://a", None, None));
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(header in "\\PC{0,80}", rest in "[a-z=\", \\\\é]{0,40}") {
            let _ = Challenge::parse(&header);
            let _ = Challenge::parse(&format!("Bearer {rest}"));
        }
    }
}
