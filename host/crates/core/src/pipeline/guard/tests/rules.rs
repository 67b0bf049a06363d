//! Each rule restricts a policy that makes the worst possible decision.

use std::time::Duration;

use crate::domain::{
    Change, CreateHistory, Decision, Direction, DropletId, DropletName, DropletRequest, Fallback, GuardFacts,
    GuardRules, Limits, Load, Money, Observation, ObservedDroplet, Outcome, Pause, Pauses, Phase, Plan, Series, Signal,
    TerminationPolicy, Timestamp,
};
use crate::pipeline::guard::guard;
use crate::pipeline::guard::tests::{
    PRICE, UNLIMITED, created, decision, droplet, observation, rule_names, scale_to, serving,
};

const NOW: Timestamp = Timestamp(10_000_000);

/// A fleet with the rules and facts of one test.
struct Case {
    observation: Observation,
    rules: GuardRules,
    facts: GuardFacts,
}

impl Case {
    fn new(fleet: Vec<ObservedDroplet>) -> Self {
        Self {
            observation: Observation { now: NOW, ..observation(fleet, UNLIMITED) },
            rules: GuardRules::unrestricted(),
            facts: GuardFacts::default(),
        }
    }

    fn with_limits(mut self, limits: Limits) -> Self {
        self.observation.limits = limits;
        self
    }

    fn with(mut self, change: impl FnOnce(&mut GuardRules, &mut GuardFacts, &mut Observation)) -> Self {
        change(&mut self.rules, &mut self.facts, &mut self.observation);
        self
    }

    fn plan(&self, outcome: Outcome) -> Plan {
        self.plan_decision(&decision(outcome))
    }

    fn plan_decision(&self, decision: &Decision) -> Plan {
        guard(&self.observation, decision, &self.rules, &self.facts)
    }
}

fn ago(seconds: u64) -> Timestamp {
    NOW.minus(Duration::from_secs(seconds))
}

fn deleted(plan: &Plan) -> Vec<&str> {
    plan.deletes.iter().map(|delete| delete.droplet.as_str()).collect()
}

fn detail(plan: &Plan) -> &str {
    &plan.restrictions[0].detail
}

#[test]
fn creates_per_tick_are_limited() {
    let plan = Case::new(serving(2)).with_limits(Limits { max_create: 3, ..UNLIMITED }).plan(scale_to(50));

    assert_eq!((created(&plan), rule_names(&plan)), (3, vec!["max_create_per_tick"]));
}

#[test]
fn deletes_per_tick_are_limited() {
    let plan = Case::new(serving(9)).with_limits(Limits { max_delete: 2, ..UNLIMITED }).plan(scale_to(0));

    assert_eq!((plan.deletes.len(), rule_names(&plan)), (2, vec!["max_delete_per_tick"]));
}

#[test]
fn fleet_never_exceeds_max() {
    let plan = Case::new(serving(5)).with_limits(Limits { max: 6, ..UNLIMITED }).plan(scale_to(u32::MAX));

    assert_eq!((created(&plan), rule_names(&plan)), (1, vec!["max"]));
}

#[test]
fn creates_are_blocked_during_cooldown() {
    let case = Case::new(serving(2)).with(|rules, _, observation| {
        rules.cooldown_out = Duration::from_mins(1);
        observation.last_scale_out = Some(ago(20));
    });

    let plan = case.plan(scale_to(9));

    assert!(plan.is_empty());
    insta::assert_snapshot!(detail(&plan), @"7 fewer created: the last create was 20 s ago; 40 s of the cooldown remain");
}

