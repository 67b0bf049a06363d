//! The gate: what a policy must not do, for whoever changes one.

use std::fmt;

use super::compare::Row;
use super::fluid::Step;
use super::runner::RunResult;
use super::scenario::Scenario;

/// What is asked of a policy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Most that may be left unserved, in percent.
    pub max_unserved_pct: Option<f64>,
    /// Most that it may cost, over the limit.
    pub max_cost_over_limit: Option<f64>,
    /// Most changes of the size in an hour.
    pub max_adaptations_per_h: Option<f64>,
    /// Boot times of steady load after which there must be enough droplets.
    pub settled_after_boots: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { max_unserved_pct: None, max_cost_over_limit: None, max_adaptations_per_h: None, settled_after_boots: 3 }
    }
}

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// By which policy.
    pub policy: String,
    /// How.
    pub description: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.policy, self.description)
    }
}

/// How far the demand may move and still be steady, as a share of what it was.
const STEADY_TOLERANCE: f64 = 0.02;

/// What `played` broke of `rules`.
pub fn find_violations(scenario: &Scenario, row: &Row, played: &RunResult, rules: &Rules) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut say = |what: String| violations.push(Violation { policy: row.name.clone(), description: what });
    let score = &row.score;
    let over = |found: f64, most: Option<f64>| most.filter(|most| found > *most);
    if let Some(most) = over(score.unserved_pct, rules.max_unserved_pct) {
        say(format!("{:.4} % of the requests are unserved, and {most} % may be", score.unserved_pct));
    }
    if let Some(most) = over(score.cost_over_limit, rules.max_cost_over_limit) {
        say(format!("it costs {:.3} times the limit, and {most} may be", score.cost_over_limit));
    }
    if let Some(most) = over(score.adaptations_per_h, rules.max_adaptations_per_h) {
        say(format!("the size changes {:.2} times an hour, and {most} may be", score.adaptations_per_h));
    }
    if let Some(failures) = &played.failures {
        say(format!("it failed in {} ticks, first at {}: {}", failures.count, failures.first_at, failures.first_error));
    }
    let steps = &played.run.steps;
    let outside = steps.iter().position(|step| {
        let size = step.ready + step.booting;
        size < scenario.setup.min || size > scenario.setup.max
    });
    if let Some(tick) = outside {
        say(format!("the fleet is outside of its bounds in tick {tick}"));
    }
    let settled = scenario.setup.boot_ticks.saturating_add(1).saturating_mul(rules.settled_after_boots.max(1));
    if let Some(tick) = find_shortage(steps, settled) {
        say(format!(
            "too few droplets in tick {tick}, after {settled} ticks of steady load ({} boot times)",
            rules.settled_after_boots
        ));
    }
    if let Some(tick) = find_flapping(steps, settled) {
        say(format!("it flaps: in tick {tick} the size is changed again, the other way, under steady load"));
    }
    violations
}

/// For how many ticks before each tick the demand has been steady.
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

/// The first tick with too few droplets although the load has been steady for so long.
fn find_shortage(steps: &[Step], settled: u32) -> Option<usize> {
    steps.iter().zip(steady_ticks(steps)).position(|(step, since)| since >= settled && step.ready < step.required)
}

/// The first tick in which the size turns back, the load having been steady since before it first moved.
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
mod tests {
    use super::*;

    fn steps(sizes: &[u32]) -> Vec<Step> {
        sizes.iter().map(|size| Step { demand: 30.0, required: 3, ready: *size, ..Step::default() }).collect()
    }

    #[test]
    fn a_size_that_turns_back_under_steady_load_flaps() {
        assert_eq!(find_flapping(&steps(&[3, 3, 3, 3, 3, 4, 4, 3, 3]), 2), Some(7));
        assert_eq!(find_flapping(&steps(&[3, 4, 4, 4, 4, 3, 3]), 6), None);
        assert_eq!(find_flapping(&steps(&[3, 3, 3, 3, 4, 4, 5, 5]), 2), None);
    }

    #[test]
    fn too_few_after_a_while_of_steady_load_is_broken() {
        assert_eq!(find_shortage(&steps(&[2, 2, 2, 3, 3]), 3), None);
        assert_eq!(find_shortage(&steps(&[2, 2, 2, 2, 3]), 3), Some(3));
    }

    #[test]
    fn a_load_that_moves_is_not_steady() {
        let mut moving = steps(&[2, 2, 2, 2, 2, 2]);
        for (step, demand) in moving.iter_mut().zip([30.0, 40.0, 30.0, 40.0, 30.0, 40.0]) {
            step.demand = demand;
        }

        assert_eq!(find_shortage(&moving, 2), None);
    }
}
