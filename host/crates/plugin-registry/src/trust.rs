//! Trust rules for plugins from registries: `plugins.trust` in `doproxy.yml`.
//!
//! If it is set, every plugin from a registry must match a rule; the first match applies, and the plugin must have a
//! valid signature by one of that rule's keys. Several keys allow key rotation. Built-in plugins and those in files are
//! exempt: a user who can change them can also change `doproxy.yml`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::digest::Digest;
use crate::oci::OciReference;
use crate::signatures::{KeyError, PublicKey, Signature, SignatureError};

/// The repositories that a rule applies to: a single one, all below a name that ends in `/*`, or all (`*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryPattern(String);

/// The error for text that is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a repository pattern; write registry.example.com/acme/queue for one repository, registry.example.com/acme/* for all below, or * for all"
)]
pub struct InvalidRepositoryPattern(String);

/// A key as specified in `doproxy.yml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A key file.
    File(PathBuf),
    /// The key itself, in PEM.
    Pem(String),
}

/// A trust rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The repositories that the rule applies to.
    pub repository: RepositoryPattern,
    /// The keys whose signatures are accepted.
    pub keys: Vec<KeySource>,
    /// True if unsigned plugins are accepted.
    pub allow_unsigned: bool,
}

/// The reason why a plugin is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// No rule matches the plugin.
    #[error(
        "plugins.trust has no rule for {name}; to allow it, add `- {{repository: {name}, keys: [FILE]}}` with the key of its signer"
    )]
    NoRule {
        /// Registry and repository.
        name: String,
    },
    /// The plugin is not signed.
    #[error(
        "the plugin is not signed, but plugins.trust requires a signature for {rule}; to allow it, sign it (`doproxy plugin sign {reference} --key FILE`) or set `allow_unsigned: true` in that rule"
    )]
    Unsigned {
        /// The rule's pattern.
        rule: String,
        /// The plugin, by digest.
        reference: String,
    },
    /// No signature is valid for any of the rule's keys.
    #[error(
        "no valid signature: plugins.trust requires one for {rule} by {}; to allow the plugin, sign it with that key, or add the key of its signer{}",
        .keys.join(" or "),
        SignatureErrors(.errors)
    )]
    NoValidSignature {
        /// The rule's pattern.
        rule: String,
        /// The rule's keys.
        keys: Vec<String>,
        /// The problem with each signature.
        errors: Vec<SignatureError>,
    },
    /// A key of a rule cannot be read.
    #[error("plugins.trust: rule for {rule}: {source}")]
    Key {
        /// The rule's pattern.
        rule: String,
        /// The cause.
        source: KeyError,
    },
}

/// The reason why a plugin is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustDecision {
    /// Signed with an accepted key.
    SignedBy {
        /// The key, as specified in the rule.
        key: String,
        /// The rule's pattern.
        rule: String,
    },
    /// Unsigned, which the rule allows.
    Unsigned {
        /// The rule's pattern.
        rule: String,
    },
    /// Trust rules are not configured.
    NotConfigured,
}

impl fmt::Display for TrustDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignedBy { key, rule } => write!(f, "signed by {key}, trusted for {rule}"),
            Self::Unsigned { rule } => write!(f, "not signed, which is allowed for {rule}"),
            Self::NotConfigured => write!(f, "no signature required because plugins.trust is not set"),
        }
    }
}

/// Evaluates the trust rules for a plugin; `found` are the signatures on its manifest, which has the digest `manifest`.
pub(super) fn evaluate(
    rules: Option<&[Rule]>,
    reference: &OciReference,
    manifest: Digest,
    found: &[Signature],
) -> Result<TrustDecision, TrustError> {
    let Some(rules) = rules else { return Ok(TrustDecision::NotConfigured) };
    let name = reference.name();
    let Some(rule) = rules.iter().find(|rule| rule.repository.matches(&name)) else {
        return Err(TrustError::NoRule { name });
    };
    let pattern = rule.repository.to_string();
    let keys = rule.keys().map_err(|source| TrustError::Key { rule: pattern.clone(), source })?;
    let mut flaws = Vec::new();
    for signature in found {
        // Unless one of the keys matches, the error for the last key represents all keys.
        let mut worst = None;
        for (name, key) in &keys {
            match signature.verify(manifest, key) {
                Ok(()) => return Ok(TrustDecision::SignedBy { key: name.clone(), rule: pattern }),
                Err(SignatureError::KeyMismatch) if worst.is_some() => {}
                Err(error) => worst = Some(error),
            }
        }
        flaws.extend(worst);
    }
    if rule.allow_unsigned {
        Ok(TrustDecision::Unsigned { rule: pattern })
    } else if found.is_empty() {
        Err(TrustError::Unsigned { rule: pattern, reference: reference.with_digest(manifest).to_string() })
    } else {
        Err(TrustError::NoValidSignature {
            rule: pattern,
            keys: keys.into_iter().map(|(name, _)| name).collect(),
            errors: flaws,
        })
    }
}

impl Rule {
    /// Returns the keys of the rule with their display names.
    pub(super) fn keys(&self) -> Result<Vec<(String, PublicKey)>, KeyError> {
        self.keys.iter().map(KeySource::read).collect()
    }
}

impl KeySource {
    /// Returns the key with its display name.
    pub(super) fn read(&self) -> Result<(String, PublicKey), KeyError> {
        match self {
            Self::File(path) => Ok((path.display().to_string(), PublicKey::read(path)?)),
            Self::Pem(text) => {
                let key = PublicKey::from_pem(text, "a key in plugins.trust")?;
                Ok((format!("the key {}", key.fingerprint()), key))
            }
        }
    }
}

impl RepositoryPattern {
    /// Returns the pattern that matches all repositories.
    pub fn any() -> Self {
        Self("*".to_owned())
    }

    /// Reports whether the pattern matches a repository, including its registry.
    pub(super) fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            // The prefix ends with a slash, so a name that merely starts with the same letters does not match.
            Some(above) => name.starts_with(above),
            None => name == self.0,
        }
    }
}

impl FromStr for RepositoryPattern {
    type Err = InvalidRepositoryPattern;

    fn from_str(text: &str) -> Result<Self, InvalidRepositoryPattern> {
        let invalid = || InvalidRepositoryPattern(text.to_owned());
        let name = match text.strip_suffix("/*") {
            _ if text == "*" => return Ok(Self(text.to_owned())),
            // Validate with a placeholder repository, because any valid registry or namespace prefix may be followed by
            // one.
            Some(above) => format!("{above}/all"),
            None => text.to_owned(),
        };
        match OciReference::parse(&format!("{name}:tag")) {
            Ok(reference) if reference.name() == name => Ok(Self(text.to_owned())),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for RepositoryPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

struct SignatureErrors<'a>(&'a [SignatureError]);

impl fmt::Display for SignatureErrors<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbered = self.0.iter().enumerate();
        numbered.map(|(at, error)| (at + 1, error)).try_for_each(|(at, error)| write!(f, "\n  signature {at}: {error}"))
    }
}

#[cfg(test)]
mod tests;
