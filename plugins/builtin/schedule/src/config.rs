//! What an operator sets; `schema.json` says the same to the host.

use doproxy_policy_sdk::numbers::seconds_to_ms;
use doproxy_policy_sdk::{Problem, parse_json, validated};
use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::cron::Cron;
use crate::rule::{End, Rule};
use crate::zone;

/// How much earlier a floor is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeadTime {
    /// As long as a droplet takes to boot.
    BootTime,
    /// In milliseconds.
    Fixed(u64),
}

/// A checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the clock hangs.
    pub time_zone: TimeZone,
    /// What is asked for while no rule holds; none for the fleet's minimum.
    pub default: Option<u32>,
    /// How much earlier a floor is asked for.
    pub lead_time: LeadTime,
    /// Never empty.
    pub rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    #[serde(default = "utc")]
    time_zone: String,
    default: Option<u32>,
    lead_time_s: Option<u64>,
    rules: Vec<RawRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    name: Option<String>,
    days: Option<Vec<Day>>,
    from: Option<String>,
    to: Option<String>,
    start: Option<String>,
    end: Option<String>,
    minutes: Option<u32>,
    min: Option<u32>,
    max: Option<u32>,
}

/// A day of the week, in the order of cron.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Day {
    Sun,
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
}

const WEEK: [Day; 7] = [Day::Sun, Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat];

fn utc() -> String {
    "UTC".to_owned()
}

/// Longest that a rule by minutes holds: a year.
const MAX_MINUTES: u32 = 366 * 24 * 60;

impl Config {
    /// Reads JSON text that has passed the schema.
    pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
        let written: RawConfig = parse_json(json)?;
        let mut problems = Vec::new();
        let zone = zone::find(&written.time_zone).unwrap_or_else(|message| {
            problems.push(Problem::at("/time_zone", message));
            TimeZone::UTC
        });
        if written.rules.is_empty() {
            problems.push(Problem::at("/rules", "at least one rule is needed"));
        }
        let mut rules = Vec::new();
        for (index, rule) in written.rules.into_iter().enumerate() {
            let path = format!("/rules/{index}");
            match rule.validate(index) {
                Ok(rule) => rules.push(rule),
                Err((key, message)) => problems.push(Problem::at(format!("{path}{key}"), message)),
            }
        }
        let config = Self {
            time_zone: zone,
            default: written.default,
            lead_time: written.lead_time_s.map_or(LeadTime::BootTime, |given| LeadTime::Fixed(seconds_to_ms(given))),
            rules,
        };
        validated(config, problems)
    }
}

