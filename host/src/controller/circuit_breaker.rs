//! Breakers: what stops creating when it goes too fast, or leads nowhere.
//!
//! A loop that creates what does not come up, and replaces it, spends without end; the autoscalers before this one had
//! that (aws/karpenter#7344). Functions of plain data: the history comes from the journal, so a restart forgets nothing.

use std::fmt;
use std::time::Duration;

use crate::model::{CreateHistory, Timestamp};

/// How far back creates count.
pub(super) const WINDOW: Duration = Duration::from_hours(1);

/// So many droplets in a row that did not come up are no accident.
const FAILED_BOOTS_THRESHOLD: u32 = 3;

/// Why no more is created for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BreakerTrip {
    /// As many were created in the last hour as may be.
    CreatesPerHour {
        /// How many were.
        created: u32,
        /// How many may be.
        limit: u32,
    },
    /// The last ones did not come up.
    FailedBoots {
        /// How many in a row.
        failed: u32,
        /// When the last of them was begun.
        last: Timestamp,
    },
}

impl BreakerTrip {
    /// The rule, as cuts of a plan name it.
    pub(super) fn rule(&self) -> &'static str {
        match self {
            Self::CreatesPerHour { .. } => "max_create_per_hour",
            Self::FailedBoots { .. } => "failed_boots",
        }
    }
}

impl fmt::Display for BreakerTrip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreatesPerHour { created: begun, limit: most } => {
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
pub(super) fn check(wanted: u32, history: &CreateHistory, most: u32) -> (u32, Option<BreakerTrip>) {
    if let Some(last) =
        history.last_failure.filter(|_| wanted > 0 && history.consecutive_failures >= FAILED_BOOTS_THRESHOLD)
    {
        return (0, Some(BreakerTrip::FailedBoots { failed: history.consecutive_failures, last }));
    }
    let left = most.saturating_sub(history.started);
    let tripped = (left < wanted).then_some(BreakerTrip::CreatesPerHour { created: history.started, limit: most });
    (left.min(wanted), tripped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_has_room_for_so_many() {
        let history = CreateHistory { started: 8, ..CreateHistory::default() };

        assert_eq!(check(2, &history, 10), (2, None));
        assert_eq!(check(3, &history, 10), (2, Some(BreakerTrip::CreatesPerHour { created: 8, limit: 10 })));
        assert_eq!(check(0, &CreateHistory { started: 20, ..history }, 10), (0, None));
    }

    #[test]
    fn three_that_did_not_come_up_stop_the_next() {
        let failed = |failed_in_a_row| CreateHistory {
            started: 3,
            consecutive_failures: failed_in_a_row,
            last_failure: Some(Timestamp(7)),
        };

        assert_eq!(check(1, &failed(2), 10), (1, None));
        assert_eq!(check(1, &failed(3), 10), (0, Some(BreakerTrip::FailedBoots { failed: 3, last: Timestamp(7) })));
    }
}
