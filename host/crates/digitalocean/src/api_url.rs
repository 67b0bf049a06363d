//! The address of the API, validated so that the token never travels in plain text beyond this machine.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// The address of the API: `https`, or plain `http` on this machine. A path before `/v2` is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiUrl {
    /// Without a trailing slash.
    base: String,
    host: String,
    tls: bool,
}

/// The reason for rejecting an address. The address itself is not repeated: it may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidApiUrl {
    /// The text is not a URL.
    #[error("the API URL is invalid; use a URL such as https://api.digitalocean.com")]
    NotAUrl,
    /// A scheme other than `https` or `http`.
    #[error("the API URL must begin with https:// or http://")]
    Scheme,
    /// Plain `http` to another machine.
    #[error(
        "the API URL is plain http to another machine, which would show the token to the network; use https, or a loopback address"
    )]
    NotEncrypted,
    /// A user name or password.
    #[error("the API URL contains a user name or password; remove it, the API uses only the token")]
    UserInfo,
    /// A query or fragment.
    #[error("the API URL has a query or fragment; remove everything from '?' or '#' on")]
    QueryOrFragment,
}

impl ApiUrl {
    /// Parses and validates an address.
    pub fn parse(text: &str) -> Result<Self, InvalidApiUrl> {
        let url = Url::parse(text.trim()).map_err(|_| InvalidApiUrl::NotAUrl)?;
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(InvalidApiUrl::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidApiUrl::UserInfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidApiUrl::QueryOrFragment);
        }
        let host = url.host().ok_or(InvalidApiUrl::NotAUrl)?;
        if !tls && !is_loopback(&host) {
            return Err(InvalidApiUrl::NotEncrypted);
        }
        Ok(Self { host: host.to_string(), tls, base: url.as_str().trim_end_matches('/').to_owned() })
    }

    /// Returns the URL of a call; `path` begins with a slash.
    pub(super) fn join(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Returns the host, so that it can be redacted from messages.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Reports whether the scheme is `https`.
    pub(super) fn is_tls(&self) -> bool {
        self.tls
    }
}

impl Default for ApiUrl {
    fn default() -> Self {
        let host = "api.digitalocean.com";
        Self { base: format!("https://{host}"), host: host.to_owned(), tls: true }
    }
}

impl FromStr for ApiUrl {
    type Err = InvalidApiUrl;

    fn from_str(text: &str) -> Result<Self, InvalidApiUrl> {
        Self::parse(text)
    }
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_and_loopback_are_accepted() {
        for (text, base) in [
            ("https://api.digitalocean.com/", "https://api.digitalocean.com"),
            ("https://proxy.example/do/", "https://proxy.example/do"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://127.9.9.9", "http://127.9.9.9"),
            ("http://localhost:80", "http://localhost"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
        ] {
            assert_eq!(ApiUrl::parse(text).map(|url| url.to_string()).as_deref(), Ok(base), "{text}");
        }
        assert_eq!(ApiUrl::parse("https://api.digitalocean.com"), Ok(ApiUrl::default()));
    }

    #[test]
    fn unsafe_or_misleading_urls_are_rejected() {
        for (text, error) in [
            ("http://api.digitalocean.com", InvalidApiUrl::NotEncrypted),
            ("http://10.0.0.1", InvalidApiUrl::NotEncrypted),
            ("http://localhost.example", InvalidApiUrl::NotEncrypted),
            ("http://127.0.0.1.example", InvalidApiUrl::NotEncrypted),
            ("https://user@api.digitalocean.com", InvalidApiUrl::UserInfo),
            ("https://:secret@api.digitalocean.com", InvalidApiUrl::UserInfo),
            ("https://api.digitalocean.com/?token=x", InvalidApiUrl::QueryOrFragment),
            ("https://api.digitalocean.com/#x", InvalidApiUrl::QueryOrFragment),
            ("ftp://api.digitalocean.com", InvalidApiUrl::Scheme),
            ("api.digitalocean.com", InvalidApiUrl::NotAUrl),
            ("", InvalidApiUrl::NotAUrl),
        ] {
            assert_eq!(ApiUrl::parse(text), Err(error), "{text}");
        }
    }
}
