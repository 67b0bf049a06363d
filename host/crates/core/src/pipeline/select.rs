//! Selects one decision among those of several policies.

use std::cmp::Reverse;

use crate::domain::{Decision, Observation, Outcome};

/// Selects the winning decision: the one that leads to the largest fleet. Ties go to the first policy that does not hold.
///
/// `decisions` has one entry for each evaluation, `None` for a policy that is not active. Returns the index of the winner;
/// `None` if no policy is active.
pub fn select<'a>(
    observation: &Observation,
    decisions: impl IntoIterator<Item = Option<&'a Decision>>,
) -> Option<(usize, &'a Decision)> {
    let current = observation.size();
    decisions.into_iter().enumerate().filter_map(|(index, decision)| Some((index, decision?))).max_by_key(
        |(index, Decision { outcome, .. })| (outcome.size(current), *outcome != Outcome::Hold, Reverse(*index)),
    )
}
