//! The order in which droplets are deleted.

use std::cmp::Reverse;

use crate::domain::{DropletName, Observation, ObservedDroplet, TerminationPolicy};
use crate::pipeline::guard::plan_builder::{PendingDelete, PlanBuilder, pluralize_droplets};

impl<'a> PlanBuilder<'a> {
    /// Selects `count` more droplets to delete: first those of `first`, then in the configured order.
    pub(super) fn select_for_termination(&mut self, count: u64, first: &[&'a ObservedDroplet], reason: &str) {
        let requested = count.saturating_add(self.deletes.len() as u64);
        let mut others: Vec<&ObservedDroplet> = self.deletable().collect();
        others.sort_by_key(|droplet| termination_key(self.rules.termination_policy, droplet, self.observation));
        for droplet in first.iter().copied().chain(others) {
            if self.deletes.len() as u64 >= requested {
                break;
            }
            if !self.is_scheduled_for_deletion(&droplet.name) {
                self.deletes.push(PendingDelete { droplet, reason: reason.to_owned(), replaced: false });
            }
        }
        let short = requested.saturating_sub(self.deletes.len() as u64);
        if short > 0 {
            self.restrict("protected", format!("{} kept: protected or not created yet", pluralize_droplets(short)));
        }
    }
}

/// The sort key for deletion, smallest first: unhealthy droplets, then the configured order, then the name, so that the
/// result is deterministic.
type TerminationKey<'a> = (bool, bool, u32, u64, Reverse<&'a DropletName>);

fn termination_key<'a>(
    order: TerminationPolicy,
    droplet: &'a ObservedDroplet,
    observation: &Observation,
) -> TerminationKey<'a> {
    let sessions = droplet.load.map_or(0, |load| load.sessions);
    let newest_first = u64::MAX - droplet.created_at.0;
    let is_paid_for = droplet.paid_until.is_some_and(|until| until > observation.now);
    let name = Reverse(&droplet.name);
    match order {
        TerminationPolicy::BilledFirst => (droplet.healthy, is_paid_for, sessions, newest_first, name),
        TerminationPolicy::LeastSessions => (droplet.healthy, false, sessions, newest_first, name),
        TerminationPolicy::Newest => (droplet.healthy, false, 0, newest_first, name),
        TerminationPolicy::Oldest => (droplet.healthy, false, 0, droplet.created_at.0, name),
    }
}
