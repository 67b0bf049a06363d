//! The decision: from the needs of the metrics to a size and the reason for it.
//!
//! Of several metrics the largest need counts, and while one of them says nothing the fleet does not shrink. Then the
//! largest recommendation of the window bounds scale-in, and the step limits bound both directions.

use std::collections::BTreeMap;

use policy_kit::window::Window;
use policy_kit::{Decision, Observation, Outcome, Signal, Strength, state};
use serde::{Deserialize, Serialize};

use crate::config::{Config, Target};
use crate::measure::{Measured, Silent, measure};
use crate::preset::{Keeps, Length, Rule};
use crate::reason::{self, Sizes};
use crate::{alarms, panic, ratio};

/// The form of the state; another one is forgotten.
const VERSION: u32 = 2;

/// How long a recommendation counts where that is the boot time, and none was seen yet: as in Kubernetes.
const BOOT_TIME_MS: u64 = 300_000;

/// All that is remembered; what the rules remember by the names of the metrics.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Memory {
    window: Window,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    alarms: BTreeMap<String, Option<alarms::Memory>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    panics: BTreeMap<String, Option<panic::Memory>>,
}

/// A metric and what it needs.
pub(crate) struct Need<'a> {
    pub(crate) measured: Measured<'a>,
    pub(crate) wants: u32,
}

/// Decides; see the head of this module.
pub fn decide(config: &Config, observation: &Observation, state: &[u8]) -> Decision {
    let strength = observation.strength(config.warm_up_ms);
    let size = strength.size;
    let mut memory: Memory = state::read(VERSION, state).unwrap_or_default();
    let (needs, silent) = needs(config, observation, strength, &mut memory);
    let Some(largest) = needs.iter().max_by_key(|need| need.wants) else {
        let silent: Vec<String> = silent.iter().map(ToString::to_string).collect();
        return Decision::hold(format!("{}: the fleet is held", silent.join(", ")), state);
    };

    let may_shrink = silent.is_empty() && (config.scale_in_while_coming_up || strength.coming_up == 0);
    let needed = if may_shrink { largest.wants } else { largest.wants.max(size) };
    if config.found_counts {
        memory.window.begin(observation.now, largest.measured.interval_ms, size);
    }
    let window_ms = match config.window {
        Length::Fixed(ms) => ms,
        Length::BootTime => observation.boot_time_ms.unwrap_or(BOOT_TIME_MS),
    };
    let peak = memory.window.peak(observation.now, window_ms, needed);
    let stable = match config.keeps {
        Keeps::Peak => peak,
        Keeps::Size if needed >= size => needed,
        Keeps::Size => peak.min(size),
    };
    let wanted = observation.limits.clamp(within_step(config, size, stable));
    let sizes = Sizes { size, largest: largest.wants, needed, stable, wanted, window_ms };
    Decision {
        outcome: if wanted == size { Outcome::Hold } else { Outcome::ScaleTo(wanted) },
        delete_first: Vec::new(),
        reason: reason::of(&sizes, largest, needs.len(), &silent),
        signals: needs.iter().map(|need| signal(need, size)).collect(),
        state: state::write(VERSION, &memory),
    }
}

/// What each metric needs, within the bounds of the fleet, and those that say nothing.
fn needs<'a>(
    config: &'a Config,
    observation: &Observation,
    strength: Strength,
    memory: &mut Memory,
) -> (Vec<Need<'a>>, Vec<Silent<'a>>) {
    let mut needs = Vec::new();
    let mut silent = Vec::new();
    // What is remembered of metrics that are no longer followed goes.
    let mut alarms = std::mem::take(&mut memory.alarms);
    let mut panics = std::mem::take(&mut memory.panics);
    for metric in &config.metrics {
        let mut alarm = alarms.remove(&metric.name).flatten();
        let mut panic = panics.remove(&metric.name).flatten();
        match measure(metric, observation, strength, config.warm_up_ms) {
            Err(why) => silent.push(why),
            Ok(measured) => {
                let now = observation.now;
                let wants = match config.rule {
                    Rule::Ratio => ratio::needed(config.tolerance, strength, &measured),
                    Rule::Alarms(rule) => alarms::needed(rule, config.tolerance, strength, &measured, now, &mut alarm),
                    Rule::Panic(rule) => panic::needed(rule, strength, &measured, now, &mut panic),
                };
                needs.push(Need { measured, wants: observation.limits.clamp(wants) });
            }
        }
        if matches!(config.rule, Rule::Alarms(_)) {
            memory.alarms.insert(metric.name.clone(), alarm);
        }
        if matches!(config.rule, Rule::Panic(_)) {
            memory.panics.insert(metric.name.clone(), panic);
        }
    }
    (needs, silent)
}

fn within_step(config: &Config, size: u32, wanted: u32) -> u32 {
    let most = config.scale_out.droplets(size).map_or(u32::MAX, |step| size.saturating_add(step));
    let least = config.scale_in.droplets(size).map_or(0, |step| size.saturating_sub(step));
    wanted.clamp(least, most)
}

fn signal(need: &Need<'_>, size: u32) -> Signal {
    let Need { measured, wants } = need;
    let name = &measured.metric.name;
    let (name, value) = match measured.metric.target {
        Target::PerDroplet(_) => (format!("{name} per droplet"), measured.value / f64::from(size.max(1))),
        Target::Average(_) => (name.clone(), measured.value),
    };
    Signal { name, value, target: Some(measured.metric.target.number()), wants: Some(*wants) }
}

#[cfg(test)]
mod tests;
