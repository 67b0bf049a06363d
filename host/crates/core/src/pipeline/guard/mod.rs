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
    let mut draft = PlanBuilder::new(observation, decision, rules, facts);
    draft.hold_scale_in_on_balancer_outage();
    if draft.too_many_unhealthy() {
        return draft.build();
    }
    // Restrict the policy's decision.
    draft.hold_scale_in();
    draft.stabilize();
    draft.prevent_flapping(decision);
    draft.apply_cooldown();
    // Enforce the fleet's requirements regardless of the policy.
    draft.apply_fallback();
    draft.enforce_max();
    draft.keep_min_healthy();
    draft.enforce_min();
    draft.replace_unhealthy();
    // Limit the resulting operations.
    draft.limit_deletes();
    draft.limit_creates();
    draft.limit_by_account_quota();
    draft.limit_creates_per_hour();
    draft.limit_hourly_cost();
    draft.limit_monthly_cost();
    draft.apply_pauses();
    draft.hold_on_api_outage();
    draft.enforce_invariants();
    draft.build()
}
