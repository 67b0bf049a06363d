//! What the loop says: a log line for each change, and the counts. Nothing here is said again at each tick.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::trouble::Troubles;
use crate::controller::{Event, Reporter};
use crate::inventory::Snapshot;
use crate::model::{Answer, Direction, Mode, OperationKind, Outcome, Phase, Plan, Rung, TickRecord, Trigger};
use crate::telemetry::{Telemetry, families};

/// The fleet by phase, and what is under way.
pub(super) fn fleet(telemetry: &Telemetry, snapshot: &Snapshot) {
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
    telemetry.count(|registry| {
        for (phase, count) in by_phase {
            registry.set(&families::FLEET, &[("phase", phase)], count);
        }
        registry.set(&families::OPERATIONS, &[("kind", "create")], creates);
        registry.set(&families::OPERATIONS, &[("kind", "delete")], deletes);
    });
}

/// A droplet serves, so long after it was decided on.
pub(super) fn serving(telemetry: &Telemetry, took: Duration) {
    telemetry.count(|registry| registry.observe(&families::SERVING_TIME, &[], took.as_secs_f64()));
}

/// A pass over what is under way.
pub(super) fn pass(telemetry: &Telemetry, result: &str) {
    telemetry.count(|registry| registry.add(&families::PASSES, &[("result", result)], 1.0));
}

/// A tick that came to no plan.
pub(super) fn failed_tick(telemetry: &Telemetry, trigger: Trigger) {
    telemetry.count(|registry| {
        registry.add(&families::TICKS, &[("trigger", word(trigger)), ("result", "failed")], 1.0);
    });
}

/// Something was loaded anew, or refused.
pub(super) fn reload(telemetry: &Telemetry, result: &str) {
    telemetry.count(|registry| registry.add(&families::RELOADS, &[("result", result)], 1.0));
}

fn word(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Interval => "interval",
        Trigger::NextCheck => "next-check",
        Trigger::Reload => "reload",
        Trigger::Manual => "manual",
    }
}

fn outcome(answer: &Answer) -> &'static str {
    match &answer.decision.outcome {
        Outcome::Hold => "hold",
        Outcome::ScaleTo(_) => "scale-to",
        Outcome::Change(_) => "change",
    }
}

fn rung(rung: Rung) -> &'static str {
    match rung {
        Rung::Own => "own",
        Rung::LastGood => "last-good",
        Rung::Hold => "hold",
    }
}

/// What the loop said at the last tick, so that it says what is new.
#[derive(Debug, Default)]
pub(super) struct Teller {
    troubles: Troubles,
    cuts: BTreeSet<String>,
}

impl Teller {
    /// A tick that came to a plan.
    pub(super) fn tick(&mut self, telemetry: &Telemetry, record: &TickRecord, took: Duration) {
        count(telemetry, record, took);
        self.policies(record);
        self.cuts(&record.plan);
        match &record.outcome.error {
            Some(why) if self.troubles.begins("commit", why) => {
                tracing::warn!("not all that was planned is begun: {why}");
            }
            None if !record.plan.is_empty() && self.troubles.ends("commit") => {
                tracing::info!("what is planned is begun again");
            }
            Some(_) | None => {}
        }
        // What could not be begun was said above.
        if !record.outcome.operations.is_empty() {
            decided(record);
        }
    }

    fn policies(&mut self, record: &TickRecord) {
        for answer in &record.answers {
            let (policy, subject) = (answer.policy.as_str(), format!("{POLICY}{}", answer.policy));
            match &answer.failure {
                None => {
                    if self.troubles.ends(&subject) {
                        tracing::info!(policy, "the policy answers again");
                    }
                }
                // The rung is part of what is said.
                Some(why) if self.troubles.begins(&subject, &format!("{} {why}", rung(answer.rung))) => {
                    let instead = match answer.rung {
                        Rung::LastGood => "its last good component answers in its place",
                        Rung::Own | Rung::Hold => "the fleet is held",
                    };
                    tracing::error!(policy, rung = rung(answer.rung), "the policy fails, {instead}: {why}");
                }
                Some(_) => {}
            }
            for line in &answer.log {
                tracing::debug!(policy, "{line}");
            }
        }
        self.troubles.retain(POLICY, |policy| record.answers.iter().any(|answer| answer.policy == policy));
    }

