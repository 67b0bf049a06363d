//! The plan under construction: creates, deletes and restrictions.

use crate::domain::{
    Change, Decision, DropletName, DropletRequest, GuardFacts, GuardRules, Observation, ObservedDroplet, Outcome,
    Phase, Plan, PlannedCreate, PlannedDelete, Restriction, ScaleTo, Timestamp,
};

/// A droplet that is scheduled for deletion.
#[derive(Debug)]
pub(super) struct PendingDelete<'a> {
    pub(super) droplet: &'a ObservedDroplet,
    pub(super) reason: String,
    /// True if a replacement is created for it.
    pub(super) replaced: bool,
}

/// Builds a plan.
#[derive(Debug)]
pub(super) struct PlanBuilder<'a> {
    pub(super) observation: &'a Observation,
    pub(super) rules: &'a GuardRules,
    pub(super) facts: &'a GuardFacts,
    reason: &'a str,
    pub(super) creates: Vec<PlannedCreate>,
    pub(super) deletes: Vec<PendingDelete<'a>>,
    /// The size below which the policy may not shrink the fleet: the largest of its decision, recent recommendations
    /// and current load.
    pub(super) floor: u64,
    restrictions: Vec<Restriction>,
}

impl<'a> PlanBuilder<'a> {
    /// Converts the decision to creates and to deletes of droplets that may be deleted.
    pub(super) fn new(
        observation: &'a Observation,
        decision: &'a Decision,
        rules: &'a GuardRules,
        facts: &'a GuardFacts,
    ) -> Self {
        let mut builder = Self {
            observation,
            rules,
            facts,
            reason: &decision.reason,
            creates: Vec::new(),
            deletes: Vec::new(),
            floor: u64::from(decision.outcome.size(observation.size()).min(observation.size())),
            restrictions: Vec::new(),
        };
        match &decision.outcome {
            Outcome::Hold => {}
            Outcome::ScaleTo(to) => builder.scale_to(to),
            Outcome::Change(change) => builder.apply_change(change),
        }
        builder
    }

    fn scale_to(&mut self, to: &ScaleTo) {
        let size = self.observation.size();
        if to.count > size {
            self.add(to.template.clone().unwrap_or_default(), to.count - size, self.reason);
        } else {
            let first: Vec<&ObservedDroplet> = to
                .delete_first
                .iter()
                .filter_map(|id| self.deletable().find(|droplet| droplet.id == Some(*id)))
                .collect();
            self.select_for_termination((size - to.count).into(), &first, self.reason);
        }
    }

    fn apply_change(&mut self, change: &Change) {
        for request in change.create.iter().filter(|request| request.count > 0) {
            self.add(request.clone(), request.count, self.reason);
        }
        let mut unknown = Vec::new();
        for id in &change.delete {
            let Some(droplet) = self.observation.fleet.iter().find(|droplet| droplet.id == Some(*id)) else {
                unknown.push(*id);
                continue;
            };
            if droplet.protected {
                self.restrict("protected", format!("{} is protected", droplet.name));
            } else if droplet.phase.counts_toward_size() && !self.is_scheduled_for_deletion(&droplet.name) {
                self.deletes.push(PendingDelete { droplet, reason: self.reason.to_owned(), replaced: false });
            }
        }
        // A decision may name many droplets, and each would add a line to the record.
        match unknown.as_slice() {
            [] => {}
            [id] => self.restrict("fleet", format!("droplet {id} is not in this fleet")),
            [id, others @ ..] => {
                self.restrict("fleet", format!("droplet {id} and {} more are not in this fleet", others.len()));
            }
        }
    }

    /// The time of the tick.
    pub(super) fn now(&self) -> Timestamp {
        self.observation.now
    }

    pub(super) fn restrict(&mut self, rule: &str, detail: String) {
        self.restrictions.push(Restriction { rule: rule.to_owned(), detail });
    }

    pub(super) fn add(&mut self, request: DropletRequest, count: u32, reason: &str) {
        let request = DropletRequest { count, ..request };
        self.creates.push(PlannedCreate { request, reason: reason.to_owned(), is_replacement: false });
    }