#[test]
fn deletes_are_blocked_during_either_cooldown() {
    for last_out in [true, false] {
        let case = Case::new(serving(5)).with(|rules, _, observation| {
            rules.cooldown_in = Duration::from_mins(5);
            observation.last_scale_out = Some(ago(if last_out { 60 } else { 3600 }));
            observation.last_scale_in = Some(ago(if last_out { 3600 } else { 60 }));
        });

        let plan = case.plan(scale_to(1));

        assert_eq!((plan.deletes.len(), rule_names(&plan)), (0, vec!["cooldown"]));
        assert_eq!(
            case.with(|_, _, observation| observation.now = NOW.plus(Duration::from_mins(4))).plan(scale_to(1)).to,
            1
        );
    }
}

#[test]
fn cooldown_does_not_block_the_minimum() {
    let case = Case::new(serving(1)).with_limits(Limits { min: 3, ..UNLIMITED }).with(|rules, _, observation| {
        rules.cooldown_out = Duration::from_mins(1);
        observation.last_scale_out = Some(ago(1));
    });

    assert_eq!(created(&case.plan(Outcome::Hold)), 2);
}

#[test]
fn stabilization_window_limits_scale_in() {
    let case = Case::new(serving(9)).with(|rules, facts, _| {
        rules.stabilization_window = Duration::from_mins(5);
        facts.recommendations = vec![(ago(301), 9), (ago(200), 6), (ago(20), 2)];
    });

    let plan = case.plan(scale_to(1));

    assert_eq!((plan.to, rule_names(&plan)), (6, vec!["stabilization_window"]));
    insta::assert_snapshot!(detail(&plan), @"5 droplets kept: 6 were recommended within the last 300 s");
}

#[test]
fn flap_protection_respects_each_signal() {
    let signal = |wants| Signal { name: "queue".into(), value: 8.0, target: Some(2.0), wants };
    let case = Case::new(serving(6)).with(|rules, _, _| rules.flap_protection = true);

    let plan = case.plan_decision(&Decision { signals: vec![signal(Some(4)), signal(None)], ..decision(scale_to(2)) });

    assert_eq!((plan.to, rule_names(&plan)), (4, vec!["flap_protection"]));
}

#[test]
fn flap_protection_keeps_room_for_sessions() {
    let mut fleet = serving(4);
    for droplet in &mut fleet {
        droplet.load = Some(Load { sessions: 60, queued: 10, max_sessions: Some(100), ..Load::default() });
    }

    let plan = Case::new(fleet).with(|rules, _, _| rules.flap_protection = true).plan(scale_to(1));

    assert_eq!(plan.to, 3);
    insta::assert_snapshot!(detail(&plan), @"2 droplets kept: 280 sessions need 3 droplets of 100 each");
}

#[test]
fn stale_metrics_block_deletes() {
    let stale = Series {
        name: "cpu".into(),
        unit: "percent".into(),
        labels: vec![],
        interval_ms: 1000,
        stale: true,
        samples: vec![],
    };
    let case = Case::new(serving(4)).with(|_, _, observation| observation.metrics.push(stale));

    let plan = case.plan(scale_to(1));

    assert_eq!((plan.deletes.len(), rule_names(&plan)), (0, vec!["stale"]));
    assert_eq!(created(&case.plan(scale_to(5))), 1);
}

#[test]
fn unhealthy_droplets_protect_healthy_ones() {
    let mut fleet = serving(6);
    fleet[3].healthy = false;
    let healthy = Outcome::Change(Change { create: vec![], delete: vec![DropletId(1), DropletId(3)] });
    let others = Outcome::Change(Change { create: vec![], delete: vec![DropletId(1), DropletId(2)] });

    assert_eq!(deleted(&Case::new(fleet.clone()).plan(healthy)), ["www-1", "www-3"]);
    assert_eq!(rule_names(&Case::new(fleet).plan(others)), ["unhealthy"]);
}

