//! The pure part of a tick: from the policies' decisions to a plan.

use std::collections::BTreeSet;

use crate::domain::{Decision, GuardFacts, GuardRules, HourlyPrice, Limits, Observation, Outcome, Plan};
use crate::pipeline::guard::guard;
use crate::pipeline::select::select;
use crate::seams::cloud_provider::Size;

/// The scaling limits and guard rules set by the operator.
#[derive(Debug, Clone, PartialEq)]
pub struct ScalingRules {
    /// The limits that policies see.
    pub limits: Limits,
    /// Rules that only the guard enforces.
    pub rules: GuardRules,
}

/// The outcome of selecting a decision and applying the guard to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// Index of the selected decision; `None` if no policy is active.
    pub selected: Option<usize>,
    /// Fleet size that the selected decision leads to, before the guard.
    pub recommended_size: u32,
    /// The plan that the guard permits.
    pub plan: Plan,
}

/// Selects one of `decisions` and applies the guard to it; without an active policy, the guard applies to a hold.
///
/// `decisions` has one entry for each evaluation, `None` for a policy that is not active. A pure function: ticks, replays,
/// what-if comparisons and simulations all share it.
pub fn evaluate<'a>(
    observation: &Observation,
    decisions: impl IntoIterator<Item = Option<&'a Decision>>,
    rules: &GuardRules,
    facts: &GuardFacts,
) -> Evaluated {
    let winner = select(observation, decisions);
    let hold;
    let decision = if let Some((_, decision)) = winner {
        decision
    } else {
        hold = Decision::hold("no policy is active; only the fleet's limits apply", &[]);
        &hold
    };
    Evaluated {
        selected: winner.map(|(index, _)| index),
        recommended_size: decision.outcome.size(observation.size()),
        plan: guard(observation, decision, rules, facts),
    }
}

/// Returns the hourly price of each size that an evaluation names. Listing all sizes would enlarge every record.
pub fn requested_prices<'a>(
    decisions: impl IntoIterator<Item = &'a Decision>,
    sizes: &[Size],
) -> Vec<(String, HourlyPrice)> {
    let requests = decisions.into_iter().flat_map(|decision| match &decision.outcome {
        Outcome::Hold => &[],
        Outcome::ScaleTo(to) => to.template.as_slice(),
        Outcome::Change(change) => change.create.as_slice(),
    });
    let asked: BTreeSet<&str> = requests.filter_map(|request| request.size.as_deref()).collect();
    let listed = |slug: &str| sizes.iter().find(|size| size.slug == slug);
    asked.into_iter().filter_map(listed).map(|size| (size.slug.clone(), size.hourly_price)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Change, DropletRequest, ScaleTo};

    fn request_with_size(size: &str) -> DropletRequest {
        DropletRequest { count: 1, size: Some(size.to_owned()), ..DropletRequest::default() }
    }

    #[test]
    fn guard_facts_list_prices_of_requested_sizes() {
        let size = |slug: &str, price| Size {
            slug: slug.to_owned(),
            available: true,
            regions: vec![],
            hourly_price: HourlyPrice::from_micro_dollars(price),
        };
        let sizes = [size("small", 1), size("medium", 2), size("large", 3)];
        let decisions = [
            Outcome::Hold,
            Outcome::ScaleTo(ScaleTo { count: 3, template: Some(request_with_size("medium")), delete_first: vec![] }),
            Outcome::Change(Change {
                create: vec![request_with_size("small"), request_with_size("medium"), request_with_size("none")],
                delete: vec![],
            }),
        ]
        .map(|outcome| Decision { outcome, ..Decision::hold("test", &[]) });

        let prices = requested_prices(&decisions, &sizes);

        let price = HourlyPrice::from_micro_dollars;
        assert_eq!(prices, [("medium".to_owned(), price(2)), ("small".to_owned(), price(1))]);
    }
}
