//! Tuning: searches for the cheapest numeric settings of a policy that meet an objective on one part of the trace, for
//! verification on the rest.
//!
//! The search covers a grid over all settings, then finer grids around the best point. It uses no random numbers: the
//! same trace and ranges give the same result on any number of threads.

use std::str::FromStr;
use std::sync::atomic::Ordering;

use doproxy_plugin_host::Policy;
use rayon::prelude::*;
use serde_json::{Map, Value};

use crate::number::{round_to_u64, to_f64};
use crate::runner::{Progress, simulate_with_config};
use crate::scenario::Scenario;
use crate::score::Score;

/// A tuned setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Key in the configuration.
    pub name: String,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
    /// True if the setting is an integer.
    pub is_integer: bool,
}

/// The objective of a tuning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Objective {
    /// Maximum share of unserved requests, in percent.
    Unserved(f64),
    /// Maximum 99th percentile latency in milliseconds, with practically no unserved requests.
    P99(f64),
}

/// An invalid tuning argument.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidTuning(String);

/// A candidate configuration and its result.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Configuration.
    pub config: Value,
    /// Score on the training part of the trace.
    pub score: Score,
    /// True if the objective is met.
    pub meets_objective: bool,
    values: Vec<f64>,
    /// Amount by which the objective is missed.
    excess: f64,
}

/// A candidate, and its position within each setting's range, from 0 to 1.
type PlacedCandidate = (Candidate, Vec<f64>);

/// Maximum number of settings to tune together.
pub const MAX_PARAMETERS: usize = 4;

/// Approximate number of points in the first grid, and the number of finer grids that follow.
const COARSE_GRID_POINTS: f64 = 80.0;
const REFINEMENTS: u32 = 4;

/// Share of the trace, from its start, used for training.
const TRAINING_SHARE: f64 = 2.0 / 3.0;

impl FromStr for Objective {
    type Err = InvalidTuning;

    fn from_str(text: &str) -> Result<Self, InvalidTuning> {
        let wrong = || InvalidTuning(format!("{text:?} is not an objective; use unserved<=0.1% or p99<=250ms"));
        let (name, most) = text.split_once("<=").ok_or_else(wrong)?;
        let (name, most) = (name.trim(), most.trim());
        let number = |unit: &str| {
            let number = most.strip_suffix(unit).unwrap_or(most).trim().parse::<f64>().ok();
            number.filter(|number| number.is_finite() && *number >= 0.0).ok_or_else(wrong)
        };
        match name {
            "unserved" => Ok(Self::Unserved(number("%")?)),
            "p99" => Ok(Self::P99(number("ms")?)),
            _ => Err(wrong()),
        }
    }
}

impl Objective {
    /// Returns the amount by which a run misses the objective; 0 if it is met.
    fn excess(self, score: &Score, p99_ms: Option<f64>) -> f64 {
        match self {
            Self::Unserved(most) => (score.unserved_pct + score.backlog_pct - most).max(0.0),
            Self::P99(most) => {
                let lost = (score.unserved_pct - 0.01).max(0.0);
                lost * 1e6 + (p99_ms.unwrap_or(f64::INFINITY) - most).max(0.0)
            }
        }
    }
}

impl Parameter {
    /// Parses `NAME=LOW..HIGH`, or `NAME` alone if the policy's schema defines both bounds.
    pub fn parse(text: &str, schema: &Value) -> Result<Self, InvalidTuning> {
        let (name, range) = match text.split_once('=') {
            Some((name, range)) => (name, Some(range)),
            None => (text, None),
        };
        let of_schema = property(schema, name);
        let is_whole = match of_schema["type"].as_str() {
            Some("integer") => true,
            Some("number") => false,
            _ => {
                let numeric = numeric_properties(schema).join(", ");
                return Err(InvalidTuning(format!(
                    "{name} is not a numeric setting of this policy; expected one of: {numeric}"
                )));
            }
        };
        let bound = |keys: [&str; 2]| keys.iter().find_map(|key| of_schema[*key].as_f64());
        let bounds = match range {
            Some(range) => range.split_once("..").and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?))),
            None => bound(["minimum", "exclusiveMinimum"]).zip(bound(["maximum", "exclusiveMaximum"])),
        };
        let (low, high): (f64, f64) =
            bounds.ok_or_else(|| InvalidTuning(format!("{text}: no valid range; use {name}=LOW..HIGH")))?;
        if !(low.is_finite() && high.is_finite() && low < high) {
            return Err(InvalidTuning(format!("{text}: LOW must be less than HIGH")));
        }
        Ok(Self { name: name.to_owned(), low, high, is_integer: is_whole })
    }

    /// Maps a position from 0 to 1 to a value. Wide ranges use a logarithmic scale.
    fn value_at(&self, place: f64) -> f64 {
        let value = if self.low > 0.0 && self.high / self.low >= 8.0 {
            self.low * (self.high / self.low).powf(place)
        } else {
            self.low + (self.high - self.low) * place
        };
        // Three digits are as precise as a trace allows, and readable.
        let digits = 10_f64.powf(2.0 - value.abs().max(1e-9).log10().floor());
        let value = if self.is_integer { value.round() } else { (value * digits).round() / digits };
        value.clamp(self.low, self.high)
    }

    fn set(&self, value: f64, config: &mut Map<String, Value>) {
        let value = if self.is_integer { Value::from(round_to_u64(value)) } else { Value::from(value) };
        config.insert(self.name.clone(), value);
    }
}

