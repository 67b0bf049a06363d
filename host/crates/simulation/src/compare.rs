//! Compares policies in one scenario, alongside the optimum, which no policy can beat, and the static peak, which a
//! policy should never exceed.

use std::collections::BTreeMap;
use std::sync::Arc;

use doproxy_plugin_host::ConfiguredPolicy;
use rayon::prelude::*;
use serde::Serialize;

use crate::bound::Limit;
use crate::model::fluid::{CostMeter, Run, Step};
use crate::model::requests::Latency;
use crate::number::to_f64;
use crate::runner::{Progress, RunResult, simulate};
use crate::scenario::Scenario;
use crate::score::Score;

/// A row of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Policy name.
    pub name: String,
    /// Reference of the component; `None` for baseline rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// SHA-256 of the component, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Policy configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<serde_json::Value>,
    /// Measures of the run.
    #[serde(flatten)]
    pub score: Score,
    /// Request latencies, if individual requests were simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Ticks in which the policy failed and the fleet was held.
    pub failed_ticks: u64,
    /// Number of times each guard rule restricted a plan.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub restrictions: BTreeMap<String, u64>,
}

/// The result of a comparison.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The theoretical limits of the demand.
    pub limit: Arc<Limit>,
    /// A row and a run for each policy, in input order.
    pub policies: Vec<(Row, RunResult)>,
    /// The baseline rows: the clairvoyant optimum, and a fleet permanently sized for the peak.
    pub baselines: Vec<Row>,
}

/// Runs each policy through `scenario`, in parallel on all available threads.
///
/// A run depends only on the scenario and its policy, so the result is the same on any number of threads.
pub fn compare(scenario: &Scenario, policies: &[ConfiguredPolicy], progress: &Progress) -> std::io::Result<Comparison> {
    let limit = Arc::new(scenario.limit());
    let result: Vec<std::io::Result<(Row, RunResult)>> = policies
        .par_iter()
        .map(|policy| {
            // Components are called through tokio. Each run has its own small runtime, and nothing else waits on it.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
            let result = runtime.block_on(simulate(scenario, policy, progress));
            Ok((policy_row(scenario, &limit, policy, &result), result))
        })
        .collect();
    let policies = result.into_iter().collect::<std::io::Result<Vec<_>>>()?;
    let bounds = vec![optimum(scenario, &limit), static_peak(scenario, &limit)];
    Ok(Comparison { limit, policies, baselines: bounds })
}

/// Scores one policy's run.
pub fn policy_row(scenario: &Scenario, limit: &Limit, policy: &ConfiguredPolicy, result: &RunResult) -> Row {
    Row {
        name: policy.name.clone(),
        reference: Some(policy.policy.reference().to_string()),
        digest: Some(policy.policy.digest().to_owned()),
        config: serde_json::from_str(&policy.config).ok(),
        score: Score::of(&result.run, &scenario.setup, &scenario.price_model, limit),
        latency: result.latency,
        failed_ticks: result.failures.as_ref().map_or(0, |failures| failures.count),
        restrictions: result.restrictions.clone(),
    }
}

fn optimum(scenario: &Scenario, limit: &Limit) -> Row {
    let sizes = &limit.optimum().ready;
    let adaptations = sizes.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let cost_meter = CostMeter {
        ticks: limit.optimum().ticks,
        adaptations: u32::try_from(adaptations).unwrap_or(u32::MAX),
        ..CostMeter::default()
    };
    baseline_row("optimum", scenario, limit, sizes.iter().copied(), cost_meter)
}

fn static_peak(scenario: &Scenario, limit: &Limit) -> Row {
    let peak = scenario.demand.iter().map(|demand| scenario.setup.required(*demand)).max().unwrap_or(0);
    let cost_meter = CostMeter { ticks: u64::from(peak) * u64::from(scenario.tick_count()), ..CostMeter::default() };
    baseline_row("static peak", scenario, limit, std::iter::repeat_n(peak, scenario.demand.len()), cost_meter)
}

fn baseline_row(
    name: &str,
    scenario: &Scenario,
    limit: &Limit,
    sizes: impl Iterator<Item = u32>,
    cost_meter: CostMeter,
) -> Row {
    let setup = &scenario.setup;
    let steps = scenario.demand.iter().zip(sizes).map(|(demand, ready)| Step {
        demand: *demand,
        required: setup.required(*demand),
        ready,
        unserved: (demand - f64::from(ready) * setup.capacity).max(0.0) * setup.tick_s,
        ..Step::default()
    });
    let run = Run { steps: steps.collect(), cost_meter };
    Row {
        name: name.to_owned(),
        reference: None,
        digest: None,
        config: None,
        score: Score::of(&run, setup, &scenario.price_model, limit),
        latency: None,
        failed_ticks: 0,
        restrictions: BTreeMap::new(),
    }
}

/// Returns the total number of ticks over all runs of a comparison.
pub fn total_ticks(scenario: &Scenario, policies: usize) -> u64 {
    u64::from(scenario.tick_count()) * policies as u64
}

/// Returns the monthly cost in dollars (672 hours, as DigitalOcean counts) at the rate of the run.
pub fn monthly_cost(score: &Score, scenario: &Scenario) -> f64 {
    let hours = to_f64(scenario.tick_count().into()) * scenario.setup.tick_s / 3600.0;
    if hours > 0.0 { score.cost / hours * 672.0 } else { 0.0 }
}
