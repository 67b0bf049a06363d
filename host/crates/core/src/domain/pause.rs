//! Pauses suspend automatic scaling in one direction or in both.
//!
//! A pause holds changes requested by policies and the guard. Manual commands still take effect; only maintenance mode stops
//! those too.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;

/// The direction of a change in fleet size.
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

/// A suspension of scaling in one direction, until an operator lifts it or it expires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The time at which it started.
    pub since: Timestamp,
    /// The time at which it expires; `None` for never.
    pub until: Option<Timestamp>,
    /// The reason given by the operator; may be empty.
    pub reason: String,
}

impl Pause {
    /// Reports whether the pause is in effect at `now`.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// The current pauses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pauses {
    /// The pause of creates.
    pub out: Option<Pause>,
    /// The pause of deletes.
    #[serde(rename = "in")]
    pub in_: Option<Pause>,
}

impl Pauses {
    /// Returns the pause of one direction, if it is in effect at `now`.
    pub fn active(&self, direction: Direction, now: Timestamp) -> Option<&Pause> {
        let pause = match direction {
            Direction::Out => &self.out,
            Direction::In => &self.in_,
        };
        pause.as_ref().filter(|pause| pause.is_active(now))
    }
}
