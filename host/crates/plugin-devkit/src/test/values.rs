//! Small values in fixtures.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use doproxy_core::domain::Timestamp;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A duration: `90s`, `1m 30s`, or a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FixtureDuration(pub Duration);

impl FixtureDuration {
    /// Returns a duration in whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Returns the duration in milliseconds.
    pub fn ms(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Serialize for FixtureDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ms = self.ms();
        if ms.is_multiple_of(1000) {
            serializer.serialize_str(&format!("{}s", ms / 1000))
        } else {
            serializer.serialize_str(&format!("{ms}ms"))
        }
    }
}

impl<'de> Deserialize<'de> for FixtureDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DurationVisitor;
        impl Visitor<'_> for DurationVisitor {
            type Value = FixtureDuration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as `90s` or `5m`, or a number of seconds")
            }
            fn visit_u64<E>(self, seconds: u64) -> Result<FixtureDuration, E> {
                Ok(FixtureDuration::seconds(seconds))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<FixtureDuration, E> {
                let span = text.parse::<jiff::SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
                span.map(FixtureDuration).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(DurationVisitor)
    }
}

/// A point in time, in RFC 3339 format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixtureTime(pub Timestamp);

impl FixtureTime {
    /// The default time of a fixture: a Monday at noon.
    pub const DEFAULT: Self = Self(Timestamp(1_767_614_400_000));
}

impl Serialize for FixtureTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let timestamp = i64::try_from(self.0.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        match timestamp {
            Some(timestamp) => serializer.collect_str(&timestamp),
            None => Err(serde::ser::Error::custom("the time is beyond the year 9999")),
        }
    }
}

impl<'de> Deserialize<'de> for FixtureTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let timestamp = text.parse::<jiff::Timestamp>().ok().and_then(|at| u64::try_from(at.as_millisecond()).ok());
        timestamp.map(|ms| Self(Timestamp(ms))).ok_or_else(|| {
            de::Error::custom(format!("{text:?} is not a point in time; use the format 2026-01-05T12:00:00Z"))
        })
    }
}

/// Bytes, encoded as base64.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Base64Bytes(pub Vec<u8>);

impl Serialize for Base64Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64_STANDARD
            .decode(&text)
            .map(Self)
            .map_err(|error| de::Error::custom(format!("a state must be base64: {error}")))
    }
}

/// A number, or a minimum and a maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountRange {
    /// The minimum.
    pub min: u32,
    /// The maximum.
    pub max: u32,
}

impl CountRange {
    /// Returns the range of a single number.
    pub const fn exactly(number: u32) -> Self {
        Self { min: number, max: number }
    }

    /// Reports whether `number` is in the range.
    pub const fn contains(self, number: u32) -> bool {
        self.min <= number && number <= self.max
    }
}

impl fmt::Display for CountRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max { self.min.fmt(f) } else { write!(f, "{} to {}", self.min, self.max) }
    }
}

impl Serialize for CountRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.min == self.max { self.min.serialize(serializer) } else { [self.min, self.max].serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for CountRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RangeVisitor;
        impl<'de> Visitor<'de> for RangeVisitor {
            type Value = CountRange;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a count such as 5, or a minimum and a maximum, as [4, 6]")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<CountRange, E> {
                u32::try_from(number)
                    .map(CountRange::exactly)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut numbers: A) -> Result<CountRange, A::Error> {
                let (least, most) = (numbers.next_element()?, numbers.next_element()?);
                let more: Option<u32> = numbers.next_element()?;
                match (least, most, more) {
                    (Some(least), Some(most), None) if least <= most => Ok(CountRange { min: least, max: most }),
                    _ => Err(de::Error::invalid_value(de::Unexpected::Seq, &self)),
                }
            }
        }
        deserializer.deserialize_any(RangeVisitor)
    }
}
