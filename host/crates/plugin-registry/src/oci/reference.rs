//! References to plugins in registries: `oci://REGISTRY/REPOSITORY:TAG`, `…:TAG@sha256:…` or `…@sha256:…`.
//!
//! The grammar is that of the OCI distribution specification (<https://github.com/opencontainers/distribution-spec>,
//! "Pulling manifests"), but without a default registry or a default tag.

use std::fmt;
use std::str::FromStr;

use url::Host;

use crate::digest::Digest;

/// The scheme of registry references.
pub const SCHEME: &str = "oci://";

/// Maximum number of characters in the name of a repository.
const MAX_REPOSITORY_LEN: usize = 255;

/// Maximum number of characters in a tag.
const MAX_TAG_LEN: usize = 128;

/// A plugin in a registry, with a tag, a digest, or both; with both, the tag is only informative.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OciReference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// The reason why a reference is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOciReference {
    /// The slash is missing.
    #[error("no repository; write REGISTRY/REPOSITORY")]
    NoRepository,
    /// The part before the first slash is a namespace, as accepted by `docker pull`.
    #[error("{0:?} is not a registry; put its host name first, such as registry.example.com/{0}/…")]
    NotARegistry(String),
    /// The registry is not a host name with an optional port.
    #[error("the registry {0:?} is not a lower-case host name with an optional port")]
    Registry(String),
    /// The repository contains invalid characters or separators.
    #[error(
        "the repository {0:?} is invalid; use lower-case letters and digits, with single `.` or `_`, `__` or `-` between them, and `/` between components"
    )]
    Repository(String),
    /// There is neither a tag nor a digest.
    #[error("no tag or digest; there is no default tag")]
    NoVersion,
    /// The tag contains invalid characters.
    #[error("the tag {0:?} is invalid; use at most 128 letters, digits, `_`, `.` and `-` (the latter two not first)")]
    Tag(String),
    /// The digest is invalid.
    #[error("{0:?} is not a digest; write sha256: followed by 64 lower-case hexadecimal digits")]
    Digest(String),
}

impl OciReference {
    /// Parses the part after `oci://`.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidOciReference> {
        let (registry, rest) = text.split_once('/').ok_or(InvalidOciReference::NoRepository)?;
        check_registry(registry)?;
        let (name, digest) = match rest.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (rest, None),
        };
        let (repository, tag) = match name.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (name, None),
        };
        if repository.is_empty() {
            return Err(InvalidOciReference::NoRepository);
        }
        if !is_repository(repository) {
            return Err(InvalidOciReference::Repository(repository.to_owned()));
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(InvalidOciReference::Tag(tag.to_owned()));
        }
        let digest = digest
            .map(|digest| digest.parse().map_err(|_| InvalidOciReference::Digest(digest.to_owned())))
            .transpose()?;
        if tag.is_none() && digest.is_none() {
            return Err(InvalidOciReference::NoVersion);
        }
        Ok(Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }

    /// Returns the registry: a host, with a port unless it is the default one.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the repository within the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest of the manifest.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Returns registry and repository, as used in trust rules and signatures.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Returns the same reference with this digest.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }

    /// Reports whether the registry is on this machine, so that traffic to it cannot be intercepted.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(host_and_port(&self.registry).0)
    }
}

impl FromStr for OciReference {
    type Err = crate::plugin_ref::InvalidReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse()? {
            crate::plugin_ref::Reference::Oci(reference) => Ok(*reference),
            _ => Err(crate::plugin_ref::InvalidReference::not_oci(text)),
        }
    }
}

impl fmt::Display for OciReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

/// Reports whether a host name refers to this machine, independent of its resolver.
pub(crate) fn is_loopback(host: &str) -> bool {
    match Host::parse(host) {
        Ok(Host::Domain(name)) => name == "localhost",
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        Ok(Host::Ipv6(address)) => address.is_loopback(),
        Err(_) => false,
    }
}

fn host_and_port(registry: &str) -> (&str, Option<&str>) {
    match registry.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (registry, None),
    }
}

fn check_registry(text: &str) -> Result<(), InvalidOciReference> {
    let (host, port) = host_and_port(text);
    // The host must be in canonical form: if a URL parser would change it, it is not a valid host name.
    let is_host = match Host::parse(host) {
        Ok(Host::Domain(name)) => name == host && name.bytes().all(is_host_char),
        Ok(other) => other.to_string() == host,
        Err(_) => false,
    };
    let is_port = port.is_none_or(|port| {
        port.bytes().all(|byte| byte.is_ascii_digit())
            && !port.starts_with('0')
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if !is_host || !is_port {
        return Err(InvalidOciReference::Registry(text.to_owned()));
    }
    if port.is_none() && host != "localhost" && !host.contains(['.', '[']) {
        return Err(InvalidOciReference::NotARegistry(text.to_owned()));
    }
    Ok(())
}

fn is_host_char(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-')
}

fn is_repository(text: &str) -> bool {
    text.len() <= MAX_REPOSITORY_LEN && text.split('/').all(is_path_component)
}

/// Matches `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
fn is_path_component(text: &str) -> bool {
    let is_inner = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    let is_separator = |text: &str| matches!(text, "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    text.starts_with(is_inner) && text.ends_with(is_inner) && text.split(is_inner).all(is_separator)
}

fn is_tag(text: &str) -> bool {
    let is_inner = |character: char| character.is_ascii_alphanumeric() || character == '_';
    text.len() <= MAX_TAG_LEN
        && text.starts_with(is_inner)
        && text.chars().all(|character| is_inner(character) || matches!(character, '.' | '-'))
}

#[cfg(test)]
mod tests;
