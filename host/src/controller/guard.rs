//! The guard: what no policy can get past.
//!
//! A function of plain data, from what a policy wants to what will be done. It repairs a fleet that is out of bounds
//! also when the policy wants nothing, and names every rule that changed something. Pauses, cool-downs and
//! stabilisation are not here yet: one tick by hand has no past to hold back.

use std::cmp::Reverse;

use crate::model::{
    Change, Cut, Decision, DropletName, DropletRequest, HourlyPrice, Observation, ObservedDroplet, Outcome, Phase,
    Plan, PlannedCreate, PlannedDelete, ScaleTo,
};

/// What is left of `decision`.
pub fn guard(observation: &Observation, decision: &Decision) -> Plan {
    let mut draft = Draft::of(observation, decision);
    draft.hold_when_many_are_unhealthy();
    draft.hold_scale_in();
    draft.keep_below_max();
    draft.keep_enough_healthy();
    draft.keep_at_min();
    draft.limit_deletes();
    draft.limit_creates();
    draft.limit_cost();
    draft.finish()
}

/// So many unhealthy at once are no accident of theirs: the network is broken, or HAProxy, and creating and deleting
/// would make it worse. The figures are those of the Kubernetes Cluster Autoscaler (`max-total-unready-percentage`,
/// `ok-total-unready-count`).
const UNHEALTHY_PERCENT: usize = 45;
const UNHEALTHY_COUNT: usize = 3;

struct Draft<'a> {
    observation: &'a Observation,
    reason: &'a str,
    creates: Vec<PlannedCreate>,
    deletes: Vec<(&'a ObservedDroplet, String)>,
    cuts: Vec<Cut>,
}

