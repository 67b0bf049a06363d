//! Sample ticks for tests: a fleet, some series, and the resulting plan.

use doproxy_core::domain::{
    AnswerSource, Decision, DropletId, DropletName, Evaluation, GuardFacts, GuardRules, HourlyPrice, Limits, Load,
    Mode, Observation, ObservedDroplet, ObservedTemplate, Outcome, Phase, Sample, ScaleTo, Series, Signal, TickOutcome,
    TickRecord, Timestamp, Trigger,
};
use doproxy_core::pipeline::{Evaluated, evaluate};

/// Returns the observation of a fleet of `size` serving droplets.
pub fn observation(now: Timestamp, size: u32, metrics: Vec<Series>) -> Observation {
    Observation {
        now,
        tick: now.0 / 15_000,
        fleet_name: "www".to_owned(),
        templates: vec![ObservedTemplate {
            size: "s-1vcpu-1gb".to_owned(),
            region: "nyc3".to_owned(),
            image: "ubuntu-24-04-x64".to_owned(),
            tags: vec![],
            hourly_price: HourlyPrice::from_micro_dollars(8_930),
        }],
        fleet: (0..size).map(|number| droplet(number, now)).collect(),
        metrics,
        limits: Limits { min: 1, max: 6, max_hourly_cost: None, max_create: 10, max_delete: 10 },
        boot_time_ms: Some(42_000),
        last_scale_out: Some(Timestamp(1_799_990_000_000)),
        last_scale_in: None,
        facts: vec![],
    }
}

fn droplet(number: u32, now: Timestamp) -> ObservedDroplet {
    let spread = f64::from(number) + 1.0;
    #[expect(clippy::cast_precision_loss, reason = "a test")]
    let wave = (now.0 / 15_000 % 97) as f64;
    ObservedDroplet {
        id: Some(DropletId(u64::from(number) + 400_000_000)),
        name: DropletName::parse(format!("web-{number}-k3f9tq")).unwrap(),
        phase: Phase::Serving,
        phase_since: Timestamp(1_799_990_000_000),
        created_at: Timestamp(1_799_989_950_000),
        template: 0,
        paid_until: Some(Timestamp(1_799_993_550_000)),
        healthy: true,
        protected: false,
        load: Some(Load {
            sessions: number + 3,
            max_sessions: Some(100),
            queued: 0,
            requests_per_second: wave / spread,
            response_time_ms: Some(12.0 + spread),
            errors_per_second: 0.0,
        }),
    }
}

/// Returns a series with the given newest samples, 15 s apart.
pub fn series(name: &str, unit: &str, now: Timestamp, values: &[f64]) -> Series {
    let many = values.len() as u64;
    let at = |index: usize| Timestamp(now.0 - (many - 1 - index as u64) * 15_000);
    Series {
        name: name.to_owned(),
        unit: unit.to_owned(),
        labels: vec![],
        interval_ms: 15_000,
        stale: false,
        samples: values.iter().enumerate().map(|(index, value)| Sample { at: at(index), value: *value }).collect(),
    }
}

/// Returns the record of evaluations, built as the controller does.
pub fn record(
    observation: Observation,
    evaluations: Vec<Evaluation>,
    rules: GuardRules,
    facts: GuardFacts,
) -> TickRecord {
    let decisions = evaluations.iter().map(Evaluation::active_decision);
    let Evaluated { selected, plan, .. } = evaluate(&observation, decisions, &rules, &facts);
    TickRecord {
        at: observation.now,
        trigger: Trigger::Interval,
        selected: selected.map(|index| u32::try_from(index).unwrap()),
        observation,
        evaluations,
        rules,
        facts,
        plan,
        outcome: TickOutcome::default(),
    }
}

/// Returns an evaluation without a component.
pub fn evaluation(outcome: Outcome) -> Evaluation {
    Evaluation {
        policy: "web".to_owned(),
        reference: "builtin:target-tracking".to_owned(),
        digest: "ab".repeat(32),
        config: r#"{"metric":"haproxy.sessions","target_per_droplet":10}"#.to_owned(),
        mode: Mode::Active,
        state: b"before".to_vec(),
        decision: Decision {
            outcome,
            reason: "25 sessions need 3 droplets".to_owned(),
            signals: vec![Signal {
                name: "haproxy.sessions".to_owned(),
                value: 25.0,
                target: Some(10.0),
                wants: Some(3),
            }],
            state: b"after".to_vec(),
            next_check_ms: None,
        },
        answered_by: AnswerSource::Primary,
        failure: None,
        fuel: 12_345,
        duration_us: 67,
        log: vec!["info: looked".to_owned()],
    }
}

/// Returns a tick that scales a fleet of two to three.
pub fn tick(at: Timestamp, sessions: f64) -> TickRecord {
    let metrics = vec![series("haproxy.sessions", "sessions", at, &[sessions - 5.0, sessions])];
    let evaluations = vec![evaluation(Outcome::ScaleTo(ScaleTo { count: 3, ..ScaleTo::default() }))];
    record(observation(at, 2, metrics), evaluations, GuardRules::default(), GuardFacts::default())
}
