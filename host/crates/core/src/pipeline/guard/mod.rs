//! The guard: rules that no policy can bypass.
//!
//! A pure function that turns a policy's decision into a plan. It also brings a fleet within its limits when the policy
//! holds, replaces unhealthy droplets, and names every rule that changed something. `plan_builder` holds the plan under
//! construction, `scale_in` restricts deletes, `limits` restricts creates and deletes, `cost` enforces the cost caps,
//! `replacement` replaces unhealthy droplets, and `termination_order` selects the droplets to delete.

pub(crate) mod circuit_breaker;
mod cost;
mod limits;
mod plan_builder;
mod replacement;
mod scale_in;
mod termination_order;
#[cfg(test)]
mod tests;

use crate::domain::{Decision, GuardFacts, GuardRules, Observation, Plan};
use crate::pipeline::guard::plan_builder::PlanBuilder;

/// Applies the rules to `decision`.
pub fn guard(observation: &Observation, decision: &Decision, rules: &GuardRules, facts: &GuardFacts) -> Plan {
    let mut builder = PlanBuilder::new(observation, decision, rules, facts);
    builder.hold_scale_in_on_balancer_outage();
    if builder.too_many_unhealthy() {
        return builder.build();
    }
    // Restrict the policy's decision.
    builder.hold_scale_in();
    builder.stabilize();
    builder.prevent_flapping(decision);
    builder.apply_cooldown();
    // Enforce the fleet's requirements regardless of the policy.
    builder.apply_fallback();
    builder.enforce_max();
    builder.keep_min_healthy();
    builder.enforce_min();
    builder.replace_unhealthy();
    // Limit the resulting operations.
    builder.limit_deletes();
    builder.limit_creates();
    builder.limit_by_account_quota();
    builder.limit_creates_per_hour();
    builder.limit_hourly_cost();
    builder.limit_monthly_cost();
    builder.apply_pauses();
    builder.hold_on_api_outage();
    builder.enforce_invariants();
    builder.build()
}
