//! Configuration values with a format of their own.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use doproxy_core::domain::{DropletName, FleetName};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// Deserializes a value from its text form, so that errors have a position in the file.
pub(super) fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(de::Error::custom)
}

/// Deserializes the word `inherit`.
pub(super) fn inherit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "inherit" => Ok(()),
        _ => Err(de::Error::custom("expected `inherit`, or a user and group")),
    }
}

/// Text that YAML may parse as a number, such as an ID or a slug.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(String);

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

impl Text {
    /// Returns the text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Text {
    // The token is one of these values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text(…)")
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrNumber;
        impl Visitor<'_> for TextOrNumber {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a whole number")
            }
            fn visit_u64<E>(self, number: u64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                if text.trim().is_empty() { Err(E::custom("must not be empty")) } else { Ok(Text(text.to_owned())) }
            }
        }
        deserializer.deserialize_any(TextOrNumber)
    }
}

/// Prefix of droplet names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostnamePrefix(String);

impl HostnamePrefix {
    /// Leaves room for the number and the random part of a droplet name.
    const MAX_LENGTH: usize = 200;

    /// Returns the default fleet name: the prefix, with each `.` replaced by `-`.
    pub(super) fn fleet_name(&self) -> FleetName {
        FleetName::sanitized(&self.0)
    }
}

impl From<HostnamePrefix> for String {
    fn from(prefix: HostnamePrefix) -> Self {
        prefix.0
    }
}

impl<'de> Deserialize<'de> for HostnamePrefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::from(Text::deserialize(deserializer)?);
        if text.len() > Self::MAX_LENGTH || DropletName::parse(text.clone()).is_err() {
            return Err(de::Error::custom(format!(
                "{text:?} is not a valid prefix of droplet names: use letters, digits, '.' and '-', ending in a letter or digit, at most {} characters",
                Self::MAX_LENGTH
            )));
        }
        Ok(Self(text))
    }
}

/// A duration: `90s`, `1m 30s`, `250ms`, `14d`, or a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A day is 24 hours here, while the parser treats days as calendar units.
        let days = text.split_once('d').and_then(|(days, rest)| Some((days.parse::<u32>().ok()?, rest.trim())));
        let (days, rest) = days.unwrap_or((0, text));
        let rest = match (days, rest) {
            (1.., "") => Some(Duration::ZERO),
            _ => rest.parse::<jiff::SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok()),
        };
        rest.map(|rest| Self(rest.saturating_add(Duration::from_hours(24) * days)))
            .ok_or_else(|| format!("{text:?} is not a duration; use `90s`, `10m`, `1m 30s` or a number of seconds"))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::from(Text::deserialize(deserializer)?);
        match text.parse::<u64>() {
            Ok(seconds) => Ok(Self(Duration::from_secs(seconds))),
            Err(_) => text.parse().map_err(de::Error::custom),
        }
    }
}

/// A loopback address with a port, or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loopback(pub Option<SocketAddr>);

impl FromStr for Loopback {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let address: SocketAddr = text
            .parse()
            .map_err(|_| format!("{text:?} is not an address with a port; use `127.0.0.1:9464` or `none`"))?;
        if !address.ip().is_loopback() {
            return Err(format!(
                "{address} is reachable from other machines without authentication; use a loopback address such as 127.0.0.1:9464"
            ));
        }
        Ok(Self(Some(address)))
    }
}

impl<'de> Deserialize<'de> for Loopback {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

/// Returns the default directory for compiled plugins; `None` if the user has no cache directory.
pub fn user_cache_dir() -> Option<PathBuf> {
    // systemd sets this for a service with CacheDirectory=.
    user_dir("CACHE_DIRECTORY", "XDG_CACHE_HOME", ".cache")
}

/// Returns the default directory for plugins from registries; `None` if the user has no data directory.
pub fn user_store_dir() -> Option<PathBuf> {
    // systemd sets this for a service with StateDirectory=.
    user_dir("STATE_DIRECTORY", "XDG_DATA_HOME", ".local/share")
}

/// Returns `plugins` in the directory that systemd provides to a service, or in doproxy's XDG base directory.
fn user_dir(of_service: &str, of_user: &str, in_home: &str) -> Option<PathBuf> {
    let from = |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = from(of_service)
        .or_else(|| from(of_user).map(|path| path.join("doproxy")))
        .or_else(|| from("HOME").map(|path| path.join(in_home).join("doproxy")))?;
    Some(base.join("plugins"))
}
