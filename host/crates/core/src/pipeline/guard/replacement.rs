//! Replaces droplets that served and no longer pass their health check.

use crate::domain::{DropletRequest, ObservedDroplet, Phase};
use crate::pipeline::guard::plan_builder::{PendingDelete, PlanBuilder};

impl<'a> PlanBuilder<'a> {
    /// Replaces droplets that have been unhealthy for too long, if no droplet is starting and within the hourly limit.
    pub(super) fn replace_unhealthy(&mut self) {
        let Some(grace) = self.rules.repair_grace_period else { return };
        let unhealthy: Vec<(&'a ObservedDroplet, u64)> = self
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
        if unhealthy.is_empty() {
            return;
        }
        if !self.majority_healthy() {
            return;
        }
        let coming_up = self.starting_count();
        let many = unhealthy.len();
        if coming_up > 0 {
            self.restrict("starting", format!("{many} unhealthy not replaced yet: {coming_up} still starting"));
            return;
        }
        let budget = self.rules.max_replace_per_hour;
        let left = budget.saturating_sub(self.facts.replaced) as usize;
        if many > left {
            let kept = many - left;
            self.restrict(
                "max_replace_per_hour",
                format!("{kept} unhealthy not replaced: at most {budget} are replaced per hour"),
            );
        }
        for (droplet, seconds) in unhealthy.into_iter().take(left) {
            let reason = format!("the health check has been failing for {seconds} s");
            self.deletes.push(PendingDelete { droplet, reason, replaced: true });
            self.add_replacement("replaces an unhealthy droplet");
        }
    }

    /// Reports whether at least as many droplets are healthy as not. If most are unhealthy at once, the cause is
    /// elsewhere and replacements would be unhealthy too. A fleet of one gets a second droplet first.
    fn majority_healthy(&mut self) -> bool {
        let serving = self.observation.fleet.iter().filter(|droplet| droplet.phase == Phase::Serving);
        let (healthy, unhealthy): (Vec<_>, Vec<_>) = serving.partition(|droplet| droplet.healthy);
        if healthy.len() >= unhealthy.len() {
            return true;
        }
        let alone = self.observation.size() == 1 && self.size_after() == 1 && self.observation.limits.max > 1;
        if alone {
            self.add(DropletRequest::default(), 1, "the only droplet is unhealthy");
        } else {
            let (unhealthy, all) = (unhealthy.len(), healthy.len() + unhealthy.len());
            self.restrict("unhealthy", format!("none replaced: {unhealthy} of {all} droplets are unhealthy at once"));
        }
        false
    }

    /// Restores the invariants that later rules may have broken, repeating until all hold. Terminates because it only
    /// removes operations.
    pub(super) fn enforce_invariants(&mut self) {
        loop {
            let before = (self.created_count(), self.deletes.len());
            self.pair_replacements();
            let over = self.size_after().saturating_sub(self.observation.limits.max.into());
            let uncreated = self.reduce_creates(over);
            if uncreated > 0 {
                self.restrict("max", format!("{uncreated} fewer created: the droplets that were to make room stay"));
            }
            let limits = self.observation.limits;
            let min = u64::from(limits.min.min(self.observation.size()));
            let floor = min.max(self.floor.min(limits.max.into()));
            self.keep_at_least(floor, "min", "their replacements may not be created");
            // Retained droplets add to the cost.
            self.limit_hourly_cost();
            self.limit_monthly_cost();
            if before == (self.created_count(), self.deletes.len()) {
                return;
            }
        }
    }

    /// Cancels deletes whose replacements may not be created, and replacements whose originals stay.
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
