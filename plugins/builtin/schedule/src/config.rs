//! The configuration; `schema.json` describes the same to the host.

use doproxy_policy_sdk::numbers::seconds_to_ms;
use doproxy_policy_sdk::{Problem, parse_json, validated};
use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::cron::Cron;
use crate::rule::{End, Rule};
use crate::zone;

/// The time by which a minimum is requested before its rule starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeadTime {
    /// The boot time of a droplet.
    BootTime,
    /// A fixed time, in milliseconds.
    Fixed(u64),
}

/// A validated configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Time zone of all times.
    pub time_zone: TimeZone,
    /// Size requested while no rule is active; the fleet's minimum if `None`.
    pub default: Option<u32>,
    /// The time by which a minimum is requested before its rule starts.
    pub lead_time: LeadTime,
    /// The rules, at least one.
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

/// Maximum duration of a rule in minutes: a year.
const MAX_MINUTES: u32 = 366 * 24 * 60;

impl Config {
    /// Parses JSON text that has passed the schema.
    pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
        let written: RawConfig = parse_json(json)?;
        let mut problems = Vec::new();
        let zone = zone::find(&written.time_zone).unwrap_or_else(|message| {
            problems.push(Problem::at("/time_zone", message));
            TimeZone::UTC
        });
        if written.rules.is_empty() {
            problems.push(Problem::at("/rules", "at least one rule is required"));
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

/// An error in a rule: its path within the rule, and a message.
type RuleError = (&'static str, String);

impl RawRule {
    fn validate(self, index: usize) -> Result<Rule, RuleError> {
        let name = self.name.clone().unwrap_or_else(|| format!("rule {}", index + 1));
        let (min, max) = (self.min, self.max);
        match (min, max) {
            (None, None) => return Err(("", "min or max is required".to_owned())),
            (Some(min), Some(max)) if min > max => {
                return Err(("/min", format!("min {min} is above max {max}")));
            }
            _ => {}
        }
        let (start, end) = match (&self.from, &self.to, &self.start) {
            (Some(from), Some(to), None) => self.parse_weekly(from, to)?,
            (None, None, Some(start)) => self.parse_cron(start)?,
            _ => return Err(("", "either from and to are required, or start with end or minutes".to_owned())),
        };
        Ok(Rule { name, start, end, min, max })
    }

    fn parse_weekly(&self, from: &str, to: &str) -> Result<(Cron, End), RuleError> {
        if self.end.is_some() || self.minutes.is_some() {
            return Err(("", "from and to define the end; remove end and minutes".to_owned()));
        }
        let days = self.days.clone().unwrap_or_else(|| WEEK.to_vec());
        if days.is_empty() {
            return Err(("/days", "at least one day is required; remove days for every day".to_owned()));
        }
        let (from, _) =
            parse_time(from, false).ok_or_else(|| ("/from", format!("{from:?} is not a time from 00:00 to 23:59")))?;
        let (to, next_day) =
            parse_time(to, true).ok_or_else(|| ("/to", format!("{to:?} is not a time from 00:00 to 24:00")))?;
        let days_of_week = |later: u32| days.clone().into_iter().map(move |day| day as u32 + later);
        let over_midnight = u32::from(next_day || to <= from);
        let start = Cron::weekly(days_of_week(0), from);
        let end = Cron::weekly(days_of_week(over_midnight), to);
        Ok((start, End::At(end)))
    }

    fn parse_cron(&self, start: &str) -> Result<(Cron, End), RuleError> {
        if self.days.is_some() {
            return Err(("/days", "the cron line includes the days; remove days".to_owned()));
        }
        let cron = Cron::parse(start).map_err(|message| ("/start", message))?;
        match (&self.end, self.minutes) {
            (Some(end), None) => {
                let end = Cron::parse(end).map_err(|message| ("/end", message))?;
                if end == cron {
                    return Err(("/end", "a rule cannot end at the same times as it starts".to_owned()));
                }
                Ok((cron, End::At(end)))
            }
            (None, Some(minutes)) if (1..=MAX_MINUTES).contains(&minutes) => Ok((cron, End::After(minutes))),
            (None, Some(_)) => Err(("/minutes", format!("a rule must last 1 to {MAX_MINUTES} minutes"))),
            _ => Err(("", "start requires one of end and minutes".to_owned())),
        }
    }
}

/// Parses a time such as `08:30`; the end of a day may be `24:00`, which is the beginning of the next.
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
    use doproxy_policy_sdk::testing::problems;

    use super::*;

    fn problems_of(rule: &str) -> String {
        problems::<crate::Schedule>(&format!(r#"{{"rules": [{rule}]}}"#)).join("; ")
    }

    #[test]
    fn defaults_are_utc_boot_time_and_every_day() {
        let config = Config::parse(r#"{"rules": [{"from": "08:00", "to": "18:00", "min": 4}]}"#).unwrap();

        assert_eq!(config.time_zone, TimeZone::UTC);
        assert_eq!(config.lead_time, LeadTime::BootTime);
        assert_eq!(config.rules[0].name, "rule 1");
        assert_eq!(Ok(config.rules[0].start), Cron::parse("0 8 * * *"));
    }

    #[test]
    fn every_problem_is_reported_with_its_path() {
        for (rule, message) in [
            (r#"{"from": "08:00", "to": "18:00"}"#, "/rules/0: min or max is required"),
            (r#"{"from": "08:00", "to": "18:00", "min": 5, "max": 4}"#, "/rules/0/min: min 5 is above max 4"),
            (r#"{"min": 5}"#, "/rules/0: either from and to are required, or start with end or minutes"),
            (
                r#"{"from": "08:00", "min": 5}"#,
                "/rules/0: either from and to are required, or start with end or minutes",
            ),
            (
                r#"{"from": "8:00", "to": "18:00", "min": 5}"#,
                "/rules/0/from: \"8:00\" is not a time from 00:00 to 23:59",
            ),
            (
                r#"{"from": "24:00", "to": "18:00", "min": 5}"#,
                "/rules/0/from: \"24:00\" is not a time from 00:00 to 23:59",
            ),
            (
                r#"{"from": "08:00", "to": "18:60", "min": 5}"#,
                "/rules/0/to: \"18:60\" is not a time from 00:00 to 24:00",
            ),
            (
                r#"{"days": [], "from": "08:00", "to": "18:00", "min": 5}"#,
                "/rules/0/days: at least one day is required; remove days for every day",
            ),
            (r#"{"start": "0 8 * * *", "min": 5}"#, "/rules/0: start requires one of end and minutes"),
            (
                r#"{"start": "0 8 * *", "minutes": 5, "min": 5}"#,
                "/rules/0/start: \"0 8 * *\" has 4 fields instead of five: minute, hour, day of month, month, day of week",
            ),
            (
                r#"{"start": "0 8 * * *", "end": "0 8 * * *", "min": 5}"#,
                "/rules/0/end: a rule cannot end at the same times as it starts",
            ),
            (
                r#"{"start": "0 8 * * *", "minutes": 0, "min": 5}"#,
                "/rules/0/minutes: a rule must last 1 to 527040 minutes",
            ),
            (
                r#"{"days": ["mon"], "start": "0 8 * * *", "minutes": 9, "min": 5}"#,
                "/rules/0/days: the cron line includes the days; remove days",
            ),
        ] {
            assert_eq!(problems_of(rule), message);
        }
        let config = r#"{"time_zone": "Mars/Olympus", "rules": []}"#;
        assert_eq!(problems::<crate::Schedule>(config).len(), 2);
    }
}