#[test]
fn mostly_unhealthy_fleet_is_not_changed() {
    let mut fleet = serving(8);
    for droplet in &mut fleet[..5] {
        droplet.healthy = false;
    }
    let case = Case::new(fleet).with(|rules, facts, observation| {
        rules.repair_grace_period = Some(Duration::ZERO);
        rules.max_replace_per_hour = 100;
        facts.unhealthy_since = observation.fleet.iter().map(|droplet| (droplet.name.clone(), Timestamp(0))).collect();
    });

    for outcome in [scale_to(0), scale_to(50), Outcome::Hold] {
        assert!(case.plan(outcome).is_empty());
    }
    assert_eq!(rule_names(&case.plan(scale_to(50))), ["unhealthy"]);
}

fn two_unhealthy() -> Case {
    let mut fleet = serving(6);
    fleet[2].healthy = false;
    fleet[4].healthy = false;
    Case::new(fleet).with(|rules, facts, _| {
        rules.repair_grace_period = Some(Duration::from_mins(3));
        rules.max_replace_per_hour = 10;
        let name = |number| DropletName::parse(format!("www-{number}")).unwrap();
        facts.unhealthy_since = vec![(name(2), ago(200)), (name(4), ago(100))];
    })
}

#[test]
fn long_unhealthy_droplet_is_replaced() {
    let plan = two_unhealthy().plan(Outcome::Hold);

    assert_eq!((deleted(&plan), created(&plan), plan.to), (vec!["www-2"], 1, 6));
    insta::assert_snapshot!(plan.deletes[0].reason, @"the health check has been failing for 200 s");
}

#[test]
fn replacements_per_hour_are_limited() {
    let plan = two_unhealthy().with(|_, facts, _| facts.replaced = 10).plan(Outcome::Hold);

    assert!(plan.is_empty());
    assert_eq!(rule_names(&plan), ["max_replace_per_hour"]);
}

#[test]
fn replacement_waits_while_droplets_start() {
    let plan = two_unhealthy()
        .with(|_, _, observation| observation.fleet.push(droplet(9, Phase::Booting)))
        .plan(Outcome::Hold);

    assert!(plan.is_empty());
    assert_eq!(rule_names(&plan), ["starting"]);
}

#[test]
fn droplet_without_replacement_is_kept() {
    let breaker = CreateHistory { started: 3, consecutive_failures: 3, last_failure: Some(ago(60)) };

    let plan = two_unhealthy().with(|_, facts, _| facts.creates = breaker).plan(Outcome::Hold);

    assert!(plan.is_empty());
    assert_eq!(rule_names(&plan), ["failed_boots"]);
}

#[test]
fn policy_creates_do_not_count_as_replacements() {
    // The reason is the same as the guard's own.
    let reason = two_unhealthy().plan(Outcome::Hold).creates[0].reason.clone();
    let decision = Decision { reason, ..decision(scale_to(8)) };

    let plan = two_unhealthy().plan_decision(&decision);

    let succeed: Vec<bool> = plan.creates.iter().map(|create| create.is_replacement).collect();
    assert_eq!((created(&plan), succeed), (3, vec![false, true]));
}

#[test]
fn protected_droplet_is_not_replaced() {
    let plan = two_unhealthy().with(|_, _, observation| observation.fleet[2].protected = true).plan(Outcome::Hold);

    assert!(plan.is_empty());
}

#[test]
fn protected_droplet_is_never_deleted() {
    let mut fleet = serving(3);
    fleet[2].protected = true;

    let plan = Case::new(fleet).plan(scale_to(0));

    assert_eq!((deleted(&plan), rule_names(&plan)), (vec!["www-1", "www-0"], vec!["protected"]));
}

#[test]
fn monthly_cost_cap_limits_creates() {
    // 15 days of the month are left.
    let now = Timestamp(1_795_469_145_678).end_of_month().minus(Duration::from_hours(360));
    let month = |cap, spent| {
        Case::new(serving(2)).with(move |rules, facts, observation| {
            observation.now = now;
            rules.max_monthly_cost = Some(Money::from_dollars(cap));
            facts.spent_this_month = Money::from_dollars(spent);
        })
    };

    // A droplet costs $2.68 for the rest of the month.
    let plan = month(20.0, 5.0).plan(scale_to(9));
    assert_eq!((plan.to, rule_names(&plan)), (5, vec!["max_monthly_cost"]));
    insta::assert_snapshot!(detail(&plan), @"4 fewer created: the monthly cap is $20.00, $5.00 are spent, and the month would total $29.11");

    assert_eq!(month(20.0, 19.0).plan(scale_to(9)).to, 2);
    assert_eq!(month(200.0, 5.0).plan(scale_to(9)).to, 9);
}

