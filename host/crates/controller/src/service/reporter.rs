//! Log lines and metrics of the loops. Only changes are logged, not every tick.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use doproxy_core::domain::{
    AnswerSource, Direction, Evaluation, Mode, OperationKind, Outcome, Phase, Plan, TickRecord, Timestamp, Trigger,
};
use doproxy_core::seams::Snapshot;
use doproxy_support::sync::lock;
use doproxy_telemetry::{LastTick, PolicyStatus, Telemetry, families};

use crate::error::ControllerError;
use crate::event::{Event, EventSink};
use crate::service::conditions::Conditions;
use crate::service::policy_slot::PolicySlot;

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

/// Records the state after a tick, for `status`.
pub(super) fn report_status(telemetry: &Telemetry, record: &TickRecord, slots: &[PolicySlot], next_tick: Timestamp) {
    let policies = slots.iter().zip(&record.evaluations).map(|(slot, evaluation)| PolicyStatus {
        name: evaluation.policy.clone(),
        reference: evaluation.reference.clone(),
        digest: evaluation.digest.clone(),
        mode: evaluation.mode,
        answered_by: evaluation.answered_by,
        failing_since: slot.failing_since(),
        failures: slot.failures(),
        last_error: evaluation.failure.clone(),
    });
    let selected = record.selected.and_then(|index| record.evaluations.get(index as usize));
    let last_tick = LastTick {
        tick: record.observation.tick,
        at: record.at,
        from: record.plan.from,
        to: record.plan.to,
        reason: selected
            .map_or_else(|| "no policy is active".to_owned(), |evaluation| evaluation.decision.reason.clone()),
        restrictions: record.plan.restrictions.iter().map(|restriction| restriction.rule.clone()).collect(),
        error: record.outcome.error.clone(),
    };
    let stale = record.observation.metrics.iter().filter(|series| series.stale).map(|series| series.name.clone());
    telemetry.update_status(|status| {
        status.ticks += 1;
        status.last_tick = Some(last_tick);
        status.tick_error = None;
        status.next_tick = Some(next_tick);
        status.policies = policies.collect();
        status.stale = stale.collect();
    });
}

/// Records the result of a reload.
pub(super) fn report_reload(telemetry: &Telemetry, result: &str) {
    telemetry.record(|registry| registry.add(&families::CONFIG_RELOADS, &[("result", result)], 1.0));
}

fn trigger_label(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Interval => "interval",
        Trigger::NextCheck => "next_check",
        Trigger::Reload => "reload",
        Trigger::Manual => "manual",
    }
}

fn outcome_label(evaluation: &Evaluation) -> &'static str {
    match &evaluation.decision.outcome {
        Outcome::Hold => "hold",
        Outcome::ScaleTo(_) => "scale-to",
        Outcome::Change(_) => "change",
    }
}