    /// A rule that cuts for as long as it does is said once.
    fn cuts(&mut self, plan: &Plan) {
        let now: BTreeSet<String> = plan.cuts.iter().map(|cut| cut.rule.clone()).collect();
        for cut in plan.cuts.iter().filter(|cut| !self.cuts.contains(&cut.rule)) {
            tracing::info!(rule = cut.rule, "the guard: {}", cut.detail);
        }
        self.cuts = now;
    }
}

/// What troubles with policies are kept under.
const POLICY: &str = "policy ";

/// A decision that changes something.
fn decided(record: &TickRecord) {
    let plan = &record.plan;
    let answer = record.chosen.and_then(|index| record.answers.get(index as usize));
    let deletes: Vec<&str> = plan.deletes.iter().map(|delete| delete.droplet.as_str()).collect();
    let reason = answer.map_or("kept within its bounds", |answer| answer.decision.reason.as_str());
    tracing::info!(
        tick = record.observation.tick,
        from = plan.from,
        to = plan.to,
        create = plan.created(),
        delete = deletes.join(" "),
        policy = answer.map(|answer| answer.policy.as_str()),
        "scaling {}: {reason}",
        if plan.to < plan.from { Direction::In } else { Direction::Out }
    );
}

fn count(telemetry: &Telemetry, record: &TickRecord, took: Duration) {
    telemetry.count(|registry| {
        registry.add(&families::TICKS, &[("trigger", word(record.trigger)), ("result", "ok")], 1.0);
        registry.observe(&families::TICK_TIME, &[], took.as_secs_f64());
        registry.set(&families::DESIRED, &[], f64::from(record.plan.to));
        registry.clear(&families::POLICY_FAILING);
        for answer in &record.answers {
            let policy = answer.policy.as_str();
            let mode = if answer.mode == Mode::Active { "active" } else { "shadow" };
            let labels = [("policy", policy), ("mode", mode), ("outcome", outcome(answer))];
            registry.add(&families::DECISIONS, &labels, 1.0);
            if answer.micros > 0 {
                let took = Duration::from_micros(answer.micros).as_secs_f64();
                registry.observe(&families::PLUGIN_TIME, &[("policy", policy)], took);
            }
            let fails = answer.failure.is_some();
            registry.set(&families::POLICY_FAILING, &[("policy", policy)], f64::from(u8::from(fails)));
            if fails {
                let labels = [("policy", policy), ("answered_by", rung(answer.rung))];
                registry.add(&families::PLUGIN_FAILURES, &labels, 1.0);
            }
        }
        let rules: BTreeSet<&str> = record.plan.cuts.iter().map(|cut| cut.rule.as_str()).collect();
        for rule in rules {
            registry.add(&families::CUTS, &[("rule", rule)], 1.0);
        }
    });
}

/// Where a service's events go: to the log and to the counts. What is tried again and again is said when it changes.
pub fn reporter(telemetry: Telemetry) -> Reporter {
    let retrying: Mutex<HashMap<String, Troubles>> = Mutex::default();
    Reporter::new(move |event| {
        let mut retrying = retrying.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = match event {
            Event::Retrying { droplet, why } => {
                if retrying.entry(droplet.to_string()).or_default().begins("", why) {
                    tracing::warn!("{event}");
                }
                "retrying"
            }
            Event::GaveUp { droplet, .. } => {
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
            Event::Vanished { droplet, .. } => {
                retrying.remove(droplet.as_str());
                tracing::warn!("{event}");
                "vanished"
            }
            Event::Twin { .. } => {
                tracing::warn!("{event}");
                "twin"
            }
            Event::Unknown { .. } => {
                tracing::warn!("{event}");
                "unknown"
            }
            other => {
                tracing::info!("{other}");
                "other"
            }
        };
        drop(retrying);
        telemetry.count(|registry| registry.add(&families::EVENTS, &[("kind", kind)], 1.0));
    })
}
