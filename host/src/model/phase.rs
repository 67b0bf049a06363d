//! Where a droplet is in its life, and which steps there are.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The life of a droplet: `requested → booting → warming → serving → draining → deleting → gone`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The operation is written; whether the droplet exists is not known yet.
    Requested,
    /// The API gave an id; the droplet is not `active` or has no address of the wanted type yet.
    Booting,
    /// HAProxy checks it, and gives it no traffic yet.
    Warming,
    /// HAProxy's health check passed; it takes traffic.
    Serving,
    /// No new sessions; those that are open may end.
    Draining,
    /// Out of HAProxy; the API is asked to delete it until it says that it is not there.
    Deleting,
    /// The API answered 404. The row is kept as history.
    Gone,
}

impl Phase {
    /// Every phase, in order of life.
    pub const ALL: [Self; 7] =
        [Self::Requested, Self::Booting, Self::Warming, Self::Serving, Self::Draining, Self::Deleting, Self::Gone];

    /// The phase as one lower-case word.
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

    /// The phase that `word` names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == word)
    }

    /// Whether a droplet may go from this phase to `next`.
    ///
    /// Life goes forward only. Before it serves, a droplet may leave at once (it never had a
    /// session to drain), and one that the API no longer knows is gone from wherever it was.
    pub fn can_transition_to(self, next: Self) -> bool {
        match next {
            Self::Requested => false,
            Self::Booting | Self::Warming | Self::Serving => next as u8 == self as u8 + 1,
            Self::Draining => self < Self::Draining,
            Self::Deleting => self < Self::Deleting,
            Self::Gone => self != Self::Gone,
        }
    }

    /// Whether the droplet counts towards the size of the fleet: it serves, or it is on its way to.
    pub fn counts_toward_size(self) -> bool {
        self <= Self::Serving
    }

    /// Whether the droplet is on its way to serving.
    pub fn is_starting(self) -> bool {
        self < Self::Serving
    }

    /// Whether HAProxy has a server for a droplet in this phase.
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
    fn life_goes_forward_only() {
        for from in Phase::ALL {
            for to in Phase::ALL {
                assert!(!from.can_transition_to(to) || from < to, "{from} → {to}");
            }
        }
    }

    #[test]
    fn no_droplet_serves_before_its_health_check_passed() {
        let ways_to_serve: Vec<Phase> =
            Phase::ALL.into_iter().filter(|from| from.can_transition_to(Phase::Serving)).collect();

        assert_eq!(ways_to_serve, [Phase::Warming]);
    }

    #[test]
    fn every_phase_is_read_back_from_its_name() {
        for phase in Phase::ALL {
            assert_eq!(Phase::parse(phase.as_str()), Some(phase));
        }
    }
}
