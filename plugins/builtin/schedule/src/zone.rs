//! From civil times to points in time and back, across changes of the clock.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{Span, Timestamp};

/// Which of two is meant where a civil time comes twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ambiguity {
    /// The earlier one, of a start.
    Earlier,
    /// The later one, of an end.
    Later,
}

/// A time zone by its IANA name, from the data in this component; the message names what may be meant.
pub fn find(name: &str) -> Result<TimeZone, String> {
    TimeZoneDatabase::bundled().get(name).map_err(|_| {
        format!("there is no time zone {name:?}; IANA names such as Europe/Berlin and America/New_York are known")
    })
}

/// A point in time in milliseconds since the Unix epoch; `None` beyond the year 9999.
pub fn timestamp(ms: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()
}

/// When it is that time in a zone. A time that a change of the clock leaves out is at the change.
pub fn to_timestamp(zone: &TimeZone, time: DateTime, twice: Ambiguity) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(time);
    match (ambiguous.offset(), twice) {
        (AmbiguousOffset::Unambiguous { .. }, _) => ambiguous.compatible().ok(),
        (AmbiguousOffset::Fold { .. }, Ambiguity::Earlier) => ambiguous.earlier().ok(),
        (AmbiguousOffset::Fold { .. }, Ambiguity::Later) => ambiguous.later().ok(),
        (AmbiguousOffset::Gap { .. }, _) => {
            // With the offset of before, it is as long after the change as it is into what is left out.
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
    fn a_time_that_is_left_out_is_at_the_change() {
        for time in ["2026-03-29T02:00", "2026-03-29T02:30", "2026-03-29T02:59"] {
            assert_eq!(utc("Europe/Berlin", time, Ambiguity::Earlier), "2026-03-29T01:00:00Z", "{time}");
        }
        assert_eq!(utc("Europe/Berlin", "2026-03-29T01:59", Ambiguity::Earlier), "2026-03-29T00:59:00Z");
        assert_eq!(utc("Europe/Berlin", "2026-03-29T03:00", Ambiguity::Earlier), "2026-03-29T01:00:00Z");
        assert_eq!(utc("America/New_York", "2026-03-08T02:30", Ambiguity::Later), "2026-03-08T07:00:00Z");
    }

    #[test]
    fn a_time_that_comes_twice_is_what_it_is_wanted_for() {
        assert_eq!(utc("Europe/Berlin", "2026-10-25T02:30", Ambiguity::Earlier), "2026-10-25T00:30:00Z");
        assert_eq!(utc("Europe/Berlin", "2026-10-25T02:30", Ambiguity::Later), "2026-10-25T01:30:00Z");
        assert_eq!(
            utc("Australia/Lord_Howe", "2026-04-05T01:45", Ambiguity::Later),
            "2026-04-04T15:15:00Z",
            "half an hour"
        );
    }

    #[test]
    fn zones_are_known_by_their_names() {
        assert!(find("Europe/Berlin").is_ok() && find("utc").is_ok() && find("Asia/Kathmandu").is_ok());
        assert!(find("Europe/Berln").unwrap_err().starts_with("there is no time zone \"Europe/Berln\""));
    }

    #[test]
    fn times_beyond_the_calendar_are_none() {
        assert_eq!(timestamp(u64::MAX), None);
        assert_eq!(timestamp(1 << 62), None);
        assert!(timestamp(0).is_some());
    }
}
