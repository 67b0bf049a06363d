//! The phases of a droplet's life cycle and the transitions between them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A phase in the life cycle of a droplet: `requested → booting → warming → serving → draining → deleting → gone`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The operation is journaled; the droplet is not known to exist yet.
    Requested,
    /// The API has assigned an ID; the droplet is not yet `active` or has no address of the required type.
    Booting,
    /// HAProxy checks the droplet but does not send it traffic yet.
    Warming,
    /// HAProxy's health check has passed; the droplet receives traffic.
    Serving,
    /// The droplet receives no new sessions; open ones may finish.
    Draining,
    /// The droplet is removed from HAProxy; delete requests are sent until the API reports that it does not exist.
    Deleting,
    /// The API has returned 404. The row is kept as history.
    Gone,
}

impl Phase {
    /// Every phase, in life-cycle order.
    pub const ALL: [Self; 7] =
        [Self::Requested, Self::Booting, Self::Warming, Self::Serving, Self::Draining, Self::Deleting, Self::Gone];

    /// Returns the phase as one lower-case word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Booting => "booting",
            Self::Warming => "warming",
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Deleting => "deleting",
            Self::Gone => "gone",
        }
    }

    /// Parses a phase from its name.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == word)
    }

    /// Reports whether a droplet may move from this phase to `next`.
    ///
    /// Phases only move forward. A droplet that is not serving yet may be deleted at once (it never had a session to
    /// drain), and a droplet that the API no longer lists becomes gone from any phase.
    pub fn can_transition_to(self, next: Self) -> bool {
        match next {
            Self::Requested => false,
            Self::Booting | Self::Warming | Self::Serving => next as u8 == self as u8 + 1,
            Self::Draining => self < Self::Draining,
            Self::Deleting => self < Self::Deleting,
            Self::Gone => self != Self::Gone,
        }
    }

    /// Reports whether the droplet counts towards the fleet size: it is serving or starting.
    pub fn counts_toward_size(self) -> bool {
        self <= Self::Serving
    }

    /// Reports whether the droplet is starting.
    pub fn is_starting(self) -> bool {
        self < Self::Serving
    }

    /// Reports whether HAProxy has a server for a droplet in this phase.
    pub fn is_behind_balancer(self) -> bool {
        matches!(self, Self::Warming | Self::Serving | Self::Draining)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_only_move_forward() {
        for from in Phase::ALL {
            for to in Phase::ALL {
                assert!(!from.can_transition_to(to) || from < to, "{from} → {to}");
            }
        }
    }

    #[test]
    fn serving_is_reachable_only_from_warming() {
        let ways_to_serve: Vec<Phase> =
            Phase::ALL.into_iter().filter(|from| from.can_transition_to(Phase::Serving)).collect();

        assert_eq!(ways_to_serve, [Phase::Warming]);
    }

    #[test]
    fn phase_name_round_trips() {
        for phase in Phase::ALL {
            assert_eq!(Phase::parse(phase.as_str()), Some(phase));
        }
    }
}
