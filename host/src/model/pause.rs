//! Pauses: the loop may be told to leave the fleet as it is, in one direction or in both.
//!
//! A pause holds what policies and the guard want. What is asked for by hand is done all the same: a freeze is what
//! stops that too.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// Which way the size of a fleet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// More droplets.
    Out,
    /// Fewer droplets.
    In,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Out => "out",
            Self::In => "in",
        })
    }
}

/// Nothing goes one way until somebody lifts it, or until its time is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself; never where it is `None`.
    pub until: Option<Timestamp>,
    /// Why, in the operator's words; may be empty.
    pub reason: String,
}

impl Pause {
    /// Whether it holds at `now`.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// What is paused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pauses {
    /// Creating.
    pub out: Option<Pause>,
    /// Deleting.
    #[serde(rename = "in")]
    pub in_: Option<Pause>,
}

impl Pauses {
    /// The pause of one direction, where it holds at `now`.
    pub fn active(&self, direction: Direction, now: Timestamp) -> Option<&Pause> {
        let pause = match direction {
            Direction::Out => &self.out,
            Direction::In => &self.in_,
        };
        pause.as_ref().filter(|pause| pause.is_active(now))
    }
}
