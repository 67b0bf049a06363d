//! Log lines and metrics of the loops. Only changes are logged, not every tick.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use doproxy_core::domain::{
    AnswerSource, Direction, Evaluation, Mode, OperationKind, Outcome, Phase, Plan, TickRecord, Trigger,
};
use doproxy_core::seams::Snapshot;
use doproxy_telemetry::{Telemetry, families};

use crate::event::{Event, EventSink};
use crate::service::conditions::Conditions;

/// Records the fleet by phase and the open operations.
pub(super) fn report_fleet(telemetry: &Telemetry, snapshot: &Snapshot) {
    let mut by_phase: BTreeMap<&str, f64> =
        Phase::ALL.into_iter().filter(|phase| *phase != Phase::Gone).map(|phase| (phase.as_str(), 0.0)).collect();
    for droplet in &snapshot.droplets {
        *by_phase.entry(droplet.phase.as_str()).or_default() += 1.0;
    }
    let (mut creates, mut deletes) = (0.0, 0.0);
    for operation in &snapshot.operations {
        match operation.kind {
            OperationKind::Create => creates += 1.0,
            OperationKind::Delete => deletes += 1.0,
        }
    }
    telemetry.record(|registry| {
        for (phase, count) in by_phase {
            registry.set(&families::FLEET_DROPLETS, &[("phase", phase)], count);
        }
        registry.set(&families::OPEN_OPERATIONS, &[("kind", "create")], creates);
        registry.set(&families::OPEN_OPERATIONS, &[("kind", "delete")], deletes);
    });
}

/// Records the time from a droplet's decision to serving.
pub(super) fn report_startup(telemetry: &Telemetry, took: Duration) {
    telemetry.record(|registry| registry.observe(&families::DROPLET_STARTUP_DURATION, &[], took.as_secs_f64()));
}

/// Records the result of a reconcile pass.
pub(super) fn report_pass(telemetry: &Telemetry, result: &str) {
    telemetry.record(|registry| registry.add(&families::RECONCILES, &[("result", result)], 1.0));
}

/// Records a failed tick.
pub(super) fn report_failed_tick(telemetry: &Telemetry, trigger: Trigger) {
    telemetry.record(|registry| {
        registry.add(&families::TICKS, &[("trigger", trigger_label(trigger)), ("result", "failed")], 1.0);
    });
}

/// Records the result of a reload.
pub(super) fn report_reload(telemetry: &Telemetry, result: &str) {
    telemetry.record(|registry| registry.add(&families::CONFIG_RELOADS, &[("result", result)], 1.0));
}

fn trigger_label(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Interval => "interval",
        Trigger::NextCheck => "next-check",
        Trigger::Reload => "reload",
        Trigger::Manual => "manual",
    }
}

fn outcome_label(answer: &Evaluation) -> &'static str {
    match &answer.decision.outcome {
        Outcome::Hold => "hold",
        Outcome::ScaleTo(_) => "scale-to",
        Outcome::Change(_) => "change",
    }
}

fn answer_source_label(rung: AnswerSource) -> &'static str {
    match rung {
        AnswerSource::Primary => "own",
        AnswerSource::LastGood => "last-good",
        AnswerSource::Hold => "hold",
    }
}

/// Reports ticks; remembers the state of the previous tick in order to log only changes.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    conditions: Conditions,
    restrictions: BTreeSet<String>,
}

impl Reporter {
    /// Reports a tick that produced a plan.
    pub(super) fn report_tick(&mut self, telemetry: &Telemetry, record: &TickRecord, took: Duration) {
        count_tick(telemetry, record, took);
        self.report_policies(record);
        self.report_restrictions(&record.plan);
        match &record.outcome.error {
            Some(why) if self.conditions.raise("commit", why) => {
                tracing::warn!("failed to start some planned operations: {why}");
            }
            None if !record.plan.is_empty() && self.conditions.clear("commit") => {
                tracing::info!("planned operations start again");
            }
            Some(_) | None => {}
        }
        // Operations that failed to start were logged above.
        if !record.outcome.operations.is_empty() {
            log_decision(record);
        }
    }

    fn report_policies(&mut self, record: &TickRecord) {
        for answer in &record.evaluations {
            let (policy, subject) = (answer.policy.as_str(), format!("{POLICY_CONDITION_PREFIX}{}", answer.policy));
            match &answer.failure {
                None => {
                    if self.conditions.clear(&subject) {
                        tracing::info!(policy, "the policy recovered");
                    }
                }
                // The answer source is part of the condition, so a change of it is logged.
                Some(why)
                    if self
                        .conditions
                        .raise(&subject, &format!("{} {why}", answer_source_label(answer.answered_by))) =>
                {
                    let instead = match answer.answered_by {
                        AnswerSource::LastGood => "using its last good component",
                        AnswerSource::Primary | AnswerSource::Hold => "holding the fleet",
                    };
                    tracing::error!(
                        policy,
                        rung = answer_source_label(answer.answered_by),
                        "policy failed; {instead}: {why}"
                    );
                }
                Some(_) => {}
            }
            for line in &answer.log {
                tracing::debug!(policy, "{line}");
            }
        }
        self.conditions
            .retain(POLICY_CONDITION_PREFIX, |policy| record.evaluations.iter().any(|answer| answer.policy == policy));
    }

