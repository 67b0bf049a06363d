//! Who goes first.

use std::cmp::Reverse;

use super::draft::{Draft, Leaving, droplets};
use crate::model::{DropletName, Observation, ObservedDroplet, VictimOrder};

impl<'a> Draft<'a> {
    /// Chooses `count` more to delete: `first`, then in the configured order.
    pub(super) fn remove_some(&mut self, count: u64, first: &[&'a ObservedDroplet], reason: &str) {
        let wanted = count.saturating_add(self.deletes.len() as u64);
        let mut others: Vec<&ObservedDroplet> = self.deletable().collect();
        others.sort_by_key(|droplet| rank(self.rules.victims, droplet, self.observation));
        for droplet in first.iter().copied().chain(others) {
            if self.deletes.len() as u64 >= wanted {
                break;
            }
            if !self.is_leaving(&droplet.name) {
                self.deletes.push(Leaving { droplet, reason: reason.to_owned(), replaced: false });
            }
        }
        let short = wanted.saturating_sub(self.deletes.len() as u64);
        if short > 0 {
            self.cut("protected", format!("{} kept: protected, or not yet created", droplets(short)));
        }
    }
}

/// Who has the smallest goes first: the unhealthy, then by the order, then by name, so that the answer is always the same.
type Rank<'a> = (bool, bool, u32, u64, Reverse<&'a DropletName>);

fn rank<'a>(order: VictimOrder, droplet: &'a ObservedDroplet, observation: &Observation) -> Rank<'a> {
    let sessions = droplet.load.map_or(0, |load| load.sessions);
    let newest_first = u64::MAX - droplet.created_at.0;
    let is_paid_for = droplet.paid_until.is_some_and(|until| until > observation.now);
    let name = Reverse(&droplet.name);
    match order {
        VictimOrder::PaidFirst => (droplet.healthy, is_paid_for, sessions, newest_first, name),
        VictimOrder::LeastSessions => (droplet.healthy, false, sessions, newest_first, name),
        VictimOrder::Newest => (droplet.healthy, false, 0, newest_first, name),
        VictimOrder::Oldest => (droplet.healthy, false, 0, droplet.created_at.0, name),
    }
}