    /// Adds a create that replaces another droplet.
    pub(super) fn add_replacement(&mut self, reason: &str) {
        let request = DropletRequest { count: 1, ..DropletRequest::default() };
        self.creates.push(PlannedCreate { request, reason: reason.to_owned(), is_replacement: true });
    }

    /// Counts in 64 bits, because a policy may request more than fit in 32 bits.
    pub(super) fn created_count(&self) -> u64 {
        self.creates.iter().fold(0, |sum, create| sum.saturating_add(create.request.count.into()))
    }

    /// Returns the size of the fleet after the plan.
    pub(super) fn size_after(&self) -> u64 {
        u64::from(self.observation.size())
            .saturating_sub(self.deletes.len() as u64)
            .saturating_add(self.created_count())
    }

    /// Removes up to `count` droplets from the planned creates, from the end, and returns the number removed.
    pub(super) fn reduce_creates(&mut self, count: u64) -> u64 {
        let mut left = count;
        while left > 0
            && let Some(last) = self.creates.last_mut()
        {
            let taken = u32::try_from(left).unwrap_or(u32::MAX).min(last.request.count);
            last.request.count -= taken;
            left -= u64::from(taken);
            if last.request.count == 0 {
                self.creates.pop();
            }
        }
        count - left
    }

    /// Limits creates to `most`, and records the difference under `rule`.
    pub(super) fn limit_creates_to(&mut self, most: u64, rule: &str, why: &str) {
        let fewer = self.reduce_creates(self.created_count().saturating_sub(most));
        if fewer > 0 {
            self.restrict(rule, format!("{fewer} fewer created: {why}"));
        }
    }

    /// Cancels deletes, the last chosen first, until `floor` droplets remain; records this under `rule`.
    pub(super) fn keep_at_least(&mut self, floor: u64, rule: &str, why: &str) {
        let mut kept = 0;
        while self.size_after() < floor && self.deletes.pop().is_some() {
            kept += 1;
        }
        if kept > 0 {
            self.restrict(rule, format!("{} kept: {why}", pluralize_droplets(kept)));
        }
    }

    /// Like [`keep_at_least`](Self::keep_at_least), but also applies when creates are limited later.
    pub(super) fn raise_floor(&mut self, floor: u32, rule: &str, why: &str) {
        let floor = u64::from(floor.min(self.observation.size()));
        self.floor = self.floor.max(floor);
        self.keep_at_least(floor, rule, why);
    }

    /// Cancels all deletes, and records this under `rule`.
    pub(super) fn cancel_deletes(&mut self, rule: &str, why: &str) {
        if !self.deletes.is_empty() {
            self.restrict(rule, format!("{} kept: {why}", pluralize_droplets(self.deletes.len() as u64)));
            self.deletes.clear();
        }
    }

    /// Returns the droplets that a policy or the guard may delete.
    pub(super) fn deletable(&self) -> impl Iterator<Item = &'a ObservedDroplet> + use<'a> {
        self.observation
            .fleet
            .iter()
            .filter(|droplet| droplet.phase.counts_toward_size() && !droplet.protected && droplet.id.is_some())
    }

    pub(super) fn is_scheduled_for_deletion(&self, name: &DropletName) -> bool {
        self.deletes.iter().any(|leaving| leaving.droplet.name == *name)
    }

    /// Returns the number of droplets that are starting.
    pub(super) fn starting_count(&self) -> usize {
        self.observation.fleet.iter().filter(|droplet| droplet.phase.is_starting()).count()
    }

    pub(super) fn build(self) -> Plan {
        Plan {
            from: self.observation.size(),
            to: u32::try_from(self.size_after()).unwrap_or(u32::MAX),
            deletes: self
                .deletes
                .into_iter()
                .map(|PendingDelete { droplet, reason, replaced }| PlannedDelete {
                    droplet: droplet.name.clone(),
                    reason,
                    replaced,
                })
                .collect(),
            creates: self.creates,
            restrictions: self.restrictions,
        }
    }
}

/// Reports whether a droplet serves and passes its health check.
pub(super) fn is_healthy(droplet: &ObservedDroplet) -> bool {
    droplet.phase == Phase::Serving && droplet.healthy
}

/// Formats a count: `1 droplet`, `2 droplets`.
pub(super) fn pluralize_droplets(count: u64) -> String {
    format!("{count} droplet{}", if count == 1 { "" } else { "s" })
}