/// Returns the schema of a property, following at most one reference within the schema.
fn property<'a>(schema: &'a Value, name: &str) -> &'a Value {
    let own = &schema["properties"][name];
    let elsewhere = own["$ref"].as_str().and_then(|place| schema.pointer(place.strip_prefix('#')?));
    elsewhere.unwrap_or(own)
}

/// Returns the names of the numeric settings.
fn numeric_properties(schema: &Value) -> Vec<&str> {
    let names = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    names.filter(|name| matches!(property(schema, name)["type"].as_str(), Some("integer" | "number"))).collect()
}

/// Splits a scenario into a training part and a test part.
pub fn train_test_split(scenario: &Scenario) -> (Scenario, Scenario) {
    let at = usize::try_from(round_to_u64(crate::number::len_to_f64(&scenario.demand) * TRAINING_SHARE)).unwrap_or(0);
    let part = |demand: &[f64], ticks_before: u32| Scenario {
        demand: demand.to_vec(),
        start: scenario.start.plus(scenario.tick.saturating_mul(ticks_before)),
        ..scenario.clone()
    };
    let (first, rest) = scenario.demand.split_at(at);
    (part(first, 0), part(rest, crate::number::to_tick(at)))
}

/// Estimates the number of ticks that a tuning takes, for progress display.
pub fn estimate_ticks(scenario: &Scenario, fields: usize) -> u64 {
    let points = points_per_parameter(fields).pow(u32::try_from(fields).unwrap_or(1));
    let finer = 3_u64.pow(u32::try_from(fields).unwrap_or(1)) * u64::from(REFINEMENTS);
    u64::from(scenario.tick_count()) * (points + finer)
}

/// Returns the number of points per setting in the first grid.
fn points_per_parameter(fields: usize) -> u64 {
    round_to_u64(COARSE_GRID_POINTS.powf(1.0 / to_f64(fields.max(1) as u64)).floor()).max(3)
}

/// Tunes `fields` of `policy` on `scenario`, in parallel on all available threads; `base` provides the other settings.
/// Returns `None` if no candidate completed, because the tuning was stopped early or no candidate was valid.
pub fn tune(
    scenario: &Scenario,
    policy: &Policy,
    base: &Map<String, Value>,
    fields: &[Parameter],
    objective: Objective,
    progress: &Progress,
) -> std::io::Result<Option<Candidate>> {
    let limit = scenario.limit();
    let attempt = |values: Vec<f64>| -> std::io::Result<Option<Candidate>> {
        if progress.stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut config = base.clone();
        for (field, value) in fields.iter().zip(&values) {
            field.set(*value, &mut config);
        }
        let config = Value::Object(config);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let text = config.to_string();
        if runtime.block_on(policy.validate(&text)).is_err() {
            return Ok(None);
        }
        let result = runtime.block_on(simulate_with_config(scenario, policy, &text, progress));
        if progress.stop.load(Ordering::Relaxed) {
            // The run was stopped before its end.
            return Ok(None);
        }
        let score = Score::of(&result.run, &scenario.setup, &scenario.price_model, &limit);
        let failed = if result.failures.is_some() { f64::INFINITY } else { 0.0 };
        let excess = objective.excess(&score, result.latency.map(|latency| latency.p99_ms)) + failed;
        Ok(Some(Candidate { config, score, meets_objective: excess <= 0.0, values, excess }))
    };
    let mut best: Option<PlacedCandidate> = None;
    let per_field = points_per_parameter(fields.len());
    let mut step = 1.0 / to_f64(per_field - 1);
    let first: Vec<f64> = (0..per_field).map(|index| to_f64(index) * step).collect();
    let mut places = cartesian_product(&vec![first; fields.len()]);
    for _ in 0..=REFINEMENTS {
        let tried: Vec<std::io::Result<Option<PlacedCandidate>>> = places
            .into_par_iter()
            .map(|places| {
                let values = fields.iter().zip(&places).map(|(field, place)| field.value_at(*place)).collect();
                Ok(attempt(values)?.map(|tried| (tried, places)))
            })
            .collect();
        for one in tried {
            if let Some(one) = one? {
                best = Some(match best {
                    Some(best) if !is_better(&one.0, &best.0) => best,
                    _ => one,
                });
            }
        }
        let Some((_, around)) = &best else { break };
        step /= 2.5;
        let near = |place: &f64| vec![(place - step).max(0.0), *place, (place + step).min(1.0)];
        places = cartesian_product(&around.iter().map(near).collect::<Vec<_>>());
    }
    Ok(best.map(|(tried, _)| tried))
}

/// Orders candidates by objective, then by cost, then by frequency of size changes. Ties go to the earlier candidate.
fn is_better(one: &Candidate, other: &Candidate) -> bool {
    let key = |tried: &Candidate| (tried.excess, tried.score.cost, tried.score.adaptations_per_h);
    let (one_key, other_key) = (key(one), key(other));
    let order = one_key.0.total_cmp(&other_key.0).then(one_key.1.total_cmp(&other_key.1));
    order.then(one_key.2.total_cmp(&other_key.2)).is_lt() && one.values != other.values
}

/// Returns the Cartesian product of `choices`.
fn cartesian_product(choices: &[Vec<f64>]) -> Vec<Vec<f64>> {
    choices.iter().fold(vec![Vec::new()], |sum, choices| {
        let with = |chosen: &Vec<f64>, choice: &f64| chosen.iter().copied().chain([*choice]).collect::<Vec<f64>>();
        sum.iter().flat_map(|chosen| choices.iter().map(|choice| with(chosen, choice)).collect::<Vec<_>>()).collect()
    })
}

#[cfg(test)]
mod tests;