    /// Logs each restricting rule once, when it starts to apply.
    fn report_restrictions(&mut self, plan: &Plan) {
        let now: BTreeSet<String> = plan.restrictions.iter().map(|cut| cut.rule.clone()).collect();
        for cut in plan.restrictions.iter().filter(|cut| !self.restrictions.contains(&cut.rule)) {
            tracing::info!(rule = cut.rule, "guard: {}", cut.detail);
        }
        self.restrictions = now;
    }
}

/// The prefix of the subjects of policy conditions.
const POLICY_CONDITION_PREFIX: &str = "policy ";

/// Logs a decision that changes the fleet.
fn log_decision(record: &TickRecord) {
    let plan = &record.plan;
    let answer = record.selected.and_then(|index| record.evaluations.get(index as usize));
    let deletes: Vec<&str> = plan.deletes.iter().map(|delete| delete.droplet.as_str()).collect();
    let reason = answer.map_or("enforcing the fleet's limits", |answer| answer.decision.reason.as_str());
    tracing::info!(
        tick = record.observation.tick,
        from = plan.from,
        to = plan.to,
        create = plan.create_count(),
        delete = deletes.join(" "),
        policy = answer.map(|answer| answer.policy.as_str()),
        "scaling {}: {reason}",
        if plan.to < plan.from { Direction::In } else { Direction::Out }
    );
}

fn count_tick(telemetry: &Telemetry, record: &TickRecord, took: Duration) {
    telemetry.record(|registry| {
        registry.add(&families::TICKS, &[("trigger", trigger_label(record.trigger)), ("result", "ok")], 1.0);
        registry.observe(&families::TICK_DURATION, &[], took.as_secs_f64());
        registry.set(&families::DESIRED_DROPLETS, &[], f64::from(record.plan.to));
        registry.clear(&families::POLICY_FAILING);
        for answer in &record.evaluations {
            let policy = answer.policy.as_str();
            let mode = if answer.mode == Mode::Active { "active" } else { "shadow" };
            let labels = [("policy", policy), ("mode", mode), ("outcome", outcome_label(answer))];
            registry.add(&families::DECISIONS, &labels, 1.0);
            if answer.duration_us > 0 {
                let took = Duration::from_micros(answer.duration_us).as_secs_f64();
                registry.observe(&families::POLICY_EVALUATION_DURATION, &[("policy", policy)], took);
            }
            let fails = answer.failure.is_some();
            registry.set(&families::POLICY_FAILING, &[("policy", policy)], f64::from(u8::from(fails)));
            if fails {
                let labels = [("policy", policy), ("answered_by", answer_source_label(answer.answered_by))];
                registry.add(&families::POLICY_FAILURES, &labels, 1.0);
            }
        }
        let rules: BTreeSet<&str> = record.plan.restrictions.iter().map(|cut| cut.rule.as_str()).collect();
        for rule in rules {
            registry.add(&families::GUARD_LIMITED, &[("rule", rule)], 1.0);
        }
    });
}

/// Creates the event sink of a service, which writes to the log and to the metrics. Repeated retries are logged only
/// when the reason changes.
pub fn event_sink(telemetry: Telemetry) -> EventSink {
    let retrying: Mutex<HashMap<String, Conditions>> = Mutex::default();
    EventSink::new(move |event| {
        let mut retrying = retrying.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = match event {
            Event::Retrying { droplet, why } => {
                if retrying.entry(droplet.to_string()).or_default().raise("", why) {
                    tracing::warn!("{event}");
                }
                "retrying"
            }
            Event::Abandoned { droplet, .. } => {
                retrying.remove(droplet.as_str());
                tracing::warn!("{event}");
                "gave-up"
            }
            Event::Phase { droplet, phase, .. } => {
                retrying.remove(droplet.as_str());
                tracing::info!("{event}");
                phase.as_str()
            }
            Event::Created { droplet, .. } => {
                retrying.remove(droplet.as_str());
                tracing::info!("{event}");
                "created"
            }
            Event::OutcomeUnknown { .. } => {
                tracing::warn!("{event}");
                "outcome-unknown"
            }
            Event::DropletMissing { droplet, .. } => {
                retrying.remove(droplet.as_str());
                tracing::warn!("{event}");
                "vanished"
            }
            Event::DuplicateFound { .. } => {
                tracing::warn!("{event}");
                "twin"
            }
            Event::OrphanFound { .. } => {
                tracing::warn!("{event}");
                "unknown"
            }
            other => {
                tracing::info!("{other}");
                "other"
            }
        };
        drop(retrying);
        telemetry.record(|registry| registry.add(&families::EVENTS, &[("kind", kind)], 1.0));
    })
}