/// What is wrong with a rule: where in it, and what.
type RuleError = (&'static str, String);

impl RawRule {
    fn validate(self, index: usize) -> Result<Rule, RuleError> {
        let name = self.name.clone().unwrap_or_else(|| format!("rule {}", index + 1));
        let (floor, ceiling) = (self.min, self.max);
        match (floor, ceiling) {
            (None, None) => return Err(("", "a floor or a ceiling is needed".to_owned())),
            (Some(floor), Some(ceiling)) if floor > ceiling => {
                return Err(("/floor", format!("the floor of {floor} is above the ceiling of {ceiling}")));
            }
            _ => {}
        }
        let (start, end) = match (&self.from, &self.to, &self.start) {
            (Some(from), Some(to), None) => self.parse_weekly(from, to)?,
            (None, None, Some(start)) => self.parse_cron(start)?,
            _ => return Err(("", "from and to are needed, or start with end or minutes".to_owned())),
        };
        Ok(Rule { name, start, end, min: floor, max: ceiling })
    }

    fn parse_weekly(&self, from: &str, to: &str) -> Result<(Cron, End), RuleError> {
        if self.end.is_some() || self.minutes.is_some() {
            return Err(("", "from and to say when it ends: leave out end and minutes".to_owned()));
        }
        let days = self.days.clone().unwrap_or_else(|| WEEK.to_vec());
        if days.is_empty() {
            return Err(("/days", "at least one day is needed; without days, it is every day".to_owned()));
        }
        let (from, _) =
            parse_time(from, false).ok_or_else(|| ("/from", format!("{from:?} is no time: 00:00 to 23:59")))?;
        let (to, next_day) =
            parse_time(to, true).ok_or_else(|| ("/to", format!("{to:?} is no time: 00:00 to 24:00")))?;
        let days_of_week = |later: u32| days.clone().into_iter().map(move |day| day as u32 + later);
        let over_midnight = u32::from(next_day || to <= from);
        let start = Cron::weekly(days_of_week(0), from);
        let end = Cron::weekly(days_of_week(over_midnight), to);
        Ok((start, End::At(end)))
    }

    fn parse_cron(&self, start: &str) -> Result<(Cron, End), RuleError> {
        if self.days.is_some() {
            return Err(("/days", "the days are in the cron line: leave them out".to_owned()));
        }
        let cron = Cron::parse(start).map_err(|message| ("/start", message))?;
        match (&self.end, self.minutes) {
            (Some(end), None) => {
                let end = Cron::parse(end).map_err(|message| ("/end", message))?;
                if end == cron {
                    return Err(("/end", "it ends when it begins, so it would hold for ever".to_owned()));
                }
                Ok((cron, End::At(end)))
            }
            (None, Some(minutes)) if (1..=MAX_MINUTES).contains(&minutes) => Ok((cron, End::After(minutes))),
            (None, Some(_)) => Err(("/minutes", format!("a rule holds for 1 to {MAX_MINUTES} minutes"))),
            _ => Err(("", "with start, one of end and minutes is needed".to_owned())),
        }
    }
}

/// `08:30`; the end of a day may be `24:00`, which is the beginning of the next.
fn parse_time(text: &str, may_be_24: bool) -> Option<(Time, bool)> {
    if may_be_24 && text == "24:00" {
        return Some((Time::midnight(), true));
    }
    let (hour, minute) = text.split_once(':')?;
    let number =
        |text: &str| text.parse::<i8>().ok().filter(|_| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()));
    Some((Time::new(number(hour)?, number(minute)?, 0, 0).ok()?, false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use doproxy_policy_sdk::testing::problems;

    fn problems_of(rule: &str) -> String {
        problems::<crate::Schedule>(&format!(r#"{{"rules": [{rule}]}}"#)).join("; ")
    }

    #[test]
    fn what_is_not_said_is_utc_the_boot_time_and_every_day() {
        let config = Config::parse(r#"{"rules": [{"from": "08:00", "to": "18:00", "floor": 4}]}"#).unwrap();

        assert_eq!(config.time_zone, TimeZone::UTC);
        assert_eq!(config.lead_time, LeadTime::BootTime);
        assert_eq!(config.rules[0].name, "rule 1");
        assert_eq!(Ok(config.rules[0].start), Cron::parse("0 8 * * *"));
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        for (rule, message) in [
            (r#"{"from": "08:00", "to": "18:00"}"#, "/rules/0: a floor or a ceiling is needed"),
            (
                r#"{"from": "08:00", "to": "18:00", "floor": 5, "ceiling": 4}"#,
                "/rules/0/floor: the floor of 5 is above the ceiling of 4",
            ),
            (r#"{"floor": 5}"#, "/rules/0: from and to are needed, or start with end or minutes"),
            (r#"{"from": "08:00", "floor": 5}"#, "/rules/0: from and to are needed, or start with end or minutes"),
            (r#"{"from": "8:00", "to": "18:00", "floor": 5}"#, "/rules/0/from: \"8:00\" is no time: 00:00 to 23:59"),
            (r#"{"from": "24:00", "to": "18:00", "floor": 5}"#, "/rules/0/from: \"24:00\" is no time: 00:00 to 23:59"),
            (r#"{"from": "08:00", "to": "18:60", "floor": 5}"#, "/rules/0/to: \"18:60\" is no time: 00:00 to 24:00"),
            (
                r#"{"days": [], "from": "08:00", "to": "18:00", "floor": 5}"#,
                "/rules/0/days: at least one day is needed; without days, it is every day",
            ),
            (r#"{"start": "0 8 * * *", "floor": 5}"#, "/rules/0: with start, one of end and minutes is needed"),
            (
                r#"{"start": "0 8 * *", "minutes": 5, "floor": 5}"#,
                "/rules/0/start: \"0 8 * *\" has 4 fields, and five are wanted: minute, hour, day of month, month, day of week",
            ),
            (
                r#"{"start": "0 8 * * *", "end": "0 8 * * *", "floor": 5}"#,
                "/rules/0/end: it ends when it begins, so it would hold for ever",
            ),
            (
                r#"{"start": "0 8 * * *", "minutes": 0, "floor": 5}"#,
                "/rules/0/minutes: a rule holds for 1 to 527040 minutes",
            ),
            (
                r#"{"days": ["mon"], "start": "0 8 * * *", "minutes": 9, "floor": 5}"#,
                "/rules/0/days: the days are in the cron line: leave them out",
            ),
        ] {
            assert_eq!(problems_of(rule), message);
        }
        let config = r#"{"time_zone": "Mars/Olympus", "rules": []}"#;
        assert_eq!(problems::<crate::Schedule>(config).len(), 2);
    }
}
