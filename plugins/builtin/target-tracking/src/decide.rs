//! The decision: computes a size and its reason from the metrics' recommendations.
//!
//! The largest recommendation of several metrics applies, and while one of them is unavailable the fleet does not
//! shrink. Then the largest recommendation of the window limits scale-in, and the step limits apply in both directions.

use std::collections::BTreeMap;

use doproxy_policy_sdk::window::Window;
use doproxy_policy_sdk::{Decision, FleetCapacity, Observation, Outcome, Signal, state};
use serde::{Deserialize, Serialize};

use crate::config::{Config, Target};
use crate::measure::{MeasureError, Measurement, measure};
use crate::preset::{PeakEffect, Rule, WindowLength};
use crate::reason::{self, Sizes};
use crate::{alarms, panic, ratio};

/// Version of the state format; a state in another format is discarded.
const VERSION: u32 = 2;

/// Length of a boot-time window before the first measured boot, as in Kubernetes.
const DEFAULT_BOOT_TIME_MS: u64 = 300_000;

/// The policy state; the state of the rules is keyed by metric name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct PolicyState {
    window: Window,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    alarms: BTreeMap<String, Option<alarms::AlarmState>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    panics: BTreeMap<String, Option<panic::PanicState>>,
}

/// A metric and the size it needs.
pub(crate) struct MetricRecommendation<'a> {
    pub(crate) measurement: Measurement<'a>,
    pub(crate) size: u32,
}

/// Decides; see the module documentation.
pub fn decide(config: &Config, observation: &Observation, state: &[u8]) -> Decision {
    let capacity = observation.capacity(config.warm_up_ms);
    let size = capacity.size;
    let mut memory: PolicyState = state::read(VERSION, state).unwrap_or_default();
    let (needs, silent) = recommendations(config, observation, capacity, &mut memory);
    let Some(largest) = needs.iter().max_by_key(|need| need.size) else {
        let silent: Vec<String> = silent.iter().map(ToString::to_string).collect();
        return Decision::hold(format!("{}: the fleet is held", silent.join(", ")), state);
    };

    let may_shrink = silent.is_empty() && (config.scale_in_during_startup || capacity.starting == 0);
    let needed = if may_shrink { largest.size } else { largest.size.max(size) };
    if config.counts_initial_size {
        memory.window.seed(observation.now, largest.measurement.interval_ms, size);
    }
    let window_ms = match config.window {
        WindowLength::Fixed(ms) => ms,
        WindowLength::BootTime => observation.boot_time_ms.unwrap_or(DEFAULT_BOOT_TIME_MS),
    };
    let peak = memory.window.peak(observation.now, window_ms, needed);
    let stable = match config.peak_effect {
        PeakEffect::SetsSize => peak,
        PeakEffect::BlocksScaleIn if needed >= size => needed,
        PeakEffect::BlocksScaleIn => peak.min(size),
    };
    let wanted = observation.limits.clamp(clamp_to_step_limits(config, size, stable));
    let sizes = Sizes { size, recommended: largest.size, needed, stabilized: stable, target: wanted, window_ms };
    Decision {
        outcome: if wanted == size { Outcome::Hold } else { Outcome::ScaleTo(wanted) },
        delete_first: Vec::new(),
        reason: reason::format_reason(&sizes, largest, needs.len(), &silent),
        signals: needs.iter().map(|need| signal(need, size)).collect(),
        state: state::write(VERSION, &memory),
    }
}

/// Returns each metric's recommendation, within the fleet limits, and the unavailable metrics.
fn recommendations<'a>(
    config: &'a Config,
    observation: &Observation,
    capacity: FleetCapacity,
    memory: &mut PolicyState,
) -> (Vec<MetricRecommendation<'a>>, Vec<MeasureError<'a>>) {
    let mut needs = Vec::new();
    let mut silent = Vec::new();
    // Discard the state of metrics that are no longer configured.
    let mut alarms = std::mem::take(&mut memory.alarms);
    let mut panics = std::mem::take(&mut memory.panics);
    for metric in &config.metrics {
        let mut alarm = alarms.remove(&metric.name).flatten();
        let mut panic = panics.remove(&metric.name).flatten();
        match measure(metric, observation, capacity, config.warm_up_ms) {
            Err(why) => silent.push(why),
            Ok(measured) => {
                let now = observation.now;
                let wants = match config.rule {
                    Rule::Ratio => ratio::recommend(config.tolerance, capacity, &measured),
                    Rule::Alarms(rule) => {
                        alarms::recommend(rule, config.tolerance, capacity, &measured, now, &mut alarm)
                    }
                    Rule::Panic(rule) => panic::recommend(rule, capacity, &measured, now, &mut panic),
                };
                needs.push(MetricRecommendation { measurement: measured, size: observation.limits.clamp(wants) });
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

fn clamp_to_step_limits(config: &Config, size: u32, wanted: u32) -> u32 {
    let most = config.scale_out.droplets(size).map_or(u32::MAX, |step| size.saturating_add(step));
    let least = config.scale_in.droplets(size).map_or(0, |step| size.saturating_sub(step));
    wanted.clamp(least, most)
}

fn signal(need: &MetricRecommendation<'_>, size: u32) -> Signal {
    let MetricRecommendation { measurement: measured, size: wants } = need;
    let name = &measured.metric.name;
    let (name, value) = match measured.metric.target {
        Target::PerDroplet(_) => (format!("{name} per droplet"), measured.value / f64::from(size.max(1))),
        Target::Average(_) => (name.clone(), measured.value),
    };
    Signal { name, value, target: Some(measured.metric.target.value()), wants: Some(*wants) }
}

#[cfg(test)]
mod tests;
