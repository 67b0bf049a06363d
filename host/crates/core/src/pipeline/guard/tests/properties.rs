//! Neither a single decision nor a sequence of decisions can bypass the guard.

use std::time::Duration;

use proptest::prelude::*;

use crate::domain::{
    Change, CreateHistory, Decision, Direction, DropletId, DropletRequest, GuardFacts, GuardRules, Limits, Money,
    Observation, ObservedDroplet, Outcome, Pause, Pauses, Phase, Plan, ScaleTo, Signal, TerminationPolicy, Timestamp,
};
use crate::pipeline::guard::guard;
use crate::pipeline::guard::tests::{PRICE, created, decision, droplet, observation};
use crate::pipeline::scaling_history::ScalingHistory;

fn any_phase() -> impl Strategy<Value = Phase> {
    prop::sample::select(Phase::ALL.into_iter().filter(|phase| *phase != Phase::Gone).collect::<Vec<_>>())
}

prop_compose! {
    fn any_fleet()(parts in prop::collection::vec((any_phase(), any::<bool>(), any::<bool>()), 0..12)) -> Vec<ObservedDroplet> {
        parts.into_iter().zip(0..).map(|((phase, healthy, protected), number)| {
            ObservedDroplet { healthy: healthy && phase == Phase::Serving, protected, ..droplet(number, phase) }
        }).collect()
    }
}

fn any_limits() -> impl Strategy<Value = Limits> {
    (0..6_u32, 0..10_u32, 0..5_u32, 0..5_u32, prop::option::of(0..20_u32)).prop_map(
        |(min, more, max_create, max_delete, cost)| Limits {
            min,
            max: min + more,
            max_create,
            max_delete,
            max_hourly_cost: cost.map(|count| PRICE.times(count)),
        },
    )
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let ids = || prop::collection::vec((0..14_u64).prop_map(DropletId), 0..14);
    let counts = || prop_oneof![0..20_u32, Just(u32::MAX)];
    prop_oneof![
        Just(Outcome::Hold),
        (counts(), ids()).prop_map(|(count, delete_first)| Outcome::ScaleTo(ScaleTo {
            count,
            template: None,
            delete_first
        })),
        (prop::collection::vec(counts(), 0..4), ids()).prop_map(|(creates, delete)| {
            let create = creates.into_iter().map(|count| DropletRequest { count, ..Default::default() }).collect();
            Outcome::Change(Change { create, delete })
        }),
    ]
}

fn any_decision() -> impl Strategy<Value = Decision> {
    let signal =
        prop::option::of(0..20_u32).prop_map(|wants| Signal { name: "s".into(), value: 1.0, target: None, wants });
    (any_outcome(), prop::collection::vec(signal, 0..3))
        .prop_map(|(outcome, signals)| Decision { signals, ..decision(outcome) })
}

fn any_rules() -> impl Strategy<Value = GuardRules> {
    let seconds = || (0..120_u64).prop_map(Duration::from_secs);
    let termination_policy = prop::sample::select(vec![
        TerminationPolicy::BilledFirst,
        TerminationPolicy::LeastSessions,
        TerminationPolicy::Newest,
        TerminationPolicy::Oldest,
    ]);
    (
        seconds(),
        seconds(),
        seconds(),
        any::<bool>(),
        0..30_u32,
        termination_policy,
        prop::option::of(seconds()),
        0..4_u32,
    )
        .prop_map(
            |(
                cooldown_out,
                cooldown_in,
                stabilization_window,
                flap_protection,
                max_create_per_hour,
                termination_policy,
                replace_after,
                most,
            )| {
                GuardRules {
                    cooldown_out,
                    cooldown_in,
                    stabilization_window,
                    flap_protection,
                    max_create_per_hour,
                    termination_policy,
                    repair_grace_period: replace_after,
                    max_replace_per_hour: most,
                    ..GuardRules::unrestricted()
                }
            },
        )
}