fn answer_source_label(source: AnswerSource) -> &'static str {
    match source {
        AnswerSource::Primary => "primary",
        AnswerSource::LastGood => "last_good",
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
    /// Reports a tick that produced no plan.
    pub(super) fn report_failed_tick(&mut self, telemetry: &Telemetry, trigger: Trigger, error: &ControllerError) {
        let why = error.to_string();
        telemetry.record(|registry| {
            registry.add(&families::TICKS, &[("trigger", trigger_label(trigger)), ("result", "failed")], 1.0);
        });
        if self.conditions.raise(TICK_CONDITION, &why) {
            tracing::error!("tick failed: {why}");
        }
        telemetry.update_status(|status| status.tick_error = Some(why));
    }

    /// Reports a tick that produced a plan.
    pub(super) fn report_tick(&mut self, telemetry: &Telemetry, record: &TickRecord, took: Duration) {
        if self.conditions.clear(TICK_CONDITION) {
            tracing::info!("ticks succeed again");
        }
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
        for evaluation in &record.evaluations {
            let (policy, subject) =
                (evaluation.policy.as_str(), format!("{POLICY_CONDITION_PREFIX}{}", evaluation.policy));
            match &evaluation.failure {
                None => {
                    if self.conditions.clear(&subject) {
                        tracing::info!(policy, "the policy recovered");
                    }
                }
                // The answer source is part of the condition, so a change of it is logged.
                Some(why)
                    if self
                        .conditions
                        .raise(&subject, &format!("{} {why}", answer_source_label(evaluation.answered_by))) =>
                {
                    let instead = match evaluation.answered_by {
                        AnswerSource::LastGood => "using its last good component",
                        AnswerSource::Primary | AnswerSource::Hold => "holding the fleet",
                    };
                    tracing::error!(
                        policy,
                        answered_by = answer_source_label(evaluation.answered_by),
                        "policy failed; {instead}: {why}"
                    );
                }
                Some(_) => {}
            }
            for line in &evaluation.log {
                tracing::debug!(policy, "{line}");
            }
        }
        self.conditions.retain(POLICY_CONDITION_PREFIX, |policy| {
            record.evaluations.iter().any(|evaluation| evaluation.policy == policy)
        });
    }

    /// Logs each restricting rule once, when it starts to apply.
    fn report_restrictions(&mut self, plan: &Plan) {
        let now: BTreeSet<String> = plan.restrictions.iter().map(|restriction| restriction.rule.clone()).collect();
        for restriction in plan.restrictions.iter().filter(|restriction| !self.restrictions.contains(&restriction.rule))
        {
            tracing::info!(rule = restriction.rule, "guard: {}", restriction.detail);
        }
        self.restrictions = now;
    }
}

const TICK_CONDITION: &str = "tick";
/// The prefix of the subjects of policy conditions.
const POLICY_CONDITION_PREFIX: &str = "policy ";

/// Logs a decision that changes the fleet.
fn log_decision(record: &TickRecord) {
    let plan = &record.plan;
    let evaluation = record.selected.and_then(|index| record.evaluations.get(index as usize));
    let deletes: Vec<&str> = plan.deletes.iter().map(|delete| delete.droplet.as_str()).collect();
    let reason = evaluation.map_or("enforcing the fleet's limits", |evaluation| evaluation.decision.reason.as_str());
    tracing::info!(
        tick = record.observation.tick,
        from = plan.from,
        to = plan.to,
        create = plan.create_count(),
        delete = deletes.join(" "),
        policy = evaluation.map(|evaluation| evaluation.policy.as_str()),
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
        for evaluation in &record.evaluations {
            let policy = evaluation.policy.as_str();
            let mode = if evaluation.mode == Mode::Active { "active" } else { "shadow" };
            let labels = [("policy", policy), ("mode", mode), ("outcome", outcome_label(evaluation))];
            registry.add(&families::DECISIONS, &labels, 1.0);
            if evaluation.duration_us > 0 {
                let took = Duration::from_micros(evaluation.duration_us).as_secs_f64();
                registry.observe(&families::POLICY_EVALUATION_DURATION, &[("policy", policy)], took);
            }
            let fails = evaluation.failure.is_some();
            registry.set(&families::POLICY_FAILING, &[("policy", policy)], f64::from(u8::from(fails)));
            if fails {
                let labels = [("policy", policy), ("answered_by", answer_source_label(evaluation.answered_by))];
                registry.add(&families::POLICY_FAILURES, &labels, 1.0);
            }
        }
        let rules: BTreeSet<&str> =
            record.plan.restrictions.iter().map(|restriction| restriction.rule.as_str()).collect();
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
        let mut retrying = lock(&retrying);
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
                "abandoned"
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
                "outcome_unknown"
            }
            Event::DropletMissing { droplet, .. } => {
                retrying.remove(droplet.as_str());
                tracing::warn!("{event}");
                "missing"
            }
            Event::DuplicateFound { .. } => {
                tracing::warn!("{event}");
                "duplicate"
            }
            Event::OrphanFound { .. } => {
                tracing::warn!("{event}");
                "orphan"
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
