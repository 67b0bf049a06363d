//! Rules and their active times.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::cron::Cron;
use crate::zone::{Ambiguity, to_timestamp};

/// The end of an active rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A civil time.
    At(Cron),
    /// An elapsed time after the start, in minutes.
    After(u32),
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Its start.
    pub start: Cron,
    /// Its end.
    pub end: End,
    /// Minimum number of droplets.
    pub min: Option<u32>,
    /// Maximum number of droplets.
    pub max: Option<u32>,
}

/// The status of a rule at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleStatus {
    /// The rule is active.
    Active,
    /// The rule starts at this time, within the lead time.
    Starting(Timestamp),
    /// The rule is inactive.
    Inactive,
}

impl Rule {
    /// Returns the status at a time, with the lead time for rules that have not started.
    pub fn status(&self, zone: &TimeZone, now: Timestamp, lead_time: SignedDuration) -> RuleStatus {
        if self.is_active(zone, now) {
            return RuleStatus::Active;
        }
        let soon = now
            .checked_add(lead_time)
            .ok()
            .and_then(|later| last_occurrence(zone, &self.start, later, Ambiguity::Earlier));
        match soon {
            Some(start) if start > now => RuleStatus::Starting(start),
            _ => RuleStatus::Inactive,
        }
    }

    fn is_active(&self, zone: &TimeZone, now: Timestamp) -> bool {
        let Some(start) = last_occurrence(zone, &self.start, now, Ambiguity::Earlier) else { return false };
        match &self.end {
            // A rule that ends and starts at the same time continues.
            End::At(end) => last_occurrence(zone, end, now, Ambiguity::Later).is_none_or(|end| start >= end),
            End::After(minutes) => now.duration_since(start) < SignedDuration::from_mins(i64::from(*minutes)),
        }
    }
}

/// Returns the last occurrence of a cron line at or before `now`.
fn last_occurrence(zone: &TimeZone, cron: &Cron, now: Timestamp, twice: Ambiguity) -> Option<Timestamp> {
    // When the clock is set back, it shows later times before the change than now.
    let mut civil = zone.to_datetime(now);
    let just_after = now.checked_add(SignedDuration::from_nanos(1)).unwrap_or(now);
    if let Some(change) = zone.preceding(just_after).next()
        && now.duration_since(change.timestamp()) < SignedDuration::from_hours(24)
    {
        let before = change.timestamp().checked_sub(SignedDuration::from_nanos(1)).ok()?;
        civil = civil.max(zone.to_datetime(before));
    }
    // This skips only the few times that the clock shows a second time after `now`.
    for _ in 0..MAX_SKIPPED {
        let candidate = cron.last_at_or_before(civil)?;
        let at = to_timestamp(zone, candidate, twice)?;
        if at <= now {
            return Some(at);
        }
        civil = candidate.checked_sub(jiff::Span::new().minutes(1)).ok()?;
    }
    None
}

