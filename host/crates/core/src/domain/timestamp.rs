//! Points in time, as numbers; the clock that reads the current time is `doproxy_support::clock`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Returns the time from `earlier` until this point; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Returns the point in time `duration` after this one.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Returns the point in time `duration` before this one, but no earlier than the epoch.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Returns the start of this calendar month, in UTC.
    #[must_use]
    pub fn start_of_month(self) -> Self {
        let (_, _, day) = self.date();
        Self((self.0 / DAY_MS - (day - 1)) * DAY_MS)
    }

    /// Returns the start of the next calendar month, in UTC.
    #[must_use]
    pub fn end_of_month(self) -> Self {
        // 31 days after its first day, each month is over and the next one is not.
        Self(self.start_of_month().0.saturating_add(31 * DAY_MS)).start_of_month()
    }

    /// Returns year, month and day in UTC, using Howard Hinnant's `civil_from_days`.
    fn date(self) -> (i64, i64, u64) {
        let days = i64::try_from(self.0 / DAY_MS).unwrap_or(i64::MAX).saturating_add(719_468);
        let era = days / 146_097;
        let day_of_era = days % 146_097;
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_index = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_index + 2) / 5 + 1;
        let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
        (year_of_era + era * 400 + i64::from(month <= 2), month, day.unsigned_abs())
    }
}

const DAY_MS: u64 = 86_400_000;

impl fmt::Display for Timestamp {
    /// Formats the time as RFC 3339 in UTC, to the second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1000;
        let (year, month, day) = self.date();
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn month_ends_where_the_next_begins() {
        for (at, start, end) in [
            (1_795_469_145_678, "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
            (951_782_399_000, "2000-02-01T00:00:00Z", "2000-03-01T00:00:00Z"),
            (0, "1970-01-01T00:00:00Z", "1970-02-01T00:00:00Z"),
            (1_798_761_600_000, "2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z"),
        ] {
            let at = Timestamp(at);
            assert_eq!((at.start_of_month().to_string(), at.end_of_month().to_string()), (start.into(), end.into()));
        }
    }

    #[test]
    fn timestamp_is_formatted_as_rfc_3339() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399_000, "2000-02-28T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_795_469_145_678, "2026-11-23T21:25:45Z"),
        ] {
            assert_eq!(Timestamp(ms).to_string(), text);
        }
    }
}
