//! The decision: computes a size from the active rules.

use doproxy_policy_sdk::words::{format_droplets, format_duration};
use doproxy_policy_sdk::{Decision, Observation, Outcome, Signal};
use jiff::{SignedDuration, Timestamp};

use crate::config::{Config, LeadTime};
use crate::rule::{Rule, RuleStatus};
use crate::zone::timestamp;

/// Boot time before the first measured boot.
const DEFAULT_BOOT_TIME_MS: u64 = 120_000;

/// A minimum or maximum required by a rule.
struct RuleBound<'a> {
    rule: &'a Rule,
    count: u32,
    starts_at: Option<Timestamp>,
}

/// Decides; see the crate documentation.
pub fn decide(config: &Config, observation: &Observation) -> Decision {
    let Some(now) = timestamp(observation.now) else {
        return Decision::hold("the time is outside the calendar: the fleet is held", b"");
    };
    let lead_time_ms = match config.lead_time {
        LeadTime::Fixed(ms) => ms,
        LeadTime::BootTime => observation.boot_time_ms.unwrap_or(DEFAULT_BOOT_TIME_MS),
    };
    let lead_time = SignedDuration::from_millis(i64::try_from(lead_time_ms).unwrap_or(i64::MAX));
    let mut minima = Vec::new();
    let mut maxima = Vec::new();
    for rule in &config.rules {
        let (min, max, soon) = match rule.status(&config.time_zone, now, lead_time) {
            RuleStatus::Active => (rule.min, rule.max, None),
            // A maximum does not apply before its rule starts.
            RuleStatus::Starting(start) => (rule.min, None, Some(start)),
            RuleStatus::Inactive => (None, None, None),
        };
        minima.extend(min.map(|count| RuleBound { rule, count, starts_at: soon }));
        maxima.extend(max.map(|count| RuleBound { rule, count, starts_at: None }));
    }

    let default = config.default.unwrap_or(observation.limits.min);
    // Ties go to the first rule.
    let min = minima.iter().rev().max_by_key(|asks| asks.count).filter(|asks| asks.count >= default);
    let max = maxima.iter().min_by_key(|asks| asks.count);
    let raised = min.map_or(default, |asks| asks.count);
    let asked = max.map_or(raised, |asks| asks.count.min(raised));
    let target = observation.limits.clamp(asked);

    let mut reason = match min {
        Some(RuleBound { rule, count, starts_at: None }) => {
            format!("{} is active: at least {}", rule.name, format_droplets(*count))
        }
        Some(RuleBound { rule, count, starts_at: Some(start) }) => format!(
            "{} starts at {}, within {}: at least {}",
            rule.name,
            format_clock(config, *start, "%H:%M"),
            format_duration(lead_time_ms),
            format_droplets(*count)
        ),
        None => format!("no active rule requires more than {default}"),
    };
    if let Some(RuleBound { rule, count, .. }) = max.filter(|asks| asks.count < raised) {
        reason += &format!("; {} is also active: at most {}", rule.name, format_droplets(*count));
    }
    if target != asked {
        reason += &format!("; limited to {target} by the fleet limits");
    }
    reason +=
        &format!(" ({} {})", format_clock(config, now, "%A %H:%M"), config.time_zone.iana_name().unwrap_or("UTC"));

    let signal = |asks: &RuleBound<'_>, what: &str| Signal {
        name: format!("{what} of {}", asks.rule.name),
        value: f64::from(asks.count),
        target: None,
        wants: Some(asks.count),
    };
    let signals = minima.iter().map(|asks| signal(asks, "min"));
    let signals = signals.chain(maxima.iter().map(|asks| signal(asks, "max"))).collect();
    let outcome = if target == observation.size() { Outcome::Hold } else { Outcome::ScaleTo(target) };
    Decision { outcome, delete_first: Vec::new(), reason, signals, state: Vec::new() }
}

