//! The decision: from the rules that hold to a size.

use doproxy_policy_sdk::words::{format_droplets, format_duration};
use doproxy_policy_sdk::{Decision, Observation, Outcome, Signal};
use jiff::{SignedDuration, Timestamp};

use crate::config::{Config, LeadTime};
use crate::rule::{Rule, RuleStatus};
use crate::zone::timestamp;

/// The boot time where none was seen yet.
const DEFAULT_BOOT_TIME_MS: u64 = 120_000;

/// What a rule asks for.
struct RuleBound<'a> {
    rule: &'a Rule,
    count: u32,
    starts_at: Option<Timestamp>,
}

/// Decides; see the head of this crate.
pub fn decide(config: &Config, observation: &Observation) -> Decision {
    let Some(now) = timestamp(observation.now) else {
        return Decision::hold("the time is beyond the calendar: the fleet is held", b"");
    };
    let pre_launch_ms = match config.lead_time {
        LeadTime::Fixed(ms) => ms,
        LeadTime::BootTime => observation.boot_time_ms.unwrap_or(DEFAULT_BOOT_TIME_MS),
    };
    let pre_launch = SignedDuration::from_millis(i64::try_from(pre_launch_ms).unwrap_or(i64::MAX));
    let mut floors = Vec::new();
    let mut ceilings = Vec::new();
    for rule in &config.rules {
        let (floor, ceiling, soon) = match rule.status(&config.time_zone, now, pre_launch) {
            RuleStatus::Active => (rule.min, rule.max, None),
            // Nothing is taken away before its time.
            RuleStatus::Starting(start) => (rule.min, None, Some(start)),
            RuleStatus::Inactive => (None, None, None),
        };
        floors.extend(floor.map(|count| RuleBound { rule, count, starts_at: soon }));
        ceilings.extend(ceiling.map(|count| RuleBound { rule, count, starts_at: None }));
    }

    let otherwise = config.default.unwrap_or(observation.limits.min);
    // Of equals the first.
    let floor = floors.iter().rev().max_by_key(|asks| asks.count).filter(|asks| asks.count >= otherwise);
    let ceiling = ceilings.iter().min_by_key(|asks| asks.count);
    let raised = floor.map_or(otherwise, |asks| asks.count);
    let asked = ceiling.map_or(raised, |asks| asks.count.min(raised));
    let wanted = observation.limits.clamp(asked);

    let mut reason = match floor {
        Some(RuleBound { rule, count, starts_at: None }) => {
            format!("{} holds now: at least {}", rule.name, format_droplets(*count))
        }
        Some(RuleBound { rule, count, starts_at: Some(start) }) => format!(
            "{} begins at {}, within {}: at least {}",
            rule.name,
            format_clock(config, *start, "%H:%M"),
            format_duration(pre_launch_ms),
            format_droplets(*count)
        ),
        None => format!("no floor above {otherwise} holds now"),
    };
    if let Some(RuleBound { rule, count, .. }) = ceiling.filter(|asks| asks.count < raised) {
        reason += &format!("; {} holds too: at most {}", rule.name, format_droplets(*count));
    }
    if wanted != asked {
        reason += &format!("; within the bounds of the fleet that is {wanted}");
    }
    reason +=
        &format!(" ({} {})", format_clock(config, now, "%A %H:%M"), config.time_zone.iana_name().unwrap_or("UTC"));

    let signal = |asks: &RuleBound<'_>, what: &str| Signal {
        name: format!("{what} of {}", asks.rule.name),
        value: f64::from(asks.count),
        target: None,
        wants: Some(asks.count),
    };
    let signals = floors.iter().map(|asks| signal(asks, "floor"));
    let signals = signals.chain(ceilings.iter().map(|asks| signal(asks, "ceiling"))).collect();
    let outcome = if wanted == observation.size() { Outcome::Hold } else { Outcome::ScaleTo(wanted) };
    Decision { outcome, delete_first: Vec::new(), reason, signals, state: Vec::new() }
}