fn request_with_size(size: &str, count: u32) -> DropletRequest {
    DropletRequest { count, size: Some(size.into()), ..DropletRequest::default() }
}

fn create(create: Vec<DropletRequest>) -> Outcome {
    Outcome::Change(Change { create, delete: vec![] })
}

#[test]
fn new_size_is_capped_by_its_listed_price() {
    let limits = Limits { max_hourly_cost: Some(PRICE.times(9)), ..UNLIMITED };
    let case = Case::new(serving(1))
        .with_limits(limits)
        .with(|_, facts, _| facts.prices = vec![("big".into(), PRICE.times(4))]);

    let plan = case.plan(create(vec![request_with_size("big", 3)]));

    assert_eq!((created(&plan), rule_names(&plan)), (2, vec!["max_hourly_cost"]));
    assert_eq!(created(&case.plan(create(vec![request_with_size("big", 1), request_with_size("s", 5)]))), 5);
}

#[test]
fn size_without_price_is_rejected_under_a_cap() {
    let limits = Limits { max_hourly_cost: Some(PRICE.times(100)), ..UNLIMITED };
    let case = Case::new(serving(1)).with_limits(limits);

    let one = case.plan(create(vec![request_with_size("unheard-of", 2), request_with_size("s", 1)]));
    let some = case.plan(create(vec![request_with_size("unheard-of", 2), request_with_size("another", 1)]));

    assert_eq!((created(&one), rule_names(&one)), (1, vec!["max_hourly_cost"]));
    insta::assert_snapshot!(detail(&one), @"2 fewer created: the price of unheard-of is not known yet");
    insta::assert_snapshot!(detail(&some), @"3 fewer created: the prices of 2 sizes, including another, are not known yet");
    assert_eq!(created(&Case::new(serving(1)).plan(create(vec![request_with_size("unheard-of", 2)]))), 2);
}

#[test]
fn creates_per_hour_are_limited() {
    let case = Case::new(serving(2)).with(|rules, facts, _| {
        rules.max_create_per_hour = 10;
        facts.creates = CreateHistory { started: 8, ..CreateHistory::default() };
    });

    let plan = case.plan(scale_to(9));

    assert_eq!((created(&plan), rule_names(&plan)), (2, vec!["max_create_per_hour"]));
}

#[test]
fn account_quota_limits_creates() {
    let plan = Case::new(serving(2)).with(|_, facts, _| facts.remaining_quota = Some(1)).plan(scale_to(9));

    assert_eq!((created(&plan), rule_names(&plan)), (1, vec!["droplet_limit"]));
}

fn paused(direction: Direction) -> Pauses {
    let pause = Pause { since: ago(60), until: Some(NOW.plus(Duration::from_mins(1))), reason: "launch".into() };
    match direction {
        Direction::Out => Pauses { out: Some(pause), in_: None },
        Direction::In => Pauses { out: None, in_: Some(pause) },
    }
}

#[test]
fn pause_holds_one_direction_until_it_ends() {
    let out = Case::new(serving(3)).with(|_, facts, _| facts.pauses = paused(Direction::Out));
    let in_ = Case::new(serving(3)).with(|_, facts, _| facts.pauses = paused(Direction::In));

    assert_eq!((out.plan(scale_to(9)).to, out.plan(scale_to(1)).to), (3, 1));
    assert_eq!((in_.plan(scale_to(9)).to, in_.plan(scale_to(1)).to), (9, 3));
    insta::assert_snapshot!(detail(&out.plan(scale_to(9))), @"6 fewer created: scaling out is paused until 1970-01-01T02:47:40Z: launch");
    assert_eq!(
        out.with(|_, _, observation| observation.now = NOW.plus(Duration::from_mins(1))).plan(scale_to(9)).to,
        9
    );
}

