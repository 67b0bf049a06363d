//! The guard: what no policy can get past.
//!
//! A function of plain data, from what a policy wants to what will be done. It repairs a fleet that is out of bounds
//! also when the policy wants nothing, replaces what is sick, and names every rule that changed something. `draft` is
//! the plan while it is made, `scale_in` holds deletes, `limits` holds both, `cost` holds money, `replace` replaces,
//! `victims` chooses who goes.

mod cost;
mod limits;
mod plan_builder;
mod replacement;
mod scale_in;
mod termination_order;

use plan_builder::PlanBuilder;

use crate::model::{Decision, GuardFacts, GuardRules, Observation, Plan};

/// What is left of `decision`.
pub fn guard(observation: &Observation, decision: &Decision, rules: &GuardRules, facts: &GuardFacts) -> Plan {
    let mut draft = PlanBuilder::new(observation, decision, rules, facts);
    draft.hold_scale_in_on_balancer_outage();
    if draft.too_many_unhealthy() {
        return draft.build();
    }
    // What the policy wants.
    draft.hold_scale_in();
    draft.stabilize();
    draft.prevent_flapping(decision);
    draft.apply_cooldown();
    // What the fleet needs, whatever the policy wants.
    draft.apply_fallback();
    draft.enforce_max();
    draft.keep_min_healthy();
    draft.enforce_min();
    draft.replace_unhealthy();
    // What may be done of it.
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