/// Maximum number of civil times of a clock change that are later than now: a day of minutes, more than in any time
/// zone.
const MAX_SKIPPED: usize = 24 * 60 + 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;

    fn rule(zone: &str, rule: &str) -> (TimeZone, Rule) {
        let config = Config::parse(&format!(r#"{{"time_zone": "{zone}", "rules": [{rule}]}}"#)).unwrap();
        (config.time_zone, config.rules[0].clone())
    }

    /// Returns the minutes of two days from a UTC time at which the rule becomes active or inactive.
    fn changes(zone: &str, text: &str, from: &str) -> Vec<String> {
        let (zone, rule) = rule(zone, text);
        let from: Timestamp = from.parse().unwrap();
        let mut before = rule.status(&zone, from, SignedDuration::ZERO);
        let mut changes = Vec::new();
        for minute in 1..48 * 60 {
            let now = from.checked_add(SignedDuration::from_mins(minute)).unwrap();
            let holds = rule.status(&zone, now, SignedDuration::ZERO);
            if holds != before {
                let sign = if holds == RuleStatus::Active { '+' } else { '-' };
                changes.push(format!("{sign}{}", now.strftime("%d %R")));
                before = holds;
            }
        }
        changes
    }

    const DAY: &str = r#"{"from": "08:00", "to": "18:00", "min": 4}"#;

    #[test]
    fn table_is_active_to_the_minute() {
        assert_eq!(changes("UTC", DAY, "2026-11-27T00:00Z"), ["+27 08:00", "-27 18:00", "+28 08:00", "-28 18:00"]);
        let weekdays = r#"{"days": ["mon", "fri"], "from": "08:00", "to": "18:00", "min": 4}"#;
        assert_eq!(changes("UTC", weekdays, "2026-11-27T00:00Z"), ["+27 08:00", "-27 18:00"]);
    }

    #[test]
    fn table_may_span_midnight_or_the_whole_day() {
        let night = r#"{"days": ["fri"], "from": "22:00", "to": "06:00", "min": 4}"#;
        assert_eq!(changes("UTC", night, "2026-11-27T00:00Z"), ["+27 22:00", "-28 06:00"]);
        let friday = r#"{"days": ["fri"], "from": "00:00", "to": "24:00", "min": 4}"#;
        assert_eq!(changes("UTC", friday, "2026-11-26T12:00Z"), ["+27 00:00", "-28 00:00"]);
        let always = r#"{"from": "00:00", "to": "24:00", "min": 4}"#;
        assert_eq!(changes("UTC", always, "2026-11-26T12:00Z"), [""; 0]);
    }

    #[test]
    fn cron_is_equivalent_to_a_table() {
        let by_end = r#"{"start": "0 8 * * *", "end": "0 18 * * *", "min": 4}"#;
        let by_minutes = r#"{"start": "0 8 * * *", "minutes": 600, "min": 4}"#;
        for text in [by_end, by_minutes] {
            assert_eq!(
                changes("Asia/Kolkata", text, "2026-11-27T00:00Z"),
                changes("Asia/Kolkata", DAY, "2026-11-27T00:00Z")
            );
        }
    }

    #[test]
    fn wall_clock_applies_when_summer_time_begins() {
        // 08:00 is 07:00 UTC on Saturday and 06:00 on Sunday.
        assert_eq!(
            changes("Europe/Berlin", DAY, "2026-03-28T00:00Z"),
            ["+28 07:00", "-28 17:00", "+29 06:00", "-29 16:00"]
        );
        // 02:30 is skipped on the 29th, and is 00:30 UTC on the 30th.
        let at_night = r#"{"from": "02:30", "to": "04:00", "min": 4}"#;
        assert_eq!(
            changes("Europe/Berlin", at_night, "2026-03-29T00:00Z"),
            ["+29 01:00", "-29 02:00", "+30 00:30", "-30 02:00"]
        );
        // The elapsed time is the same as on other days.
        let hour = r#"{"start": "30 1 29 3 *", "minutes": 60, "min": 4}"#;
        assert_eq!(changes("Europe/Berlin", hour, "2026-03-29T00:00Z"), ["+29 00:30", "-29 01:30"]);
        // A skipped end also occurs at the change.
        let until = r#"{"from": "01:00", "to": "02:30", "min": 4}"#;
        assert_eq!(
            changes("America/New_York", until, "2026-03-08T00:00Z"),
            ["+08 06:00", "-08 07:00", "+09 05:00", "-09 06:30"]
        );
    }

    #[test]
    fn repeated_end_time_keeps_the_rule_active() {
        // 03:00 in summer is 01:00 UTC, when the clock is set back to 02:00.
        let at_night = r#"{"from": "02:30", "to": "04:00", "min": 4}"#;
        assert_eq!(
            changes("Europe/Berlin", at_night, "2026-10-25T00:00Z"),
            ["+25 00:30", "-25 03:00", "+26 01:30", "-26 03:00"]
        );
        let until = r#"{"from": "01:00", "to": "02:30", "min": 4}"#;
        assert_eq!(
            changes("Europe/Berlin", until, "2026-10-24T22:00Z"),
            ["+24 23:00", "-25 01:30", "+26 00:00", "-26 01:30"]
        );
        let within = r#"{"from": "02:10", "to": "02:20", "min": 4}"#;
        assert_eq!(
            changes("Europe/Berlin", within, "2026-10-25T00:00Z"),
            ["+25 00:10", "-25 01:20", "+26 01:10", "-26 01:20"]
        );
        // New York changes at 06:00 UTC; a rule that starts before and ends after the change is an hour longer.
        assert_eq!(
            changes("America/New_York", r#"{"from": "00:30", "to": "03:00", "min": 4}"#, "2026-11-01T00:00Z")
                .first_chunk::<2>(),
            Some(&["+01 04:30".to_owned(), "-01 08:00".to_owned()])
        );
    }

    #[test]
    fn rule_starts_early_by_the_lead_time() {
        let (zone, rule) = rule("UTC", DAY);
        let at = |time: &str| rule.status(&zone, time.parse().unwrap(), SignedDuration::from_secs(90));
        let start = "2026-11-27T08:00Z".parse().unwrap();

        assert_eq!(at("2026-11-27T07:58:29Z"), RuleStatus::Inactive);
        assert_eq!(at("2026-11-27T07:58:30Z"), RuleStatus::Starting(start));
        assert_eq!(at("2026-11-27T08:00:00Z"), RuleStatus::Active);
        assert_eq!(at("2026-11-27T17:59:59Z"), RuleStatus::Active);
        assert_eq!(at("2026-11-27T18:00:00Z"), RuleStatus::Inactive);
    }

    #[test]
    fn yearly_rule_lasts_for_its_duration() {
        let (zone, rule) = rule("UTC", r#"{"start": "0 0 24 12 *", "end": "0 0 2 1 *", "min": 4}"#);
        let at = |time: &str| rule.status(&zone, time.parse().unwrap(), SignedDuration::ZERO);

        assert_eq!(at("2026-12-31T23:00Z"), RuleStatus::Active);
        assert_eq!(at("2027-01-01T23:00Z"), RuleStatus::Active);
        assert_eq!(at("2027-01-02T00:00Z"), RuleStatus::Inactive);
        assert_eq!(at("2026-12-23T23:00Z"), RuleStatus::Inactive);
    }

    proptest! {
        #[test]
        fn table_matches_the_wall_clock_away_from_changes(hour in 0..8760_i64, minute in 0..60_i64) {
            let (zone, rule) = rule("Europe/Berlin", DAY);
            let start: Timestamp = "2026-01-01T00:00Z".parse().unwrap();
            let now = start.checked_add(SignedDuration::from_mins(60 * hour + minute)).unwrap();
            let wall = zone.to_datetime(now);
            let expected = if (8..18).contains(&wall.hour()) { RuleStatus::Active } else { RuleStatus::Inactive };
            prop_assert_eq!(rule.status(&zone, now, SignedDuration::ZERO), expected);
        }
    }
}
