//! Recurring civil times: cron lines with five fields, and their last occurrence before a time.

use jiff::civil::{Date, DateTime, Time};

/// A bit set of numbers up to 59.
type BitSet = u64;

/// A recurring time: its days, hours and minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cron {
    minutes: BitSet,
    hours: BitSet,
    days_of_month: BitSet,
    months: BitSet,
    /// Sunday is 0.
    days_of_week: BitSet,
    /// Set if one matching day is enough because both day fields are restricted.
    either_day: bool,
}

/// A field of a cron line.
struct Field {
    name: &'static str,
    first: u32,
    last: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", first: 0, last: 59, names: &[] },
    Field { name: "hour", first: 0, last: 23, names: &[] },
    Field { name: "day of month", first: 1, last: 31, names: &[] },
    Field {
        name: "month",
        first: 1,
        last: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    // 7 is also Sunday.
    Field { name: "day of week", first: 0, last: 7, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

const EVERY_DAY: BitSet = 0xffff_fffe;
const EVERY_MONTH: BitSet = 0x1ffe;

/// Maximum number of days to search backward: 29 February falls on the same day of the week at most 40 years apart.
const MAX_DAYS_BACK: u32 = 40 * 366;

impl Cron {
    /// Parses a line such as `0 8 * * mon-fri`.
    pub fn parse(line: &str) -> Result<Self, String> {
        let parts: Vec<&str> = line.split_whitespace().collect();
        let [minutes, hours, in_month, months, in_week] = parts.as_slice() else {
            return Err(format!(
                "{line:?} has {} fields instead of five: minute, hour, day of month, month, day of week",
                parts.len()
            ));
        };
        let [minute, hour, day_of_month, month, day_of_week] = &FIELDS;
        let mut week = day_of_week.parse(in_week)?;
        if contains(week, 7) {
            week = (week | 1) & 0x7f;
        }
        let cron = Self {
            minutes: minute.parse(minutes)?,
            hours: hour.parse(hours)?,
            days_of_month: day_of_month.parse(in_month)?,
            months: month.parse(months)?,
            days_of_week: week,
            // As in crontab(5): a field that begins with * is unrestricted.
            either_day: !in_month.starts_with('*') && !in_week.starts_with('*'),
        };
        if cron.is_impossible() {
            return Err(format!("{line:?} never occurs: none of these months has such a day"));
        }
        Ok(cron)
    }

    /// Creates the same time on some days of the week; Sunday is 0.
    pub fn weekly(days_of_week: impl IntoIterator<Item = u32>, time: Time) -> Self {
        let set = |number: i8| 1_u64.checked_shl(u32::try_from(number).unwrap_or(0)).unwrap_or(0);
        Self {
            minutes: set(time.minute()),
            hours: set(time.hour()),
            days_of_month: EVERY_DAY,
            months: EVERY_MONTH,
            days_of_week: days_of_week.into_iter().fold(0, |days, day| days | (1 << (day % 7))),
            either_day: false,
        }
    }

    /// Returns the last occurrence at or before `time`; `None` if it is too far in the past.
    pub fn last_at_or_before(&self, time: DateTime) -> Option<DateTime> {
        let mut day = time.date();
        let mut latest = (to_u32(time.hour()), to_u32(time.minute()));
        for _ in 0..MAX_DAYS_BACK {
            if self.matches_day(day)
                && let Some(time) = self.last_time_of_day(latest)
            {
                return Some(day.to_datetime(time));
            }
            day = day.yesterday().ok()?;
            latest = (23, 59);
        }
        None
    }

    fn matches_day(&self, day: Date) -> bool {
        let of_month = contains(self.days_of_month, to_u32(day.day()));
        let of_week = contains(self.days_of_week, to_u32(day.weekday().to_sunday_zero_offset()));
        let is_day = if self.either_day { of_month || of_week } else { of_month && of_week };
        is_day && contains(self.months, to_u32(day.month()))
    }

    /// Returns the last matching time of a day up to this hour and minute.
    fn last_time_of_day(&self, (hour, minute): (u32, u32)) -> Option<Time> {
        let at = |hour: u32, minute: u32| Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0).ok();
        if contains(self.hours, hour)
            && let Some(minute) = last_up_to(self.minutes, minute)
        {
            return at(hour, minute);
        }
        let hour = last_up_to(self.hours, hour.checked_sub(1)?)?;
        at(hour, last_up_to(self.minutes, 59)?)
    }

    /// Reports whether no month has such a day, as on 30 February.
    fn is_impossible(&self) -> bool {
        const DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let longest = (1..).zip(DAYS).filter(|(month, _)| contains(self.months, *month)).map(|(_, days)| days).max();
        let first_day = self.days_of_month.trailing_zeros();
        !self.either_day && longest.is_none_or(|days| first_day > days)
    }
}

impl Field {
    fn parse(&self, text: &str) -> Result<BitSet, String> {
        text.split(',').try_fold(0, |set, item| Ok(set | self.parse_item(item)?))
    }

    /// Parses `*`, `5`, `1-5`, `*/15`, `1-30/2` or `5/10`.
    fn parse_item(&self, item: &str) -> Result<BitSet, String> {
        let wrong = || {
            format!(
                "{item:?} is not a valid {}: use {} to {}, *, a range, a step or a list of these",
                self.name, self.first, self.last
            )
        };
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u32>().ok().filter(|step| *step > 0).ok_or_else(wrong)?)),
            None => (item, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (self.first, self.last),
            Some((from, to)) => (self.parse_number(from).ok_or_else(wrong)?, self.parse_number(to).ok_or_else(wrong)?),
            None => {
                let number = self.parse_number(range).ok_or_else(wrong)?;
                (number, if step.is_some() { self.last } else { number })
            }
        };
        if from > to {
            return Err(format!("{item:?} is not a valid {}: the range is reversed", self.name));
        }
        let step = usize::try_from(step.unwrap_or(1)).unwrap_or(usize::MAX);
        Ok((from..=to).step_by(step).fold(0, |set, number| set | (1 << number)))
    }