/// Checks the invariants of a single plan.
fn is_within_bounds(
    observation: &Observation,
    rules: &GuardRules,
    facts: &GuardFacts,
    plan: &Plan,
) -> Result<(), TestCaseError> {
    let limits = observation.limits;
    prop_assert!(created(plan) <= limits.max_create);
    prop_assert!(plan.deletes.len() <= limits.max_delete as usize);
    prop_assert!(created(plan) == 0 || plan.to <= limits.max.max(plan.from));
    prop_assert!(plan.deletes.is_empty() || plan.to >= limits.min.min(plan.from));
    prop_assert!(facts.creates.started + created(plan) <= rules.max_create_per_hour.max(facts.creates.started));
    prop_assert!(facts.remaining_quota.is_none_or(|room| created(plan) <= room));
    if let Some(cap) = limits.max_hourly_cost
        && created(plan) > 0
    {
        let billed = u32::try_from(observation.fleet.len() - plan.deletes.len()).unwrap() + created(plan);
        prop_assert!(PRICE.times(billed) <= cap);
    }
    prop_assert!(facts.pauses.active(Direction::Out, observation.now).is_none() || plan.creates.is_empty());
    prop_assert!(facts.pauses.active(Direction::In, observation.now).is_none() || plan.deletes.is_empty());
    prop_assert!(facts.api_unreachable.is_none() || plan.is_empty());
    prop_assert!(!facts.balancer_unreachable || plan.deletes.is_empty());
    let mut names: Vec<&str> = plan.deletes.iter().map(|delete| delete.droplet.as_str()).collect();
    for name in &names {
        let deleted = observation.fleet.iter().find(|droplet| droplet.name.as_str() == *name).unwrap();
        prop_assert!(!deleted.protected && deleted.phase.counts_toward_size() && deleted.id.is_some());
    }
    names.sort_unstable();
    names.dedup();
    prop_assert_eq!(names.len(), plan.deletes.len());
    prop_assert_eq!(
        u64::from(plan.to),
        u64::from(plan.from) + u64::from(created(plan)) - plan.deletes.len() as u64,
        "the plan's target matches its operations"
    );
    Ok(())
}

prop_compose! {
    fn any_facts()(
        started in 0..20_u32,
        failed_in_a_row in 0..5_u32,
        remaining_quota in prop::option::of(0..8_u32),
        paused_out in any::<bool>(),
        paused_in in any::<bool>(),
        unhealthy in prop::collection::vec(0..12_u64, 0..4),
        replaced in 0..4_u32,
        wanted in prop::collection::vec((900_000..1_000_000_u64, 0..20_u32), 0..5),
        is_away in prop::bool::weighted(0.1),
        balancer_unreachable in prop::bool::weighted(0.1),
    ) -> GuardFacts {
        let pause = |is: bool| is.then(|| Pause { since: Timestamp(0), until: None, reason: String::new() });
        let unhealthy_since =
            unhealthy.into_iter().map(|number| (droplet(number, Phase::Serving).name, Timestamp(0))).collect();
        let last_failed = (failed_in_a_row > 0).then_some(Timestamp(0));
        GuardFacts {
            creates: CreateHistory { started, consecutive_failures: failed_in_a_row, last_failure: last_failed },
            remaining_quota,
            pauses: Pauses { out: pause(paused_out), in_: pause(paused_in) },
            replaced,
            recommendations: wanted.into_iter().map(|(at, size)| (Timestamp(at), size)).collect(),
            api_unreachable: is_away.then(|| "away".to_owned()),
            // As the controller sets it.
            unhealthy_since: if balancer_unreachable { vec![] } else { unhealthy_since },
            balancer_unreachable,
            ..GuardFacts::default()
        }
    }
}

/// A fleet to which plans are applied: created droplets serve some ticks later, deleted ones disappear some ticks
/// later.
struct FleetModel {
    observation: Observation,
    memory: ScalingHistory,
    creates: Vec<Timestamp>,
    next: u64,
}

/// The time between two ticks.
const TICK: Duration = Duration::from_secs(15);

impl FleetModel {
    fn new(limits: Limits) -> Self {
        let fleet = (0..u64::from(limits.min)).map(|number| droplet(number, Phase::Serving)).collect();
        let observation = Observation { now: Timestamp(1_795_469_145_678), ..observation(fleet, limits) };
        Self { observation, memory: ScalingHistory::default(), creates: Vec::new(), next: limits.min.into() }
    }

    fn guard_facts(&self) -> GuardFacts {
        let now = self.observation.now;
        let hour = self.creates.iter().filter(|at| now.since(**at) < Duration::from_hours(1)).count();
        let creates = CreateHistory { started: u32::try_from(hour).unwrap(), ..CreateHistory::default() };
        GuardFacts { creates, ..self.memory.guard_facts(now) }
    }