fn format_clock(config: &Config, at: Timestamp, format: &str) -> String {
    config.time_zone.to_datetime(at).strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use doproxy_policy_sdk::testing::{ObservationBuilder, decide};
    use proptest::prelude::*;

    use super::*;

    const CONFIG: &str = r#"{"time_zone": "Europe/Berlin", "rules": [
        {"name": "business hours", "days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "18:00", "min": 4},
        {"name": "the sale", "start": "0 12 27 11 *", "minutes": 120, "min": 9},
        {"name": "maintenance", "start": "0 13 27 11 *", "minutes": 30, "max": 6}
    ]}"#;

    fn at(time: &str) -> ObservationBuilder {
        let time: Timestamp = time.parse().unwrap();
        ObservationBuilder::at(u64::try_from(time.as_millisecond()).unwrap()).boot_time(90_000)
    }

    fn requested(time: &str) -> (u32, String) {
        let decided = decide::<crate::Schedule>(CONFIG, at(time), b"");
        (decided.size(0), decided.reason)
    }

    #[test]
    fn highest_min_applies_up_to_the_lowest_max() {
        // Berlin is one hour ahead of UTC in November.
        for (time, size, reason) in [
            ("2026-11-27T05:00Z", 1, "no active rule requires more than 1 (Friday 06:00 Europe/Berlin)"),
            ("2026-11-27T06:58:29Z", 1, "no active rule requires more than 1 (Friday 07:58 Europe/Berlin)"),
            (
                "2026-11-27T06:58:30Z",
                4,
                "business hours starts at 08:00, within 90 s: at least 4 droplets (Friday 07:58 Europe/Berlin)",
            ),
            ("2026-11-27T07:00Z", 4, "business hours is active: at least 4 droplets (Friday 08:00 Europe/Berlin)"),
            ("2026-11-27T11:00Z", 9, "the sale is active: at least 9 droplets (Friday 12:00 Europe/Berlin)"),
            (
                "2026-11-27T12:10Z",
                6,
                "the sale is active: at least 9 droplets; maintenance is also active: at most 6 droplets (Friday 13:10 Europe/Berlin)",
            ),
            ("2026-11-27T17:00Z", 1, "no active rule requires more than 1 (Friday 18:00 Europe/Berlin)"),
            ("2026-11-28T11:00Z", 1, "no active rule requires more than 1 (Saturday 12:00 Europe/Berlin)"),
        ] {
            assert_eq!(requested(time), (size, reason.to_owned()), "{time}");
        }
    }

    #[test]
    fn default_size_is_configurable() {
        let config = r#"{"default": 3, "lead_time_s": 0, "rules": [{"from": "08:00", "to": "18:00", "min": 2}]}"#;

        for time in ["2026-11-27T07:59:59Z", "2026-11-27T08:00Z"] {
            assert_eq!(decide::<crate::Schedule>(config, at(time), b"").outcome, Outcome::ScaleTo(3), "{time}");
        }
    }

    #[test]
    fn fleet_at_the_requested_size_is_held() {
        let decided = decide::<crate::Schedule>(CONFIG, at("2026-11-27T07:00Z").serving(4), b"");

        assert_eq!(decided.outcome, Outcome::Hold);
        assert_eq!(decided.signals[0].wants, Some(4));
    }

    #[test]
    fn fleet_limits_apply() {
        let decided = decide::<crate::Schedule>(CONFIG, at("2026-11-27T11:00Z").limits(1, 5), b"");

        assert_eq!(decided.outcome, Outcome::ScaleTo(5));
        assert!(decided.reason.contains("limited to 5 by the fleet limits"), "{}", decided.reason);
    }

    proptest! {
        #[test]
        fn arbitrary_input_never_panics(
            now in any::<u64>(), size in 0..50_u32, boot_time in any::<u64>(), min in any::<u32>(), max in any::<u32>(),
        ) {
            // Times within the calendar, and arbitrary ones.
            for now in [now, now % 253_402_300_800_000] {
                let scene = ObservationBuilder::at(now).serving(size).boot_time(boot_time).limits(min, max);
                let limits = scene.clone().build().limits;
                let target = decide::<crate::Schedule>(CONFIG, scene, b"").size(size);
                prop_assert!(target == size || target == limits.clamp(target));
            }
        }
    }
}
