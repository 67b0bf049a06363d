//! One tick: observe → decide → guard → act.
//!
//! `plan` sees and decides and changes nothing; `commit` writes down what is to be done and what is remembered. Carrying
//! operations on is `advance`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::act::{Acted, Begun};
use super::decide::{ConfiguredPolicy, Seat, chosen, no_policy};
use super::guard::guard;
use super::memory::Memory;
use super::observe::{Inputs, StatsAt, observe};
use super::{Controller, ControllerError};
use crate::balancer::Balancer;
use crate::cloud::{Cloud, Size};
use crate::inventory::{Inventory, PolicyState};
use crate::model::{
    Answer, Decision, GuardFacts, GuardRules, HourlyPrice, Limits, Mode, Observation, Outcome, Plan, Rung, Series,
    TickOutcome, TickRecord, Timestamp, Trigger,
};

/// What the operator allows.
#[derive(Debug, Clone, PartialEq)]
pub struct Bounds {
    /// The bounds that policies are told of.
    pub limits: Limits,
    /// What the guard holds beside them.
    pub rules: GuardRules,
}

/// The policies of a fleet, with what they and the loop remember.
#[derive(Debug, Default)]
pub struct Mind {
    /// The policies, in the order of the configuration.
    pub seats: Vec<Seat>,
    /// What the loop remembers.
    pub memory: Memory,
    /// The number of the next tick.
    pub tick: u64,
}

/// What a tick is made of.
#[derive(Debug)]
pub struct Seen<'a> {
    /// HAProxy's counters some time ago; rates are over the time since.
    pub before: &'a StatsAt,
    /// HAProxy's counters now.
    pub now: &'a StatsAt,
    /// The series, as the history has them.
    pub metrics: &'a [Series],
    /// Why there is a tick.
    pub trigger: Trigger,
    /// Why nothing can be done at the API now, where that is so.
    pub api_unreachable: Option<String>,
    /// HAProxy did not answer: the counters are those of before.
    pub stale: bool,
}

/// What a tick saw, decided and planned; nothing is done yet.
#[derive(Debug)]
pub struct Tick {
    /// Everything but what comes of it.
    pub record: TickRecord,
    /// The size that the decision leads to.
    wanted: u32,
    sizes: Arc<[Size]>,
}

impl Tick {
    /// The answer that was taken.
    pub fn answer(&self) -> Option<&Answer> {
        self.record.answers.get(self.record.chosen? as usize)
    }

    /// What the guard left.
    pub fn plan(&self) -> &Plan {
        &self.record.plan
    }
}

impl<C: Cloud, B: Balancer, I: Inventory> Controller<C, B, I> {
    /// The policies with what they remembered when they were last asked, in whichever process that was.
    pub async fn mind(&self, policies: Vec<ConfiguredPolicy>) -> Result<Mind, ControllerError> {
        let memory = self.inventory.loop_memory().await.map_err(ControllerError::inventory)?;
        // What an older doproxy remembered, and this one does not understand, is no reason to stop.
        let memory = memory.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let mut mind = Mind { memory, ..Mind::default() };
        for policy in policies {
            let (state, ticks) = self.remembered(&policy).await?;
            mind.tick = mind.tick.max(ticks);
            mind.seats.push(Seat::new(policy, state));
        }
        Ok(mind)
    }

    /// What a policy remembered last, and the number of the tick after. Another component, or the same with another
    /// configuration, would not understand the old one's memory.
    pub async fn remembered(&self, policy: &ConfiguredPolicy) -> Result<(Vec<u8>, u64), ControllerError> {
        let memory = self.kept(&policy.name).await?;
        let state = if memory.policy == policy.identity() { memory.state } else { Vec::new() };
        Ok((state, memory.ticks))
    }

    /// What is kept of a policy, whichever component and configuration it is of.
    pub async fn kept(&self, policy: &str) -> Result<PolicyState, ControllerError> {
        Ok(self.inventory.policy_state(policy).await.map_err(ControllerError::inventory)?.unwrap_or_default())
    }

