//! Record selectors of the command line: `12`, `last`, `-3`, `10..20`, `all`.

use std::fmt;
use std::str::FromStr;

use doproxy_core::domain::RecordId;

/// The selector of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordSelector {
    /// By number.
    Id(RecordId),
    /// Counted from the end: 1 is the newest.
    FromEnd(u64),
}

/// A selection of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordRange {
    /// One record.
    One(RecordSelector),
    /// A range, including both ends.
    Range(RecordSelector, RecordSelector),
    /// All records.
    All,
}

/// A text that is not a record selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a record selector; pass a number, `last`, `-2` for the second to last, `10..20`, or `all`")]
pub struct InvalidRecordRange(String);

impl FromStr for RecordSelector {
    type Err = InvalidRecordRange;

    fn from_str(text: &str) -> Result<Self, InvalidRecordRange> {
        let invalid = || InvalidRecordRange(text.to_owned());
        let number = |digits: &str| digits.parse::<u64>().ok().filter(|number| *number > 0).ok_or_else(invalid);
        match text.strip_prefix('-') {
            _ if text == "last" => Ok(Self::FromEnd(1)),
            Some(back) => number(back).map(Self::FromEnd),
            None => number(text).map(|id| Self::Id(RecordId(id))),
        }
    }
}

impl FromStr for RecordRange {
    type Err = InvalidRecordRange;

    fn from_str(text: &str) -> Result<Self, InvalidRecordRange> {
        if text == "all" {
            return Ok(Self::All);
        }
        match text.split_once("..") {
            None => text.parse().map(Self::One),
            Some((first, last)) => match (first.parse(), last.parse()) {
                (Ok(first), Ok(last)) => Ok(Self::Range(first, last)),
                _ => Err(InvalidRecordRange(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for RecordSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::FromEnd(back) => write!(f, "-{back}"),
        }
    }
}

impl fmt::Display for RecordRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(one) => write!(f, "{one}"),
            Self::Range(first, last) => write!(f, "{first}..{last}"),
            Self::All => f.write_str("all"),
        }
    }
}

#[cfg(test)]
mod tests;