    fn apply(&mut self, plan: &Plan, wanted: u32, rules: &GuardRules) {
        let now = self.observation.now;
        self.memory.record_recommendation(now, wanted, rules.stabilization_window);
        self.memory.record_replacements(now, plan.deletes.iter().filter(|delete| delete.replaced).count());
        for droplet in &mut self.observation.fleet {
            droplet.phase = match droplet.phase {
                Phase::Requested => Phase::Booting,
                Phase::Booting => Phase::Warming,
                Phase::Warming => Phase::Serving,
                Phase::Draining => Phase::Deleting,
                phase => phase,
            };
            droplet.id = Some(DropletId(droplet.name.as_str()["www-".len()..].parse().unwrap()));
            droplet.healthy = droplet.phase == Phase::Serving;
            if plan.deletes.iter().any(|delete| delete.droplet == droplet.name) {
                droplet.phase = Phase::Draining;
                self.observation.last_scale_in = Some(now);
            }
        }
        self.observation.fleet.retain(|droplet| droplet.phase != Phase::Deleting);
        for _ in 0..created(plan) {
            self.observation.fleet.push(droplet(self.next, Phase::Requested));
            self.next += 1;
            self.creates.push(now);
            self.observation.last_scale_out = Some(now);
        }
        self.observation.now = now.plus(TICK);
        self.observation.tick += 1;
    }
}

proptest! {
    #[test]
    fn no_decision_exceeds_the_limits(
        fleet in any_fleet(),
        limits in any_limits(),
        rules in any_rules(),
        facts in any_facts(),
        decision in any_decision(),
    ) {
        let observation = observation(fleet, limits);

        let plan = guard(&observation, &decision, &rules, &facts);

        is_within_bounds(&observation, &rules, &facts, &plan)?;
    }

    #[test]
    fn no_sequence_of_decisions_exceeds_the_limits(
        limits in any_limits(),
        rules in any_rules(),
        cap in prop::option::of(1..200_u32),
        decisions in prop::collection::vec((any_decision(), any::<bool>()), 1..60),
    ) {
        let rules = GuardRules { max_monthly_cost: cap.map(|cap| Money::from_dollars(f64::from(cap))), ..rules };
        let mut toy = FleetModel::new(limits);

        for (decision, unhealthy) in decisions {
            if unhealthy && let Some(first) = toy.observation.fleet.first_mut() {
                first.healthy = false;
            }
            toy.memory.record_health(&toy.observation);
            let (observation, facts) = (toy.observation.clone(), toy.guard_facts());
            let size = observation.size();
            let plan = guard(&observation, &decision, &rules, &facts);

            is_within_bounds(&observation, &rules, &facts, &plan)?;
            let now = observation.now;
            // During the cooldown only repairs are made.
            let is_cooling = |last: Option<Timestamp>, cooldown| last.is_some_and(|last| now.since(last) < cooldown);
            if is_cooling(observation.last_scale_out, rules.cooldown_out) {
                let replaced = plan.deletes.iter().filter(|delete| delete.replaced).count();
                // A fleet of one gets a second droplet before the unhealthy one is deleted.
                let alone = usize::from(size == 1 && !observation.fleet.iter().any(|droplet| droplet.healthy));
                let repair = limits.min.saturating_sub(size) as usize + replaced + alone;
                prop_assert!(created(&plan) as usize <= repair, "{plan:?}");
            }
            let cools = is_cooling(observation.last_scale_out, rules.cooldown_in)
                || is_cooling(observation.last_scale_in, rules.cooldown_in);
            let shrinks = plan.deletes.iter().any(|delete| !delete.replaced);
            prop_assert!(!cools || !shrinks, "{plan:?}");
            // The fleet stays at the sizes recommended within the window.
            let wanted = facts.recommendations.iter().filter(|(at, _)| now.since(*at) < rules.stabilization_window);
            let floor = wanted.map(|(_, size)| *size).max().unwrap_or(0).min(size).min(limits.max);
            prop_assert!(!shrinks || plan.to >= floor, "{plan:?}");
            if let Some(cap) = rules.max_monthly_cost && created(&plan) > 0 {
                let billed = u32::try_from(observation.fleet.len() - plan.deletes.len()).unwrap() + created(&plan);
                let left = now.end_of_month().since(now).min(Duration::from_hours(672));
                prop_assert!(PRICE.times(billed).cost_for(left) <= cap, "{plan:?}");
            }
            prop_assert!(facts.replaced as usize + plan.deletes.iter().filter(|delete| delete.replaced).count()
                <= (rules.max_replace_per_hour as usize).max(facts.replaced as usize));
            toy.apply(&plan, decision.outcome.size(size), &rules);
            prop_assert!(toy.observation.size() <= limits.max.max(size));
        }
    }
}
