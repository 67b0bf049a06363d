//! Rules that no policy can bypass, regardless of its decision.

mod properties;
mod rules;

use crate::domain::{
    Change, Decision, DropletId, DropletName, GuardFacts, GuardRules, HourlyPrice, Limits, Observation,
    ObservedDroplet, ObservedTemplate, Outcome, Phase, Plan, ScaleTo, Timestamp,
};
use crate::pipeline::guard::guard;

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

fn observation(fleet: Vec<ObservedDroplet>, limits: Limits) -> Observation {
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

const UNLIMITED: Limits = Limits { min: 0, max: 100, max_hourly_cost: None, max_create: 100, max_delete: 100 };

fn decision(outcome: Outcome) -> Decision {
    Decision { outcome, reason: "test".into(), signals: vec![], state: vec![], next_check_ms: None }
}

fn scale_to(count: u32) -> Outcome {
    Outcome::ScaleTo(ScaleTo { count, ..ScaleTo::default() })
}

fn plan(fleet: Vec<ObservedDroplet>, limits: Limits, outcome: Outcome) -> Plan {
    guard(&observation(fleet, limits), &decision(outcome), &GuardRules::unrestricted(), &GuardFacts::default())
}

fn rule_names(plan: &Plan) -> Vec<&str> {
    plan.restrictions.iter().map(|restriction| restriction.rule.as_str()).collect()
}

fn created(plan: &Plan) -> u32 {
    plan.creates.iter().map(|create| create.request.count).sum()
}

#[test]
fn decision_within_limits_is_unchanged() {
    let plan = plan(serving(2), UNLIMITED, scale_to(5));

    assert_eq!((plan.from, plan.to, created(&plan)), (2, 5, 3));
    assert!(plan.restrictions.is_empty());
}

#[test]
fn fleet_below_minimum_grows_despite_hold() {
    let plan = plan(serving(1), Limits { min: 3, ..UNLIMITED }, Outcome::Hold);

    assert_eq!((created(&plan), rule_names(&plan)), (2, vec!["min"]));
}

#[test]
fn fleet_above_maximum_shrinks_despite_hold() {
    let plan = plan(serving(5), Limits { max: 3, ..UNLIMITED }, Outcome::Hold);

    assert_eq!((plan.deletes.len(), rule_names(&plan)), (2, vec!["max"]));
}

#[test]
fn scale_in_is_blocked_while_droplets_start() {
    let mut fleet = serving(3);
    fleet.push(droplet(3, Phase::Booting));

    let plan = plan(fleet, UNLIMITED, scale_to(1));

    assert!(plan.is_empty());
    assert_eq!(rule_names(&plan), ["starting"]);
}

#[test]
fn last_healthy_droplets_stay() {
    let mut fleet = serving(4);
    fleet[0].healthy = false;
    let ids = (0..4).map(DropletId).collect();

    let plan = plan(fleet, Limits { min: 1, ..UNLIMITED }, Outcome::Change(Change { create: vec![], delete: ids }));

    assert_eq!((plan.deletes.len(), rule_names(&plan)), (3, vec!["min"]));
}

#[test]
fn deletes_prefer_unhealthy_then_idle_then_newest() {
    let mut fleet = serving(4);
    fleet[2].healthy = false;
    fleet[3].load = Some(crate::domain::Load { sessions: 9, ..Default::default() });

    let plan = plan(fleet, UNLIMITED, scale_to(1));

    let order: Vec<&str> = plan.deletes.iter().map(|delete| delete.droplet.as_str()).collect();
    assert_eq!(order, ["www-2", "www-1", "www-0"]);
}

#[test]
fn cost_cap_limits_creates() {
    let limits = Limits { max_hourly_cost: Some(PRICE.times(3)), ..UNLIMITED };

    let plan = plan(serving(2), limits, scale_to(9));

    assert_eq!((created(&plan), rule_names(&plan)), (1, vec!["max_hourly_cost"]));
}

#[test]
fn droplet_of_another_fleet_is_rejected() {
    let delete = vec![DropletId(999)];

    let plan = plan(serving(2), UNLIMITED, Outcome::Change(Change { create: vec![], delete }));

    assert!(plan.is_empty());
    assert_eq!(rule_names(&plan), ["fleet"]);
}