    /// What the guard is told beside the observation.
    pub async fn facts(&self, memory: &Memory, now: Timestamp) -> Result<GuardFacts, ControllerError> {
        let inventory = ControllerError::inventory;
        Ok(GuardFacts {
            pauses: self.inventory.pauses().await.map_err(inventory)?,
            creates: self.creates_of_the_last_hour().await?,
            account_room: self.room().await,
            spent_this_month: self.inventory.spent(now.start_of_month(), now).await.map_err(inventory)?,
            ..memory.facts(now)
        })
    }

    /// Looks at the fleet, asks each policy, and holds what they answer to the bounds. Changes nothing.
    pub async fn plan(&self, mind: &mut Mind, bounds: &Bounds, seen: &Seen<'_>) -> Result<Tick, ControllerError> {
        let sizes = self.sizes().await?;
        let snapshot = self.load().await?;
        let boot_time = self.boot_time().await?;
        let observation = observe(&Inputs {
            tick: mind.tick,
            fleet: &self.settings.fleet,
            template: &self.settings.template,
            sizes: &sizes,
            limits: bounds.limits,
            snapshot: &snapshot,
            before: seen.before,
            now: seen.now,
            metrics: seen.metrics,
            boot_time,
        });
        // Who is sick is not known while HAProxy does not answer.
        if !seen.stale {
            mind.memory.look(&observation);
        }
        let mut answers = Vec::with_capacity(mind.seats.len());
        for seat in &mind.seats {
            answers.push(seat.ask(&observation).await);
        }
        let mut facts = self.facts(&mind.memory, observation.now).await?;
        facts.api_unreachable.clone_from(&seen.api_unreachable);
        facts.prices = prices(&answers, &sizes);
        facts.balancer_silent = seen.stale;
        if seen.stale {
            facts.unhealthy_since.clear();
        }
        Ok(finish(observation, answers, bounds, facts, seen.trigger, sizes))
    }

    /// Writes down what a tick planned and what is to be remembered. Nothing is sent yet: operations that were begun
    /// are carried on by `advance`.
    pub async fn commit(&self, mind: &mut Mind, tick: &mut Tick) -> Result<(), ControllerError> {
        self.keep(mind, tick).await?;
        let Begun { operations, error } = self.begin(&tick.record.plan, &tick.sizes).await;
        tick.record.outcome = TickOutcome {
            operations: operations.iter().map(|operation| operation.id).collect(),
            error: error.as_ref().map(ToString::to_string),
        };
        error.map_or(Ok(()), Err)
    }

    /// Writes down what is to be remembered of a tick, and begins nothing of its plan; `why` is kept in the record.
    pub async fn hold_back(&self, mind: &mut Mind, tick: &mut Tick, why: String) -> Result<(), ControllerError> {
        tick.record.outcome = TickOutcome { operations: Vec::new(), error: Some(why) };
        self.keep(mind, tick).await
    }

    async fn keep(&self, mind: &mut Mind, tick: &Tick) -> Result<(), ControllerError> {
        let is_begun = tick.record.outcome.error.is_none();
        let now = tick.record.at;
        let next = tick.record.observation.tick + 1;
        let mut states = Vec::with_capacity(mind.seats.len());
        for (seat, answer) in mind.seats.iter_mut().zip(&tick.record.answers) {
            seat.remember(answer, now);
            let policy = seat.identity();
            states.push((answer.policy.clone(), PolicyState { policy, ticks: next, state: seat.state().to_vec() }));
        }
        let mut active = tick.record.answers.iter().filter(|answer| answer.mode == Mode::Active).peekable();
        let any = active.peek().is_none() || active.any(|answer| answer.rung != Rung::Hold);
        mind.memory.answered(any, now);
        mind.memory.remember(now, tick.wanted, tick.record.rules.stabilisation);
        let replaced = tick.record.plan.deletes.iter().filter(|delete| delete.replaced && is_begun).count();
        mind.memory.replaced(now, replaced);
        mind.tick = next;
        let memory = serde_json::to_string(&mind.memory).unwrap_or_default();
        self.inventory.remember(&memory, &states).await.map_err(ControllerError::inventory)
    }

