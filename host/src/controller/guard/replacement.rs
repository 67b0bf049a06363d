//! Droplets that served and do not pass their health check any more: another comes, and they go.

use super::plan_builder::{PendingDelete, PlanBuilder};
use crate::model::{DropletRequest, ObservedDroplet, Phase};

impl<'a> PlanBuilder<'a> {
    /// Replaces who has been unhealthy for too long: while nobody is coming up, and within the budget of the hour.
    pub(super) fn replace_unhealthy(&mut self) {
        let Some(grace) = self.rules.repair_grace_period else { return };
        let sick: Vec<(&'a ObservedDroplet, u64)> = self
            .deletable()
            .filter(|droplet| {
                droplet.phase == Phase::Serving && !droplet.healthy && !self.is_scheduled_for_deletion(&droplet.name)
            })
            .filter_map(|droplet| {
                let (_, since) = self.facts.unhealthy_since.iter().find(|(name, _)| *name == droplet.name)?;
                let sick_for = self.now().since(*since);
                (sick_for >= grace).then_some((droplet, sick_for.as_secs()))
            })
            .collect();
        if sick.is_empty() {
            return;
        }
        if !self.majority_healthy() {
            return;
        }
        let coming_up = self.starting_count();
        let many = sick.len();
        if coming_up > 0 {
            self.restrict("coming_up", format!("{many} unhealthy not replaced yet: {coming_up} still coming up"));
            return;
        }
        let budget = self.rules.max_replace_per_hour;
        let left = budget.saturating_sub(self.facts.replaced) as usize;
        if many > left {
            let kept = many - left;
            self.restrict(
                "max_replace_per_hour",
                format!("{kept} unhealthy not replaced: at most {budget} are in an hour"),
            );
        }
        for (droplet, seconds) in sick.into_iter().take(left) {
            let reason = format!("it has not passed its health check for {seconds} s");
            self.deletes.push(PendingDelete { droplet, reason, replaced: true });
            self.add_replacement("in the place of one that is unhealthy");
        }
    }

    /// Whether at least as many are healthy as not: where most are sick at once, that is no fault of theirs, and whoever
    /// came in their place would be as sick. A fleet of one gets a second droplet first.
    fn majority_healthy(&mut self) -> bool {
        let serving = self.observation.fleet.iter().filter(|droplet| droplet.phase == Phase::Serving);
        let (healthy, sick): (Vec<_>, Vec<_>) = serving.partition(|droplet| droplet.healthy);
        if healthy.len() >= sick.len() {
            return true;
        }
        let alone = self.observation.size() == 1 && self.size_after() == 1 && self.observation.limits.max > 1;
        if alone {
            self.add(DropletRequest::default(), 1, "the only droplet is unhealthy");
        } else {
            let (sick, all) = (sick.len(), healthy.len() + sick.len());
            self.restrict("unhealthy", format!("nobody replaced: {sick} of {all} are unhealthy at once"));
        }
        false
    }

    /// What was cut last may undo what was held first: goes over it until all of it holds. It only ever takes away, so it
    /// ends.
    pub(super) fn enforce_invariants(&mut self) {
        loop {
            let before = (self.created_count(), self.deletes.len());
            self.pair_replacements();
            let over = self.size_after().saturating_sub(self.observation.limits.max.into());
            let uncreated = self.reduce_creates(over);
            if uncreated > 0 {
                self.restrict("max", format!("{uncreated} fewer created: who was to make room for them stays"));
            }
            let limits = self.observation.limits;
            let min = u64::from(limits.min.min(self.observation.size()));
            let floor = min.max(self.floor.min(limits.max.into()));
            self.keep_at_least(floor, "min", "what was to come in their place may not");
            // Who stays costs.
            self.limit_hourly_cost();
            self.limit_monthly_cost();
            if before == (self.created_count(), self.deletes.len()) {
                return;
            }
        }
    }

    /// What may not be created cannot take anybody's place, and nobody succeeds who stays.
    fn pair_replacements(&mut self) {
        let successors: u32 =
            self.creates.iter().filter(|create| create.is_replacement).map(|create| create.request.count).sum();
        let mut replaced = self.deletes.iter().filter(|leaving| leaving.replaced).count();
        while replaced > successors as usize
            && let Some(position) = self.deletes.iter().rposition(|leaving| leaving.replaced)
        {
            self.deletes.remove(position);
            replaced -= 1;
        }
        let mut surplus = u64::from(successors).saturating_sub(replaced as u64);
        for create in self.creates.iter_mut().filter(|create| create.is_replacement).rev() {
            let taken = u32::try_from(surplus).unwrap_or(u32::MAX).min(create.request.count);
            create.request.count -= taken;
            surplus -= u64::from(taken);
        }
        self.creates.retain(|create| create.request.count > 0);
    }
}
