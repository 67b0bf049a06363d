//! What no policy can get past, whatever it answers.

use proptest::prelude::*;

use crate::controller::guard::guard;
use crate::model::{
    Change, Decision, DropletId, DropletName, DropletRequest, HourlyPrice, Limits, Observation, ObservedDroplet,
    ObservedTemplate, Outcome, Phase, Plan, ScaleTo, Timestamp,
};

const PRICE: HourlyPrice = HourlyPrice::from_micro_dollars(7_440);

fn droplet(number: u64, phase: Phase) -> ObservedDroplet {
    ObservedDroplet {
        id: (phase > Phase::Requested).then_some(DropletId(number)),
        name: DropletName::parse(format!("www-{number}")).unwrap(),
        phase,
        phase_since: Timestamp(0),
        created_at: Timestamp(number),
        template: 0,
        paid_until: None,
        healthy: phase == Phase::Serving,
        protected: false,
        load: None,
    }
}

fn observed(fleet: Vec<ObservedDroplet>, limits: Limits) -> Observation {
    Observation {
        now: Timestamp(1_000_000),
        tick: 0,
        fleet_name: "test".into(),
        templates: vec![ObservedTemplate {
            size: "s".into(),
            region: "r".into(),
            image: "i".into(),
            tags: vec![],
            hourly_price: PRICE,
        }],
        fleet,
        metrics: vec![],
        limits,
        boot_time_ms: None,
        last_scale_out: None,
        last_scale_in: None,
        facts: vec![],
    }
}

fn serving(count: u64) -> Vec<ObservedDroplet> {
    (0..count).map(|number| droplet(number, Phase::Serving)).collect()
}

const WIDE: Limits = Limits { min: 0, max: 100, max_hourly_cost: None, max_create: 100, max_delete: 100 };

fn decision(outcome: Outcome) -> Decision {
    Decision { outcome, reason: "test".into(), signals: vec![], state: vec![], next_check_ms: None }
}

fn to(count: u32) -> Outcome {
    Outcome::ScaleTo(ScaleTo { count, ..ScaleTo::default() })
}

fn plan(fleet: Vec<ObservedDroplet>, limits: Limits, outcome: Outcome) -> Plan {
    guard(&observed(fleet, limits), &decision(outcome))
}

fn rules(plan: &Plan) -> Vec<&str> {
    plan.cuts.iter().map(|cut| cut.rule.as_str()).collect()
}

fn created(plan: &Plan) -> u32 {
    plan.creates.iter().map(|create| create.request.count).sum()
}

#[test]
fn what_is_within_bounds_is_done_as_it_was_decided() {
    let plan = plan(serving(2), WIDE, to(5));

    assert_eq!((plan.from, plan.to, created(&plan)), (2, 5, 3));
    assert!(plan.cuts.is_empty());
}

#[test]
fn a_fleet_below_its_minimum_is_repaired_though_the_policy_holds() {
    let plan = plan(serving(1), Limits { min: 3, ..WIDE }, Outcome::Hold);

    assert_eq!((created(&plan), rules(&plan)), (2, vec!["min"]));
}

#[test]
fn a_fleet_above_its_maximum_shrinks_though_the_policy_holds() {
    let plan = plan(serving(5), Limits { max: 3, ..WIDE }, Outcome::Hold);

    assert_eq!((plan.deletes.len(), rules(&plan)), (2, vec!["max"]));
}

#[test]
fn nothing_goes_while_others_are_coming_up() {
    let mut fleet = serving(3);
    fleet.push(droplet(3, Phase::Booting));

    let plan = plan(fleet, WIDE, to(1));

    assert!(plan.is_empty());
    assert_eq!(rules(&plan), ["coming_up"]);
}

#[test]
fn the_last_healthy_ones_stay() {
    let mut fleet = serving(4);
    fleet[0].healthy = false;
    let ids = vec![DropletId(1), DropletId(2), DropletId(3)];

    let plan = plan(fleet, Limits { min: 1, ..WIDE }, Outcome::Change(Change { create: vec![], delete: ids }));

    assert_eq!((plan.deletes.len(), rules(&plan)), (2, vec!["min"]));
}

#[test]
fn the_unhealthy_go_first_then_the_least_busy_then_the_newest() {
    let mut fleet = serving(4);
    fleet[2].healthy = false;
    fleet[3].load = Some(crate::model::Load { sessions: 9, ..Default::default() });

    let plan = plan(fleet, WIDE, to(1));

    let order: Vec<&str> = plan.deletes.iter().map(|delete| delete.droplet.as_str()).collect();
    assert_eq!(order, ["www-2", "www-1", "www-0"]);
}

#[test]
fn the_cost_cap_cuts_what_cannot_be_paid() {
    let limits = Limits { max_hourly_cost: Some(PRICE.times(3)), ..WIDE };

    let plan = plan(serving(2), limits, to(9));

    assert_eq!((created(&plan), rules(&plan)), (1, vec!["max_hourly_cost"]));
}

#[test]
fn a_droplet_of_another_fleet_cannot_be_named() {
    let delete = vec![DropletId(999)];

    let plan = plan(serving(2), WIDE, Outcome::Change(Change { create: vec![], delete }));

    assert!(plan.is_empty());
    assert_eq!(rules(&plan), ["fleet"]);
}

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

proptest! {
    #[test]
    fn no_decision_gets_past_the_limits(fleet in any_fleet(), limits in any_limits(), outcome in any_outcome()) {
        let observation = observed(fleet, limits);
        let plan = guard(&observation, &decision(outcome));

        prop_assert!(created(&plan) <= limits.max_create);
        prop_assert!(plan.deletes.len() <= limits.max_delete as usize);
        prop_assert!(created(&plan) == 0 || plan.to <= limits.max);
        prop_assert!(plan.deletes.is_empty() || plan.to >= limits.min);
        if let Some(cap) = limits.max_hourly_cost && created(&plan) > 0 {
            let leaving = plan.deletes.len();
            let billed = u32::try_from(observation.fleet.len() - leaving).unwrap() + created(&plan);
            prop_assert!(PRICE.times(billed) <= cap);
        }
        let mut names: Vec<&str> = plan.deletes.iter().map(|delete| delete.droplet.as_str()).collect();
        for name in &names {
            let victim = observation.fleet.iter().find(|droplet| droplet.name.as_str() == *name).unwrap();
            prop_assert!(!victim.protected && victim.phase.counts() && victim.id.is_some());
        }
        names.dedup();
        prop_assert_eq!(names.len(), plan.deletes.len());
    }
}
