//! Breakers: what stops creating when it goes too fast, or leads nowhere.
//!
//! A loop that creates what does not come up, and replaces it, spends without end; the autoscalers before this one had
//! that (aws/karpenter#7344). Functions of plain data: the history comes from the journal, so a restart forgets nothing.

use std::fmt;
use std::time::Duration;

use crate::model::{Creates, Timestamp};

/// How far back creates count.
pub(super) const WINDOW: Duration = Duration::from_hours(1);

/// So many droplets in a row that did not come up are no accident.
const FAILED_BOOTS: u32 = 3;

/// Why no more is created for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tripped {
    /// As many were created in the last hour as may be.
    CreatesPerHour {
        /// How many were.
        begun: u32,
        /// How many may be.
        most: u32,
    },
    /// The last ones did not come up.
    FailedBoots {
        /// How many in a row.
        failed: u32,
        /// When the last of them was begun.
        last: Timestamp,
    },
}

impl Tripped {
    /// The rule, as cuts of a plan name it.
    pub(super) fn rule(&self) -> &'static str {
        match self {
            Self::CreatesPerHour { .. } => "max_create_per_hour",
            Self::FailedBoots { .. } => "failed_boots",
        }
    }
}

impl fmt::Display for Tripped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreatesPerHour { begun, most } => {
                write!(f, "{begun} droplets were created in the last hour, and scaling.max_create_per_hour is {most}")
            }
            Self::FailedBoots { failed, last } => write!(
                f,
                "the last {failed} droplets that were created did not come up (the last was begun at {last}): see why, most often user data or the health check; nothing is created for an hour after it"
            ),
        }
    }
}

/// How many more droplets may be created now, at most `wanted`; and what trips, where that is fewer.
pub(super) fn allowed(wanted: u32, history: &Creates, most: u32) -> (u32, Option<Tripped>) {
    if let Some(last) = history.last_failed.filter(|_| wanted > 0 && history.failed_in_a_row >= FAILED_BOOTS) {
        return (0, Some(Tripped::FailedBoots { failed: history.failed_in_a_row, last }));
    }
    let left = most.saturating_sub(history.begun);
    let tripped = (left < wanted).then_some(Tripped::CreatesPerHour { begun: history.begun, most });
    (left.min(wanted), tripped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_has_room_for_so_many() {
        let history = Creates { begun: 8, ..Creates::default() };

        assert_eq!(allowed(2, &history, 10), (2, None));
        assert_eq!(allowed(3, &history, 10), (2, Some(Tripped::CreatesPerHour { begun: 8, most: 10 })));
        assert_eq!(allowed(0, &Creates { begun: 20, ..history }, 10), (0, None));
    }

    #[test]
    fn three_that_did_not_come_up_stop_the_next() {
        let failed = |failed_in_a_row| Creates { begun: 3, failed_in_a_row, last_failed: Some(Timestamp(7)) };

        assert_eq!(allowed(1, &failed(2), 10), (1, None));
        assert_eq!(allowed(1, &failed(3), 10), (0, Some(Tripped::FailedBoots { failed: 3, last: Timestamp(7) })));
    }
}