impl<'a> Draft<'a> {
    /// What the policy wants, as creates and deletes of droplets that may be deleted.
    fn of(observation: &'a Observation, decision: &'a Decision) -> Self {
        let mut draft =
            Self { observation, reason: &decision.reason, creates: Vec::new(), deletes: Vec::new(), cuts: Vec::new() };
        match &decision.outcome {
            Outcome::Hold => {}
            Outcome::ScaleTo(to) => draft.scale_to(to),
            Outcome::Change(change) => draft.change(change),
        }
        draft
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
            self.remove_some((size - to.count).into(), &first, self.reason);
        }
    }

    fn change(&mut self, change: &Change) {
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
                self.cut("protected", format!("{} is protected", droplet.name));
            } else if droplet.phase.counts() && !self.is_leaving(&droplet.name) {
                self.deletes.push((droplet, self.reason.to_owned()));
            }
        }
        // A policy may name as many as fit into a decision, and each is a line in the record.
        match unknown.as_slice() {
            [] => {}
            [id] => self.cut("fleet", format!("droplet {id} is not in this fleet")),
            [id, others @ ..] => {
                self.cut("fleet", format!("droplet {id} and {} more are not in this fleet", others.len()));
            }
        }
    }

    /// When most are unhealthy at once, nothing is done.
    fn hold_when_many_are_unhealthy(&mut self) {
        let serving = self.observation.fleet.iter().filter(|droplet| droplet.phase == Phase::Serving);
        let (mut all, mut unhealthy) = (0, 0);
        for droplet in serving {
            all += 1;
            unhealthy += usize::from(!droplet.healthy);
        }
        if unhealthy <= UNHEALTHY_COUNT || unhealthy * 100 <= all * UNHEALTHY_PERCENT {
            return;
        }
        let asked = self.deletes.len() as u64 + self.created();
        self.deletes.clear();
        self.creates.clear();
        if asked > 0 {
            self.cut("unhealthy", format!("nothing changed: {unhealthy} of {all} are unhealthy at once"));
        }
    }

    /// No droplet goes while others are coming up or while what the decision rests on is old.
    fn hold_scale_in(&mut self) {
        if self.deletes.is_empty() {
            return;
        }
        let coming_up = self.observation.fleet.iter().filter(|droplet| droplet.phase.is_coming_up()).count();
        let stale: Vec<&str> =
            self.observation.metrics.iter().filter(|series| series.stale).map(|series| series.name.as_str()).collect();
        if coming_up > 0 {
            self.hold_deletes("coming_up", &format!("{coming_up} still coming up"));
        } else if !stale.is_empty() {
            self.hold_deletes("stale", &format!("no current value of {}", stale.join(", ")));
        }
    }

    fn hold_deletes(&mut self, rule: &str, why: &str) {
        self.cut(rule, format!("{} kept: {why}", droplets(self.deletes.len() as u64)));
        self.deletes.clear();
    }

    fn keep_below_max(&mut self) {
        let max = u64::from(self.observation.limits.max);
        let over = self.size_after().saturating_sub(max);
        if over == 0 {
            return;
        }
        let uncreated = self.create_fewer(over);
        if uncreated > 0 {
            self.cut("max", format!("{uncreated} fewer created: at most {max} are allowed"));
        }
        let still_over = self.size_after().saturating_sub(max);
        if still_over > 0 && !self.observation.fleet.iter().any(|droplet| droplet.phase.is_coming_up()) {
            let before = self.deletes.len();
            self.remove_some(still_over, &[], "the fleet is above scaling.max");
            let removed = self.deletes.len() - before;
            if removed > 0 {
                self.cut("max", format!("{removed} more deleted: at most {max} are allowed"));
            }
        }
    }

    /// What is healthy may go only as long as enough that is healthy stays.
    fn keep_enough_healthy(&mut self) {
        let min = self.observation.limits.min as usize;
        let mut kept = 0;
        while let Some(position) = self.deletes.iter().rposition(|(droplet, _)| is_healthy(droplet)) {
            let healthy = self
                .observation
                .fleet
                .iter()
                .filter(|droplet| is_healthy(droplet) && !self.is_leaving(&droplet.name))
                .count();
            if healthy >= min {
                break;
            }
            self.deletes.remove(position);
            kept += 1;
        }
        if kept > 0 {
            self.cut("min", format!("{} kept: at least {min} healthy ones must stay", droplets(kept)));
        }
    }

    fn keep_at_min(&mut self) {
        let min = self.observation.limits.min;
        let mut kept = 0;
        while self.size_after() < u64::from(min) && self.deletes.pop().is_some() {
            kept += 1;
        }
        if kept > 0 {
            self.cut("min", format!("{} kept: at least {min} are wanted", droplets(kept)));
        }
        let size = u32::try_from(self.size_after()).unwrap_or(u32::MAX);
        let missing = min.saturating_sub(size);
        if missing > 0 {
            self.add(DropletRequest::default(), missing, "the fleet is below scaling.min");
            self.cut("min", format!("{missing} more created: at least {min} are wanted"));
        }
    }

    fn limit_deletes(&mut self) {
        let most = self.observation.limits.max_delete as usize;
        if self.deletes.len() > most {
            let kept = (self.deletes.len() - most) as u64;
            self.deletes.truncate(most);
            self.cut("max_delete", format!("{} kept for now: at most {most} go in one tick", droplets(kept)));
        }
    }

    fn limit_creates(&mut self) {
        let most = u64::from(self.observation.limits.max_create);
        let fewer = self.create_fewer(self.created().saturating_sub(most));
        if fewer > 0 {
            self.cut("max_create", format!("{fewer} fewer created for now: at most {most} come in one tick"));
        }
    }

    fn limit_cost(&mut self) {
        let Some(cap) = self.observation.limits.max_hourly_cost else { return };
        let mut cost = self
            .observation
            .fleet
            .iter()
            .filter(|droplet| !self.is_leaving(&droplet.name))
            .filter_map(|droplet| self.observation.templates.get(droplet.template as usize))
            .fold(HourlyPrice::default(), |sum, template| sum.plus(template.hourly_price));
        let mut fewer = 0;
        let mut creates = std::mem::take(&mut self.creates);
        for create in &mut creates {
            let wanted = create.request.count;
            let price = self.price_of(&create.request);
            let affordable = match price.map(HourlyPrice::micro_dollars) {
                Some(0) => wanted,
                Some(price) => {
                    let left = cap.micro_dollars().saturating_sub(cost.micro_dollars());
                    u32::try_from(left / price).unwrap_or(u32::MAX).min(wanted)
                }
                // What has no price cannot be held below a cap.
                None => 0,
            };
            create.request.count = affordable;
            cost = cost.plus(price.unwrap_or_default().times(affordable));
            fewer += wanted - affordable;
        }
        creates.retain(|create| create.request.count > 0);
        self.creates = creates;
        if fewer > 0 {
            self.cut("max_hourly_cost", format!("{fewer} fewer created: the fleet may cost at most {cap}"));
        }
    }

    fn finish(self) -> Plan {
        Plan {
            from: self.observation.size(),
            to: u32::try_from(self.size_after()).unwrap_or(u32::MAX),
            deletes: self
                .deletes
                .into_iter()
                .map(|(droplet, reason)| PlannedDelete { droplet: droplet.name.clone(), reason })
                .collect(),
            creates: self.creates,
            cuts: self.cuts,
        }
    }

    fn cut(&mut self, rule: &str, detail: String) {
        self.cuts.push(Cut { rule: rule.to_owned(), detail });
    }

    fn add(&mut self, request: DropletRequest, count: u32, reason: &str) {
        self.creates.push(PlannedCreate { request: DropletRequest { count, ..request }, reason: reason.to_owned() });
    }

    /// Counted in 64 bits: a policy may ask for more than 32 bits can count.
    fn created(&self) -> u64 {
        self.creates.iter().fold(0, |sum, create| sum.saturating_add(create.request.count.into()))
    }

    fn size_after(&self) -> u64 {
        u64::from(self.observation.size()).saturating_sub(self.deletes.len() as u64).saturating_add(self.created())
    }

    /// Takes up to `count` away from what is to be created, from the end, and says how many it took.
    fn create_fewer(&mut self, count: u64) -> u64 {
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

    /// Chooses `count` more to delete: `first`, then in the order of [`victim_rank`].
    fn remove_some(&mut self, count: u64, first: &[&'a ObservedDroplet], reason: &str) {
        let wanted = count.saturating_add(self.deletes.len() as u64);
        let mut others: Vec<&ObservedDroplet> = self.deletable().collect();
        others.sort_by_key(|droplet| victim_rank(droplet, self.observation));
        for droplet in first.iter().copied().chain(others) {
            if self.deletes.len() as u64 >= wanted {
                break;
            }
            if !self.is_leaving(&droplet.name) {
                self.deletes.push((droplet, reason.to_owned()));
            }
        }
        let short = wanted.saturating_sub(self.deletes.len() as u64);
        if short > 0 {
            self.cut("protected", format!("{} kept: protected, or not yet created", droplets(short)));
        }
    }

    fn deletable(&self) -> impl Iterator<Item = &'a ObservedDroplet> + use<'a> {
        self.observation
            .fleet
            .iter()
            .filter(|droplet| droplet.phase.counts() && !droplet.protected && droplet.id.is_some())
    }

    fn is_leaving(&self, name: &DropletName) -> bool {
        self.deletes.iter().any(|(droplet, _)| droplet.name == *name)
    }

    fn price_of(&self, request: &DropletRequest) -> Option<HourlyPrice> {
        let templates = &self.observation.templates;
        match &request.size {
            None => templates.first(),
            Some(size) => templates.iter().find(|template| template.size == *size),
        }
        .map(|template| template.hourly_price)
    }
}

fn is_healthy(droplet: &ObservedDroplet) -> bool {
    droplet.phase == Phase::Serving && droplet.healthy
}

/// Whom to delete first: the unhealthy, then those whose minimum charge is used up, then those with the fewest
/// sessions, then the newest; the name decides between equals, so that the answer is always the same.
fn victim_rank<'a>(
    droplet: &'a ObservedDroplet,
    observation: &Observation,
) -> (bool, bool, u32, Reverse<u64>, Reverse<&'a DropletName>) {
    (
        droplet.healthy,
        droplet.paid_until.is_some_and(|until| until > observation.now),
        droplet.load.map_or(0, |load| load.sessions),
        Reverse(droplet.created_at.0),
        Reverse(&droplet.name),
    )
}

fn droplets(count: u64) -> String {
    format!("{count} droplet{}", if count == 1 { "" } else { "s" })
}
