//! The decision: from one reading of the metric to a size and the reason for it.
//!
//! The formula is that of Kubernetes (`pkg/controller/podautoscaler`, `replica_calculator.go` and `horizontal.go`):
//! a total follows `AverageValue` of an external metric, an average follows `calcPlainMetricReplicas`, which counts
//! droplets that are still coming up as idle before it grows a fleet. Then the largest recommendation of the
//! stabilisation window bounds scale-in, and the step limits bound both directions.

use crate::config::{Config, Target};
use crate::history::History;

/// What is decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fleet {
    /// Milliseconds since the Unix epoch.
    pub now: u64,
    /// Droplets that serve or are on their way to.
    pub size: u32,
    /// Droplets that serve and are healthy.
    pub ready: u32,
    /// Fewest droplets.
    pub min: u32,
    /// Most droplets.
    pub max: u32,
}

/// The newest value of the metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// There is no such series, or it has no sample.
    Missing,
    /// Its source failed or is late.
    Stale,
    /// A finite number.
    Value(f64),
}

impl Reading {
    /// One reading of the newest samples of all series of the name: totals add up, averages are averaged.
    pub fn of(newest: Vec<f64>, target: &Target) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "series are few")]
        let count = newest.len() as f64;
        let sum: f64 = newest.into_iter().sum();
        let value = match target {
            Target::PerDroplet(_) => sum,
            Target::Average(_) => sum / count,
        };
        // No series at all has the average 0/0.
        if count > 0.0 && value.is_finite() { Self::Value(value) } else { Self::Missing }
    }
}

/// A number behind a decision; as in the contract.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// What it is.
    pub name: String,
    /// What it was.
    pub value: f64,
    /// What it should be.
    pub target: Option<f64>,
    /// The size that it alone leads to.
    pub wants: Option<u32>,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// The size wanted; `None` to hold.
    pub wants: Option<u32>,
    /// Why.
    pub reason: String,
    /// The numbers.
    pub signals: Vec<Signal>,
    /// To be handed back.
    pub state: Vec<u8>,
}

/// Decides; see the head of this module.
pub fn decide(config: &Config, fleet: &Fleet, reading: &Reading, state: &[u8]) -> Decided {
    let hold = |reason: String| Decided { wants: None, reason, signals: Vec::new(), state: state.to_vec() };
    let metric = &config.metric;
    let value = match *reading {
        Reading::Value(value) => value,
        Reading::Missing => return hold(format!("{metric} is not there, so the fleet is held")),
        Reading::Stale => return hold(format!("{metric} is stale, so the fleet is held")),
    };
    if matches!(config.target, Target::Average(_)) && fleet.ready == 0 {
        return hold(format!("no droplet serves yet, so {metric} is an average of nothing and the fleet is held"));
    }

    let needed = needed(config, fleet, value).clamp(fleet.min, fleet.max.max(fleet.min));
    let mut history = History::read(state);
    if history.is_empty() {
        // As the HPA does: the size that was found counts as recommended, so that a restart does not shrink a fleet.
        history.remember(fleet.now, fleet.size);
    }
    history.forget(fleet.now, config.scale_in_stabilisation_ms);
    let largest = history.largest().unwrap_or(needed).max(needed);
    history.remember(fleet.now, needed);

    let stable = if needed >= fleet.size { needed } else { largest.min(fleet.size) };
    let wanted = within_step(config, fleet.size, stable);
    let (name, value_shown, target) = shown(config, fleet, value);
    Decided {
        wants: (wanted != fleet.size).then_some(wanted),
        reason: reason(config, fleet, value, &Sizes { needed, stable, wanted }),
        signals: vec![Signal { name, value: value_shown, target: Some(target), wants: Some(needed) }],
        state: history.write(),
    }
}

/// The size that the metric alone leads to; the size there is where that is near enough.
fn needed(config: &Config, fleet: &Fleet, value: f64) -> u32 {
    let on_target = |ratio: f64| (ratio - 1.0).abs() <= config.tolerance + NOISE;
    let (size, ready) = (f64::from(fleet.size), f64::from(fleet.ready));
    match config.target {
        Target::PerDroplet(target) => {
            // Droplets that are coming up count as idle here already: the total is shared by all.
            if fleet.size > 0 && on_target(value / (target * size)) { fleet.size } else { up(value / target) }
        }
        Target::Average(target) => {
            let ratio = value / target;
            if on_target(ratio) {
                return fleet.size;
            }
            if ratio < 1.0 || fleet.ready == fleet.size {
                return up(ratio * ready);
            }
            let damped = ratio * ready / size;
            if on_target(damped) || damped < 1.0 { fleet.size } else { up(damped * size) }
        }
    }
}

/// What a division may be off by: without it, 1.1/0.1 would need 12 droplets, and 33 over 3 be more than 10 % above 10.
const NOISE: f64 = 1e-9;

/// The next whole number.
fn up(count: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    let whole = (count - NOISE).ceil() as u32;
    whole
}

fn within_step(config: &Config, size: u32, wanted: u32) -> u32 {
    let most = config.scale_out.droplets(size).map_or(u32::MAX, |step| size.saturating_add(step));
    let least = config.scale_in.droplets(size).map_or(0, |step| size.saturating_sub(step));
    wanted.clamp(least, most)
}

/// The sizes on the way to a decision.
struct Sizes {
    /// What the metric asks for, within the fleet's bounds.
    needed: u32,
    /// What is left of it after the stabilisation window.
    stable: u32,
    /// What is left of that after the step limits.
    wanted: u32,
}

/// The name, value and target that a person compares.
fn shown(config: &Config, fleet: &Fleet, value: f64) -> (String, f64, f64) {
    match config.target {
        Target::PerDroplet(target) => {
            (format!("{} per droplet", config.metric), value / f64::from(fleet.size.max(1)), target)
        }
        Target::Average(target) => (config.metric.clone(), value, target),
    }
}

fn reason(config: &Config, fleet: &Fleet, value: f64, sizes: &Sizes) -> String {
    let (_, each, target) = shown(config, fleet, value);
    let metric = &config.metric;
    let droplets = plural(fleet.size);
    let found = match config.target {
        Target::PerDroplet(_) => {
            format!(
                "{metric} is {} over {droplets}, {} each for a target of {}",
                short(value),
                short(each),
                short(target)
            )
        }
        Target::Average(_) => {
            format!("{metric} is {} on average over {droplets} for a target of {}", short(value), short(target))
        }
    };
    let Sizes { needed, stable, wanted } = *sizes;
    if needed == fleet.size {
        return format!("{found}: {} right", if fleet.size == 1 { "that is" } else { "the size is" });
    }
    let window = config.scale_in_stabilisation_ms / 1000;
    if wanted == fleet.size && stable == fleet.size {
        return format!("{found}: {needed} would do, and {stable} were needed within the last {window} s");
    }
    if wanted == fleet.size {
        return format!("{found}: {needed} are needed, and the step limits allow no change");
    }
    let are = if needed == 1 { "is" } else { "are" };
    let held = if stable == needed { String::new() } else { format!(", {stable} within the last {window} s") };
    let step = if wanted == stable { String::new() } else { format!(", {wanted} is as far as one step goes") };
    format!("{found}: {needed} {are} needed{held}{step}")
}

fn plural(count: u32) -> String {
    if count == 1 { "1 droplet".to_owned() } else { format!("{count} droplets") }
}

/// A number with at most two decimals, as a person would write it.
fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
