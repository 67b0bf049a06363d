//! The guard: what no policy can get past.
//!
//! A function of plain data, from what a policy wants to what will be done. It repairs a fleet that is out of bounds
//! also when the policy wants nothing, replaces what is sick, and names every rule that changed something. `draft` is
//! the plan while it is made, `scale_in` holds deletes, `limits` holds both, `cost` holds money, `replace` replaces,
//! `victims` chooses who goes.

mod cost;
mod draft;
mod limits;
mod replace;
mod scale_in;
mod victims;

use draft::Draft;

use crate::model::{Decision, GuardFacts, GuardRules, Observation, Plan};

/// What is left of `decision`.
pub fn guard(observation: &Observation, decision: &Decision, rules: &GuardRules, facts: &GuardFacts) -> Plan {
    let mut draft = Draft::of(observation, decision, rules, facts);
    draft.hold_scale_in_while_the_balancer_is_silent();
    if draft.many_are_unhealthy() {
        return draft.finish();
    }
    // What the policy wants.
    draft.hold_scale_in();
    draft.stabilise();
    draft.keep_from_flapping(decision);
    draft.cool_down();
    // What the fleet needs, whatever the policy wants.
    draft.keep_at_fallback();
    draft.keep_below_max();
    draft.keep_enough_healthy();
    draft.keep_at_min();
    draft.replace_the_sick();
    // What may be done of it.
    draft.limit_deletes();
    draft.limit_creates();
    draft.limit_account();
    draft.limit_creates_per_hour();
    draft.limit_hourly_cost();
    draft.limit_monthly_cost();
    draft.hold_what_is_paused();
    draft.hold_while_the_api_is_away();
    draft.settle();
    draft.finish()
}
