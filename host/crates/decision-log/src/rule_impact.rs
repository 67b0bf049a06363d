//! Determines the impact of each guard rule by running the guard again without it.

use std::time::Duration;

use doproxy_core::domain::{CreateHistory, Evaluation, Pauses, TickRecord};
use doproxy_core::pipeline::evaluate;
use serde::Serialize;

/// The impact of a guard rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleImpact {
    /// The rule's name in the configuration.
    pub rule: String,
    /// The restrictions and their reasons, as the guard described them.
    pub details: Vec<String>,
    /// The size that the plan would have led to without the rule; `None` for a rule that cannot be disabled.
    pub size_without_rule: Option<u32>,
}

/// Returns each rule that restricted something, in the order in which the rules applied.
pub fn rule_impacts(record: &TickRecord) -> Vec<RuleImpact> {
    let mut rules: Vec<RuleImpact> = Vec::new();
    for restriction in &record.plan.restrictions {
        match rules.iter_mut().find(|known| known.rule == restriction.rule) {
            Some(known) => known.details.push(restriction.detail.clone()),
            None => rules.push(RuleImpact {
                rule: restriction.rule.clone(),
                details: vec![restriction.detail.clone()],
                size_without_rule: size_without_rule(record, &restriction.rule),
            }),
        }
    }
    rules
}

/// Returns the size that the plan leads to without a rule.
fn size_without_rule(record: &TickRecord, rule: &str) -> Option<u32> {
    let (mut observation, mut rules, mut facts) =
        (record.observation.clone(), record.rules.clone(), record.facts.clone());
    match rule {
        "max" => observation.limits.max = u32::MAX,
        "min" => observation.limits.min = 0,
        "max_create_per_tick" => observation.limits.max_create = u32::MAX,
        "max_delete_per_tick" => observation.limits.max_delete = u32::MAX,
        "max_hourly_cost" => observation.limits.max_hourly_cost = None,
        "max_monthly_cost" => rules.max_monthly_cost = None,
        "droplet_limit" => facts.remaining_quota = None,
        "cooldown" => (rules.cooldown_in, rules.cooldown_out) = (Duration::ZERO, Duration::ZERO),
        "stabilization_window" => rules.stabilization_window = Duration::ZERO,
        "flap_protection" => rules.flap_protection = false,
        "paused" => facts.pauses = Pauses::default(),
        "api" => facts.api_unreachable = None,
        "balancer" => facts.balancer_unreachable = false,
        "stale" => observation.metrics.iter_mut().for_each(|series| series.stale = false),
        "max_create_per_hour" => (rules.max_create_per_hour, facts.creates) = (u32::MAX, CreateHistory::default()),
        "failed_boots" => facts.creates = CreateHistory::default(),
        "max_replace_per_hour" => rules.max_replace_per_hour = u32::MAX,
        "fallback" => rules.fallback = None,
        // Protected, unhealthy or starting droplets and those of other fleets are facts, not rules.
        _ => return None,
    }
    let decisions = record.evaluations.iter().map(Evaluation::active_decision);
    Some(evaluate(&observation, decisions, &rules, &facts).plan.to)
}
