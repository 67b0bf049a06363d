//! Names and numbers that identify things; each is validated on input and trusted afterwards.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The ID that DigitalOcean assigns to a droplet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DropletId(pub u64);

/// The ID of an operation in this fleet's journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(pub u64);

impl fmt::Display for DropletId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A name that does not have the form required by DigitalOcean or HAProxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} is not valid: {rule}")]
pub struct InvalidName {
    /// The kind of name.
    pub what: &'static str,
    /// The text as entered.
    pub value: String,
    /// The violated rule.
    pub rule: &'static str,
}

macro_rules! checked_name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Validates `value` against the rule of this name.
            pub fn parse(value: impl Into<String>) -> Result<Self, InvalidName> {
                let value = value.into();
                let check: fn(&str) -> bool = $check;
                if check(&value) {
                    Ok(Self(value))
                } else {
                    Err(InvalidName { what: $what, value, rule: $rule })
                }
            }

            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;
            fn try_from(value: String) -> Result<Self, InvalidName> {
                Self::parse(value)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }
    };
}

checked_name!(
    /// The name of a droplet, which is also its hostname.
    ///
    /// The API requires the form `^[a-zA-Z0-9]?[a-z0-9A-Z.\-]*[a-z0-9A-Z]$`, at most 255 bytes.
    DropletName,
    "the droplet name",
    "letters, digits, '.' and '-', ending in a letter or digit, at most 255",
    |name| {
        let bytes = name.as_bytes();
        let plain = |byte: &u8| byte.is_ascii_alphanumeric();
        bytes.len() <= 255
            && bytes.last().is_some_and(plain)
            && bytes.iter().all(|byte| plain(byte) || matches!(byte, b'.' | b'-'))
    }
);

checked_name!(
    /// A tag at DigitalOcean: `^[a-zA-Z0-9_\-\:]+$`, at most 255 bytes.
    Tag,
    "the tag",
    "letters, digits, '_', '-' and ':', at most 255",
    |tag| !tag.is_empty()
        && tag.len() <= 255
        && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-:".contains(&byte))
);

checked_name!(
    /// The name of a fleet; prefixed with `doproxy:`, it is the tag of the fleet's droplets.
    FleetName,
    "the fleet name",
    "letters, digits, '_' and '-', at most 64",
    |name| !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
);

/// The prefix of every fleet tag.
const FLEET_TAG_PREFIX: &str = "doproxy:";

impl FleetName {
    /// Converts any text to a fleet name: characters that are not allowed become `-`.
    pub fn sanitized(text: &str) -> Self {
        let kept = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        let name: String = text.chars().map(kept).take(64).collect();
        Self(if name.is_empty() { "-".to_owned() } else { name })
    }

    /// Returns the tag that every droplet of this fleet has, and that no other droplet may have.
    pub fn tag(&self) -> Tag {
        Tag(format!("{FLEET_TAG_PREFIX}{}", self.0))
    }

    /// Reports whether a tag marks a fleet.
    pub fn is_fleet_tag(tag: &str) -> bool {
        tag.get(..FLEET_TAG_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(FLEET_TAG_PREFIX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn droplet_name_is_a_valid_hostname() {
        for good in ["auto-nginx-0", "a", "web.example.com", "-a"] {
            assert!(DropletName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "web-", "a b", "a\nb", "ü", "a;b", &"a".repeat(256)] {
            assert!(DropletName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn fleet_tag_is_derived_from_its_name() {
        let fleet = FleetName::parse("www").unwrap();

        assert_eq!(fleet.tag().as_str(), "doproxy:www");
    }
}
