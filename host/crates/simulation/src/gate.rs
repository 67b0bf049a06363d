//! The gate: pass/fail checks on a simulated policy, for developers who change one.

use std::fmt;

use crate::compare::Row;
use crate::model::fluid::Step;
use crate::runner::RunResult;
use crate::scenario::Scenario;

/// Requirements on a policy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Maximum share of unserved requests, in percent.
    pub max_unserved_pct: Option<f64>,
    /// Maximum cost, as a multiple of the limit.
    pub max_cost_over_limit: Option<f64>,
    /// Maximum number of size changes per hour.
    pub max_adaptations_per_h: Option<f64>,
    /// Number of boot times of steady load after which the droplets must suffice.
    pub settled_after_boots: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { max_unserved_pct: None, max_cost_over_limit: None, max_adaptations_per_h: None, settled_after_boots: 3 }
    }
}

/// A violated rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Name of the policy.
    pub policy: String,
    /// Description of the violation.
    pub description: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.policy, self.description)
    }
}

/// Maximum relative change of the demand that still counts as steady.
const STEADY_TOLERANCE: f64 = 0.02;

/// Returns the violations of `rules` in `result`.
pub fn find_violations(scenario: &Scenario, row: &Row, result: &RunResult, rules: &Rules) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut say = |what: String| violations.push(Violation { policy: row.name.clone(), description: what });
    let score = &row.score;
    let over = |found: f64, most: Option<f64>| most.filter(|most| found > *most);
    if let Some(most) = over(score.unserved_pct, rules.max_unserved_pct) {
        say(format!("{:.4} % of the requests are unserved; at most {most} % is allowed", score.unserved_pct));
    }
    if let Some(most) = over(score.cost_over_limit, rules.max_cost_over_limit) {
        say(format!("cost is {:.3} times the limit; at most {most} is allowed", score.cost_over_limit));
    }
    if let Some(most) = over(score.adaptations_per_h, rules.max_adaptations_per_h) {
        say(format!("the size changes {:.2} times per hour; at most {most} is allowed", score.adaptations_per_h));
    }
    if let Some(failures) = &result.failures {
        say(format!("failed in {} ticks, first at {}: {}", failures.count, failures.first_at, failures.first_error));
    }
    let steps = &result.run.steps;
    let outside = steps.iter().position(|step| {
        let size = step.ready + step.booting;
        size < scenario.setup.min || size > scenario.setup.max
    });
    if let Some(tick) = outside {
        say(format!("fleet size is out of bounds in tick {tick}"));
    }
    let settled = scenario.setup.boot_ticks.saturating_add(1).saturating_mul(rules.settled_after_boots.max(1));
    if let Some(tick) = find_shortage(steps, settled) {
        say(format!(
            "too few droplets in tick {tick}, after {settled} ticks of steady load ({} boot times)",
            rules.settled_after_boots
        ));
    }
    if let Some(tick) = find_flapping(steps, settled) {
        say(format!("flapping: the size reverses direction in tick {tick} under steady load"));
    }
    violations
}

/// Returns, for each tick, the number of preceding ticks with steady demand.
fn steady_ticks(steps: &[Step]) -> impl Iterator<Item = u32> + '_ {
    let mut since = 0_u32;
    let mut reference: Option<f64> = None;
    steps.iter().map(move |step| {
        let is_steady = reference.is_some_and(|was| (step.demand - was).abs() <= STEADY_TOLERANCE * was);
        if is_steady {
            since += 1;
        } else {
            reference = Some(step.demand);
            since = 0;
        }
        since
    })
}

/// Returns the first tick with too few droplets after `settled` ticks of steady load.
fn find_shortage(steps: &[Step], settled: u32) -> Option<usize> {
    steps.iter().zip(steady_ticks(steps)).position(|(step, since)| since >= settled && step.ready < step.required)
}

/// Returns the first tick in which the size reverses direction although the load has been steady since before the first
/// of the two changes.
fn find_flapping(steps: &[Step], settled: u32) -> Option<usize> {
    let mut last_move: Option<(usize, bool)> = None;
    let since: Vec<u32> = steady_ticks(steps).collect();
    for (tick, pair) in steps.windows(2).enumerate() {
        let (before, after) = (pair[0].ready + pair[0].booting, pair[1].ready + pair[1].booting);
        if before == after {
            continue;
        }
        let grows = after > before;
        if let Some((moved, grew)) = last_move
            && grew != grows
            && since[tick + 1] as usize > (tick - moved) + settled as usize
        {
            return Some(tick + 1);
        }
        last_move = Some((tick, grows));
    }
    None
}

#[cfg(test)]
mod tests;