#[test]
fn pause_holds_repairs_too() {
    let case = Case::new(serving(1))
        .with_limits(Limits { min: 3, ..UNLIMITED })
        .with(|_, facts, _| facts.pauses = paused(Direction::Out));

    assert!(case.plan(Outcome::Hold).is_empty());
}

#[test]
fn api_outage_blocks_all_operations() {
    let case = Case::new(serving(3)).with(|_, facts, _| facts.api_unreachable = Some("timed out".into()));

    assert!(case.plan(scale_to(9)).is_empty() && case.plan(scale_to(1)).is_empty());
    assert_eq!(rule_names(&case.plan(scale_to(9))), ["api"]);
}

#[test]
fn balancer_outage_blocks_deletes() {
    let limits = Limits { max: 5, ..UNLIMITED };
    // Before the first response of HAProxy no droplet is known to be healthy.
    let mut fleet = serving(6);
    fleet[..3].iter_mut().for_each(|droplet| droplet.healthy = false);
    let case = Case::new(fleet).with_limits(limits).with(|_, facts, _| facts.balancer_unreachable = true);

    let shrunk = case.plan(scale_to(1));
    let above_max = case.plan(Outcome::Hold);

    assert!(shrunk.is_empty() && above_max.is_empty());
    assert_eq!(rule_names(&shrunk), ["balancer"]);
    insta::assert_snapshot!(detail(&shrunk), @"5 droplets kept: HAProxy is unreachable, so load and health are unknown");
    assert_eq!(case.with(|_, facts, _| facts.balancer_unreachable = false).plan(scale_to(1)).to, 1);
}

#[test]
fn balancer_outage_allows_scale_out() {
    let case = Case::new(serving(3)).with(|_, facts, _| facts.balancer_unreachable = true);

    assert_eq!(case.plan(scale_to(5)).to, 5);
}

#[test]
fn failing_policies_activate_the_fallback() {
    let failing = |seconds| {
        Case::new(serving(2)).with(move |rules, facts, _| {
            rules.fallback = Some(Fallback { size: 5, after: Duration::from_mins(5) });
            facts.policies_failing_since = Some(ago(seconds));
        })
    };

    assert!(failing(299).plan(Outcome::Hold).is_empty());
    let plan = failing(300).plan(Outcome::Hold);
    assert_eq!((plan.to, rule_names(&plan)), (5, vec!["fallback"]));
}

#[test]
fn termination_policy_sets_the_order() {
    let mut fleet = serving(4);
    // The oldest droplet is busy and past its minimum billing period; the newest is still within it.
    fleet[0].load = Some(Load { sessions: 9, ..Load::default() });
    fleet[1].paid_until = Some(NOW.plus(Duration::from_mins(9)));
    fleet[2].load = Some(Load { sessions: 5, ..Load::default() });
    fleet[3].paid_until = Some(NOW.plus(Duration::from_mins(9)));

    let order = |policy| {
        let plan = Case::new(fleet.clone()).with(|rules, _, _| rules.termination_policy = policy).plan(scale_to(0));
        plan.deletes.iter().map(|delete| delete.droplet.as_str().replace("www-", "")).collect::<String>()
    };

    assert_eq!(order(TerminationPolicy::BilledFirst), "2031");
    assert_eq!(order(TerminationPolicy::LeastSessions), "3120");
    assert_eq!(order(TerminationPolicy::Newest), "3210");
    assert_eq!(order(TerminationPolicy::Oldest), "0123");
}

