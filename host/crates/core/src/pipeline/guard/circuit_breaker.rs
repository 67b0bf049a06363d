//! Circuit breakers: stop creating droplets when creates are too frequent or keep failing.
//!
//! A loop that creates droplets which never come up, and replaces them, spends without limit; earlier autoscalers had
//! this problem (aws/karpenter#7344). These are pure functions; the history comes from the journal, so a restart loses
//! nothing.

use std::fmt;
use std::time::Duration;

use crate::domain::{CreateHistory, Timestamp};

/// The window in which creates are counted.
pub const WINDOW: Duration = Duration::from_hours(1);

/// Number of consecutive failed creates that opens the breaker.
const FAILED_BOOTS_THRESHOLD: u32 = 3;

/// The reason that a circuit breaker blocks creates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BreakerTrip {
    /// The hourly limit on creates is reached.
    CreatesPerHour {
        /// Creates in the last hour.
        created: u32,
        /// Maximum number of creates per hour.
        limit: u32,
    },
    /// The most recent creates failed.
    FailedBoots {
        /// Number of consecutive failures.
        failed: u32,
        /// Start time of the last of them.
        last: Timestamp,
    },
}

impl BreakerTrip {
    /// The name of the rule, as the plan's restrictions use it.
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
                "the last {failed} created droplets did not come up (the last was started at {last}), and creates are suspended for an hour after it; check the user data and the health check"
            ),
        }
    }
}

/// Returns the number of droplets that may be created now, at most `requested`, and the tripped breaker if that number is
/// lower.
pub fn check(requested: u32, history: &CreateHistory, most: u32) -> (u32, Option<BreakerTrip>) {
    if let Some(last) =
        history.last_failure.filter(|_| requested > 0 && history.consecutive_failures >= FAILED_BOOTS_THRESHOLD)
    {
        return (0, Some(BreakerTrip::FailedBoots { failed: history.consecutive_failures, last }));
    }
    let left = most.saturating_sub(history.started);
    let tripped = (left < requested).then_some(BreakerTrip::CreatesPerHour { created: history.started, limit: most });
    (left.min(requested), tripped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_creates_per_hour() {
        let history = CreateHistory { started: 8, ..CreateHistory::default() };

        assert_eq!(check(2, &history, 10), (2, None));
        assert_eq!(check(3, &history, 10), (2, Some(BreakerTrip::CreatesPerHour { created: 8, limit: 10 })));
        assert_eq!(check(0, &CreateHistory { started: 20, ..history }, 10), (0, None));
    }

    #[test]
    fn opens_after_three_failed_creates() {
        let failed = |failed_in_a_row| CreateHistory {
            started: 3,
            consecutive_failures: failed_in_a_row,
            last_failure: Some(Timestamp(7)),
        };

        assert_eq!(check(1, &failed(2), 10), (1, None));
        assert_eq!(check(1, &failed(3), 10), (0, Some(BreakerTrip::FailedBoots { failed: 3, last: Timestamp(7) })));
    }
}
