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
mod tests;