#[test]
fn delete_first_takes_precedence() {
    let outcome = Outcome::ScaleTo(crate::domain::ScaleTo {
        count: 2,
        template: None,
        delete_first: vec![DropletId(0), DropletId(1)],
    });

    assert_eq!(deleted(&Case::new(serving(4)).plan(outcome)), ["www-0", "www-1"]);
}

#[test]
fn kept_droplet_makes_no_room_for_creates() {
    let limits = Limits { max: 3, max_delete: 0, ..UNLIMITED };
    let create = vec![DropletRequest { count: 1, ..DropletRequest::default() }];

    let plan =
        Case::new(serving(3)).with_limits(limits).plan(Outcome::Change(Change { create, delete: vec![DropletId(1)] }));

    assert!(plan.is_empty());
    assert_eq!(rule_names(&plan), ["max_delete_per_tick", "max"]);
}

#[test]
fn deletes_are_cancelled_without_their_creates() {
    let create = vec![DropletRequest { count: 2, ..DropletRequest::default() }];
    let case = Case::new(serving(3)).with(|rules, facts, _| {
        rules.stabilization_window = Duration::from_mins(1);
        facts.recommendations = vec![(ago(10), 3)];
        facts.remaining_quota = Some(0);
    });

    let plan = case.plan(Outcome::Change(Change { create, delete: vec![DropletId(1), DropletId(2)] }));

    assert!(plan.is_empty());
}

#[test]
fn kept_droplet_counts_toward_the_cost_cap() {
    let limits = Limits { max_hourly_cost: Some(PRICE.times(6)), ..UNLIMITED };
    let case = two_unhealthy().with_limits(limits).with(|rules, facts, _| {
        rules.max_create_per_hour = 3;
        facts.creates = CreateHistory { started: 2, ..CreateHistory::default() };
    });

    let plan = case.plan(scale_to(7));

    assert!(plan.is_empty(), "{plan:?}");
}

#[test]
fn fully_unhealthy_small_fleet_is_not_replaced() {
    for (size, unhealthy) in [(2, 2), (3, 3), (5, 3)] {
        let mut fleet = serving(size);
        for droplet in &mut fleet[..unhealthy] {
            droplet.healthy = false;
        }
        let case = Case::new(fleet).with(|rules, facts, observation| {
            rules.repair_grace_period = Some(Duration::from_mins(3));
            rules.max_replace_per_hour = 10;
            facts.unhealthy_since = observation.fleet.iter().map(|droplet| (droplet.name.clone(), ago(999))).collect();
        });

        let plan = case.plan(Outcome::Hold);

        assert!(plan.is_empty(), "{plan:?}");
        assert_eq!(rule_names(&plan), ["unhealthy"]);
    }
}

#[test]
fn fleet_of_one_grows_before_replacement() {
    let unhealthy = |healthy_too: bool| {
        let mut fleet = serving(if healthy_too { 2 } else { 1 });
        fleet[0].healthy = false;
        Case::new(fleet).with(|rules, facts, observation| {
            rules.repair_grace_period = Some(Duration::from_mins(3));
            rules.max_replace_per_hour = 10;
            facts.unhealthy_since = vec![(observation.fleet[0].name.clone(), ago(999))];
        })
    };

    let first = unhealthy(false).plan(Outcome::Hold);
    let then = unhealthy(true).plan(Outcome::Hold);

    assert_eq!((created(&first), first.deletes.len()), (1, 0));
    assert_eq!(deleted(&then), ["www-0"]);
}

#[test]
fn limited_creates_never_shrink_below_decision() {
    let create = vec![DropletRequest { count: 3, ..DropletRequest::default() }];
    let delete = (0..3).map(DropletId).collect();

    let plan = Case::new(serving(10))
        .with(|_, facts, _| facts.pauses = paused(Direction::Out))
        .plan(Outcome::Change(Change { create, delete }));

    assert_eq!((plan.to, plan.deletes.len()), (10, 0));
}
