//! How records are named on the command line: `12`, `last`, `-3`, `10..20`, `all`.

use std::fmt;
use std::str::FromStr;

use crate::model::RecordId;

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// By its number.
    Id(RecordId),
    /// Counted from the end: 1 is the newest.
    Back(u64),
}

/// Records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// One.
    One(Which),
    /// From one to another, both included.
    Range(Which, Which),
    /// All.
    All,
}

/// A text that names no records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no record; write a number, `last`, `-2` for the one before the last, `10..20`, or `all`")]
pub struct InvalidSelection(String);

impl FromStr for Which {
    type Err = InvalidSelection;

    fn from_str(text: &str) -> Result<Self, InvalidSelection> {
        let invalid = || InvalidSelection(text.to_owned());
        let number = |digits: &str| digits.parse::<u64>().ok().filter(|number| *number > 0).ok_or_else(invalid);
        match text.strip_prefix('-') {
            _ if text == "last" => Ok(Self::Back(1)),
            Some(back) => number(back).map(Self::Back),
            None => number(text).map(|id| Self::Id(RecordId(id))),
        }
    }
}

impl FromStr for Selection {
    type Err = InvalidSelection;

    fn from_str(text: &str) -> Result<Self, InvalidSelection> {
        if text == "all" {
            return Ok(Self::All);
        }
        match text.split_once("..") {
            None => text.parse().map(Self::One),
            Some((first, last)) => match (first.parse(), last.parse()) {
                (Ok(first), Ok(last)) => Ok(Self::Range(first, last)),
                _ => Err(InvalidSelection(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Back(back) => write!(f, "-{back}"),
        }
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(one) => write!(f, "{one}"),
            Self::Range(first, last) => write!(f, "{first}..{last}"),
            Self::All => f.write_str("all"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_named_by_number_from_the_end_or_as_a_range() {
        for (text, read) in [("12", "12"), ("last", "-1"), ("-3", "-3"), ("10..last", "10..-1"), ("all", "all")] {
            assert_eq!(text.parse::<Selection>().unwrap().to_string(), read);
        }
    }

    #[test]
    fn anything_else_names_none() {
        for text in ["", "0", "-0", "1..", "..", "-", "1.5", "first", "1...3"] {
            assert!(text.parse::<Selection>().is_err(), "{text}");
        }
    }
}