fn format_clock(config: &Config, at: Timestamp, format: &str) -> String {
    config.time_zone.to_datetime(at).strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use doproxy_policy_sdk::testing::{ObservationBuilder, decide};
    use proptest::prelude::*;

    const CONFIG: &str = r#"{"time_zone": "Europe/Berlin", "rules": [
        {"name": "business hours", "days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "18:00", "floor": 4},
        {"name": "the sale", "start": "0 12 27 11 *", "minutes": 120, "floor": 9},
        {"name": "maintenance", "start": "0 13 27 11 *", "minutes": 30, "ceiling": 6}
    ]}"#;

    fn at(time: &str) -> ObservationBuilder {
        let time: Timestamp = time.parse().unwrap();
        ObservationBuilder::at(u64::try_from(time.as_millisecond()).unwrap()).boot_time(90_000)
    }

    fn said(time: &str) -> (u32, String) {
        let decided = decide::<crate::Schedule>(CONFIG, at(time), b"");
        (decided.size(0), decided.reason)
    }

    #[test]
    fn the_highest_floor_counts_and_the_lowest_ceiling_bounds_it() {
        // Berlin is an hour ahead of UTC in November.
        for (time, size, reason) in [
            ("2026-11-27T05:00Z", 1, "no floor above 1 holds now (Friday 06:00 Europe/Berlin)"),
            ("2026-11-27T06:58:29Z", 1, "no floor above 1 holds now (Friday 07:58 Europe/Berlin)"),
            (
                "2026-11-27T06:58:30Z",
                4,
                "business hours begins at 08:00, within 90 s: at least 4 droplets (Friday 07:58 Europe/Berlin)",
            ),
            ("2026-11-27T07:00Z", 4, "business hours holds now: at least 4 droplets (Friday 08:00 Europe/Berlin)"),
            ("2026-11-27T11:00Z", 9, "the sale holds now: at least 9 droplets (Friday 12:00 Europe/Berlin)"),
            (
                "2026-11-27T12:10Z",
                6,
                "the sale holds now: at least 9 droplets; maintenance holds too: at most 6 droplets (Friday 13:10 Europe/Berlin)",
            ),
            ("2026-11-27T17:00Z", 1, "no floor above 1 holds now (Friday 18:00 Europe/Berlin)"),
            ("2026-11-28T11:00Z", 1, "no floor above 1 holds now (Saturday 12:00 Europe/Berlin)"),
        ] {
            assert_eq!(said(time), (size, reason.to_owned()), "{time}");
        }
    }

    #[test]
    fn what_is_asked_for_otherwise_can_be_said() {
        let config = r#"{"otherwise": 3, "pre_launch_s": 0, "rules": [{"from": "08:00", "to": "18:00", "floor": 2}]}"#;

        for time in ["2026-11-27T07:59:59Z", "2026-11-27T08:00Z"] {
            assert_eq!(decide::<crate::Schedule>(config, at(time), b"").outcome, Outcome::ScaleTo(3), "{time}");
        }
    }

    #[test]
    fn a_fleet_that_has_what_is_asked_for_is_held() {
        let decided = decide::<crate::Schedule>(CONFIG, at("2026-11-27T07:00Z").serving(4), b"");

        assert_eq!(decided.outcome, Outcome::Hold);
        assert_eq!(decided.signals[0].wants, Some(4));
    }

    #[test]
    fn the_bounds_of_the_fleet_hold() {
        let decided = decide::<crate::Schedule>(CONFIG, at("2026-11-27T11:00Z").limits(1, 5), b"");

        assert_eq!(decided.outcome, Outcome::ScaleTo(5));
        assert!(decided.reason.contains("within the bounds of the fleet that is 5"), "{}", decided.reason);
    }

    proptest! {
        #[test]
        fn nothing_that_comes_in_is_a_panic(
            now in any::<u64>(), size in 0..50_u32, boot_time in any::<u64>(), min in any::<u32>(), max in any::<u32>(),
        ) {
            // Times of our calendar, and any.
            for now in [now, now % 253_402_300_800_000] {
                let scene = ObservationBuilder::at(now).serving(size).boot_time(boot_time).limits(min, max);
                let limits = scene.clone().build().limits;
                let wanted = decide::<crate::Schedule>(CONFIG, scene, b"").size(size);
                prop_assert!(wanted == size || wanted == limits.clamp(wanted));
            }
        }
    }
}
