//! Conversion of civil times to points in time and back, across clock changes.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{Span, Timestamp};

/// The choice for a civil time that occurs twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ambiguity {
    /// The earlier one, for a start.
    Earlier,
    /// The later one, for an end.
    Later,
}

/// Finds a time zone by its IANA name in the component's data; the error gives examples of names.
pub fn find(name: &str) -> Result<TimeZone, String> {
    TimeZoneDatabase::bundled()
        .get(name)
        .map_err(|_| format!("unknown time zone {name:?}; use an IANA name such as Europe/Berlin or America/New_York"))
}

/// Converts milliseconds since the Unix epoch to a point in time; `None` beyond the year 9999.
pub fn timestamp(ms: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()
}

/// Converts a civil time to a point in time. A time skipped by a clock change maps to the change.
pub fn to_timestamp(zone: &TimeZone, time: DateTime, twice: Ambiguity) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(time);
    match (ambiguous.offset(), twice) {
        (AmbiguousOffset::Unambiguous { .. }, _) => ambiguous.compatible().ok(),
        (AmbiguousOffset::Fold { .. }, Ambiguity::Earlier) => ambiguous.earlier().ok(),
        (AmbiguousOffset::Fold { .. }, Ambiguity::Later) => ambiguous.later().ok(),
        (AmbiguousOffset::Gap { .. }, _) => {
            // With the previous offset, the result is as long after the change as the time is into the skipped
            // interval.
            let after = ambiguous.later().ok()?.checked_add(Span::new().seconds(1)).ok()?;
            zone.preceding(after).next().map(|transition| transition.timestamp())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(zone: &str, time: &str, twice: Ambiguity) -> String {
        let found = to_timestamp(&find(zone).unwrap(), time.parse().unwrap(), twice).unwrap();
        found.to_string()
    }

    #[test]
    fn skipped_time_maps_to_the_change() {
        for time in ["2026-03-29T02:00", "2026-03-29T02:30", "2026-03-29T02:59"] {
            assert_eq!(utc("Europe/Berlin", time, Ambiguity::Earlier), "2026-03-29T01:00:00Z", "{time}");
        }
        assert_eq!(utc("Europe/Berlin", "2026-03-29T01:59", Ambiguity::Earlier), "2026-03-29T00:59:00Z");
        assert_eq!(utc("Europe/Berlin", "2026-03-29T03:00", Ambiguity::Earlier), "2026-03-29T01:00:00Z");
        assert_eq!(utc("America/New_York", "2026-03-08T02:30", Ambiguity::Later), "2026-03-08T07:00:00Z");
    }

    #[test]
    fn repeated_time_maps_to_the_requested_one() {
        assert_eq!(utc("Europe/Berlin", "2026-10-25T02:30", Ambiguity::Earlier), "2026-10-25T00:30:00Z");
        assert_eq!(utc("Europe/Berlin", "2026-10-25T02:30", Ambiguity::Later), "2026-10-25T01:30:00Z");
        assert_eq!(
            utc("Australia/Lord_Howe", "2026-04-05T01:45", Ambiguity::Later),
            "2026-04-04T15:15:00Z",
            "half an hour"
        );
    }

    #[test]
    fn zones_are_found_by_name() {
        assert!(find("Europe/Berlin").is_ok() && find("utc").is_ok() && find("Asia/Kathmandu").is_ok());
        assert!(find("Europe/Berln").unwrap_err().starts_with("unknown time zone \"Europe/Berln\""));
    }

    #[test]
    fn times_outside_the_calendar_are_none() {
        assert_eq!(timestamp(u64::MAX), None);
        assert_eq!(timestamp(1 << 62), None);
        assert!(timestamp(0).is_some());
    }
}