    fn parse_number(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().zip(self.first..).find(|(name, _)| name.eq_ignore_ascii_case(text));
        match named {
            Some((_, number)) => Some(number),
            None => text.parse().ok().filter(|number| (self.first..=self.last).contains(number)),
        }
    }
}

fn contains(set: BitSet, number: u32) -> bool {
    set.checked_shr(number).is_some_and(|shifted| shifted & 1 == 1)
}

fn last_up_to(set: BitSet, most: u32) -> Option<u32> {
    let up_to = set & (BitSet::MAX >> 63_u32.saturating_sub(most));
    up_to.checked_ilog2()
}

/// Converts a part of a civil time, which is never negative.
fn to_u32(number: i8) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn last(line: &str, time: &str) -> String {
        let found = Cron::parse(line).unwrap().last_at_or_before(time.parse().unwrap());
        found.map(|time| time.strftime("%a %F %R").to_string()).unwrap_or_default()
    }

    #[test]
    fn last_time_includes_the_minute_itself() {
        for (line, time, found) in [
            ("0 8 * * 1-5", "2026-11-27T08:00:59", "Fri 2026-11-27 08:00"),
            ("0 8 * * 1-5", "2026-11-27T07:59:59", "Thu 2026-11-26 08:00"),
            ("0 8 * * mon-fri", "2026-11-29T12:00", "Fri 2026-11-27 08:00"),
            ("*/15 9-17 * * *", "2026-11-27T20:00", "Fri 2026-11-27 17:45"),
            ("*/15 9-17 * * *", "2026-11-27T09:14", "Fri 2026-11-27 09:00"),
            ("5/20 0 * * *", "2026-11-27T00:50", "Fri 2026-11-27 00:45"),
            ("30 6 1,15 * *", "2026-11-10T00:00", "Sun 2026-11-01 06:30"),
            ("0 0 29 2 *", "2026-11-27T00:00", "Thu 2024-02-29 00:00"),
            ("0 0 29 feb *", "1904-02-28T00:00", "Sat 1896-02-29 00:00"),
            ("0 0 29 2 */7", "2032-02-28T00:00", "Sun 2004-02-29 00:00"),
            ("0 0 29 2 */7", "1920-02-28T00:00", "Sun 1880-02-29 00:00"),
            ("0 12 * * 7", "2026-11-27T00:00", "Sun 2026-11-22 12:00"),
            ("0 0 1 jan *", "2026-11-27T00:00", "Thu 2026-01-01 00:00"),
        ] {
            assert_eq!(last(line, time), found, "{line} at {time}");
        }
    }

    #[test]
    fn either_day_matches_if_both_are_restricted() {
        assert_eq!(last("0 0 13 * fri", "2026-11-27T12:00"), "Fri 2026-11-27 00:00");
        assert_eq!(last("0 0 13 * fri", "2026-12-13T12:00"), "Sun 2026-12-13 00:00");
        assert_eq!(
            last("0 0 */2 * fri", "2026-12-13T12:00"),
            "Fri 2026-12-11 00:00",
            "a field that begins with * is unrestricted"
        );
    }

    #[test]
    fn invalid_line_is_rejected_with_its_field() {
        for (line, part) in [
            ("0 8 * *", "has 4 fields"),
            ("60 8 * * *", "\"60\" is not a valid minute: use 0 to 59"),
            ("0 8-25 * * *", "is not a valid hour"),
            ("0 18-8 * * *", "the range is reversed"),
            ("*/0 * * * *", "is not a valid minute"),
            ("0 0 0 * *", "is not a valid day of month"),
            ("0 0 * foo *", "\"foo\" is not a valid month"),
            ("0 0 30 2 *", "never occurs"),
            ("0 0 31 4,jun *", "never occurs"),
            ("@daily", "has 1 fields"),
            ("0 0 * * 1,,2", "is not a valid day of week"),
        ] {
            let message = Cron::parse(line).unwrap_err();
            assert!(message.contains(part), "{line}: {message}");
        }
    }

    #[test]
    fn weekly_time_occurs_on_its_days() {
        let cron = Cron::weekly([1, 3], Time::constant(22, 30, 0, 0));

        let found = cron.last_at_or_before("2026-11-29T00:00".parse().unwrap()).unwrap();

        assert_eq!(found.strftime("%a %R").to_string(), "Wed 22:30");
    }

    proptest! {
        #[test]
        fn arbitrary_line_never_panics(line in "[0-9*,/ a-z-]{0,30}") {
            if let Ok(cron) = Cron::parse(&line) {
                let now = "2026-11-27T12:34".parse().unwrap();
                prop_assert!(cron.last_at_or_before(now).is_none_or(|last| last <= now));
            }
        }

        #[test]
        fn last_time_matches_and_none_lies_between(minute in 0..60_u32, hours in 1..24_u32, days in 0..400_i64) {
            let cron = Cron::parse(&format!("{minute} */{hours} * * *")).unwrap();
            let start: DateTime = "2026-03-01T10:17".parse().unwrap();
            let now = start.checked_add(jiff::Span::new().days(days)).unwrap();
            let last = cron.last_at_or_before(now).unwrap();
            prop_assert_eq!(cron.last_at_or_before(last), Some(last));
            let mut between = last.checked_add(jiff::Span::new().minutes(1)).unwrap();
            while between <= now {
                prop_assert_eq!(cron.last_at_or_before(between), Some(last));
                between = between.checked_add(jiff::Span::new().minutes(1)).unwrap();
            }
        }
    }
}