    /// Carries a tick's operations to their end.
    pub async fn finish_tick(&self, tick: &Tick) -> Result<Acted, ControllerError> {
        let snapshot = self.load().await?;
        let begun = &tick.record.outcome.operations;
        let operations: Vec<_> =
            snapshot.operations.iter().filter(|operation| begun.contains(&operation.id)).cloned().collect();
        self.finish(&operations).await
    }

    /// HAProxy's counters now.
    pub async fn stats(&self) -> Result<StatsAt, ControllerError> {
        let stats = self.balancer.stats().await.map_err(ControllerError::balancer)?;
        Ok(StatsAt { at: self.clock.now(), stats })
    }

    /// From request to serving, as it was lately: the median.
    async fn boot_time(&self) -> Result<Option<Duration>, ControllerError> {
        let mut lately = self.inventory.boot_times(BOOT_TIMES).await.map_err(ControllerError::inventory)?;
        lately.sort_unstable();
        Ok(lately.get(lately.len() / 2).copied())
    }
}

/// How many droplets that came up say how long the next one takes.
const BOOT_TIMES: u32 = 15;

/// What one droplet of each size costs that is asked for by name. A list of all sizes would be a part of every record.
fn prices(answers: &[Answer], sizes: &[Size]) -> Vec<(String, HourlyPrice)> {
    let requests = answers.iter().flat_map(|answer| match &answer.decision.outcome {
        Outcome::Hold => &[],
        Outcome::ScaleTo(to) => to.template.as_slice(),
        Outcome::Change(change) => change.create.as_slice(),
    });
    let asked: BTreeSet<&str> = requests.filter_map(|request| request.size.as_deref()).collect();
    let listed = |slug: &str| sizes.iter().find(|size| size.slug == slug);
    asked.into_iter().filter_map(listed).map(|size| (size.slug.clone(), size.hourly_price)).collect()
}

/// From answers to a plan. A function of plain data.
fn finish(
    observation: Observation,
    answers: Vec<Answer>,
    bounds: &Bounds,
    facts: GuardFacts,
    trigger: Trigger,
    sizes: Arc<[Size]>,
) -> Tick {
    let chosen = chosen(&observation, &answers);
    let none = no_policy();
    let decision: &Decision = chosen.map_or(&none, |index| &answers[index].decision);
    let plan = guard(&observation, decision, &bounds.rules, &facts);
    let wanted = decision.outcome.size(observation.size());
    let record = TickRecord {
        at: observation.now,
        trigger,
        chosen: chosen.and_then(|index| u32::try_from(index).ok()),
        answers,
        rules: bounds.rules.clone(),
        facts,
        plan,
        outcome: TickOutcome::default(),
        observation,
    };
    Tick { record, wanted, sizes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Change, DropletRequest, ScaleTo};
    use crate::record::sample::answer;

    fn of_size(size: &str) -> DropletRequest {
        DropletRequest { count: 1, size: Some(size.to_owned()), ..DropletRequest::default() }
    }

    #[test]
    fn the_guard_is_told_the_listed_prices_of_sizes_that_are_asked_for() {
        let size = |slug: &str, price| Size {
            slug: slug.to_owned(),
            available: true,
            regions: vec![],
            hourly_price: HourlyPrice::from_micro_dollars(price),
        };
        let sizes = [size("small", 1), size("medium", 2), size("large", 3)];
        let answers = [
            Outcome::Hold,
            Outcome::ScaleTo(ScaleTo { count: 3, template: Some(of_size("medium")), delete_first: vec![] }),
            Outcome::Change(Change {
                create: vec![of_size("small"), of_size("medium"), of_size("none")],
                delete: vec![],
            }),
        ];

        let prices = prices(&answers.map(answer), &sizes);

        let price = HourlyPrice::from_micro_dollars;
        assert_eq!(prices, [("medium".to_owned(), price(2)), ("small".to_owned(), price(1))]);
    }
}
