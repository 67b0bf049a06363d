//! Explains a record in sentences: the observation, each policy's evaluation and its numbers, the guard's restrictions,
//! the operations, and the tipping points.

use std::sync::Arc;

use doproxy_core::domain::{
    AnswerSource, Evaluation, Mode, Observation, Outcome, Phase, RecordId, Series, TickRecord, Trigger,
};
use serde::Serialize;

use crate::components::Components;
use crate::counterfactual::{Counterfactual, Perturbation, TippingPoint, counterfactuals};
use crate::error::RecordError;
use crate::reader::StoredRecord;
use crate::replay::describe_outcome;
use crate::rule_impact::{RuleImpact, rule_impacts};

/// A record with its tipping points.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The record's number.
    pub id: RecordId,
    /// The observation.
    pub observation: Vec<String>,
    /// The evaluation of each policy.
    pub evaluations: Vec<String>,
    /// The selected evaluation and the reason for selecting it.
    pub selection: String,
    /// The guard's restrictions.
    pub guard: Vec<RuleImpact>,
    /// The plan and its outcome.
    pub outcome: Vec<String>,
    /// The tipping points.
    pub counterfactuals: Vec<Counterfactual>,
    /// The reason that tipping points could not be determined, if any.
    pub counterfactuals_error: Option<String>,
    #[serde(skip)]
    title: String,
}

/// Explains a record. Evaluates the components some hundred times; if one is unavailable, only the tipping points are
/// missing.
pub async fn explain(recorded: &StoredRecord, components: &Components) -> Explanation {
    let found = counterfactuals(&recorded.record, components).await;
    build_explanation(recorded, found)
}

fn build_explanation(recorded: &StoredRecord, found: Result<Vec<Counterfactual>, Arc<RecordError>>) -> Explanation {
    let record = &recorded.record;
    let (counterfactuals, without_counterfactuals) = match found {
        Ok(found) => (found, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    Explanation {
        id: recorded.id,
        observation: describe_observation(&record.observation),
        evaluations: record
            .evaluations
            .iter()
            .flat_map(|evaluation| describe_evaluation(evaluation, record.observation.size()))
            .collect(),
        selection: describe_selection(record),
        guard: rule_impacts(record),
        outcome: describe_plan(record),
        counterfactuals,
        counterfactuals_error: without_counterfactuals,
        title: format!("Record {} of {}, {}.", recorded.id, record.at, trigger_reason(record.trigger)),
    }
}

impl std::fmt::Display for Explanation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut section = |title: &str, lines: &[String]| {
            if lines.is_empty() {
                return Ok(());
            }
            writeln!(f, "\n{title}")?;
            lines.iter().try_for_each(|line| writeln!(f, "  {line}"))
        };
        let guard: Vec<String> = self.guard.iter().flat_map(describe_restriction).collect();
        let mut tipping_points: Vec<String> = self.counterfactuals.iter().map(describe_counterfactual).collect();
        tipping_points.extend(self.counterfactuals_error.iter().map(|why| format!("Not available: {why}.")));
        if tipping_points.is_empty() {
            tipping_points.push("No single metric value would have changed the decision.".to_owned());
        }
        section(&self.title, &self.observation)?;
        section("Policy evaluations:", &self.evaluations)?;
        section("Selected evaluation:", std::slice::from_ref(&self.selection))?;
        section("Guard restrictions:", &guard)?;
        section("Plan:", &self.outcome)?;
        section("Tipping points:", &tipping_points)
    }
}

fn trigger_reason(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Interval => "triggered by the interval",
        Trigger::NextCheck => "triggered by a policy's requested check",
        Trigger::Reload => "triggered by a reload",
        Trigger::Manual => "triggered manually",
    }
}

/// Formats a number for people: up to four decimals, fewer for large numbers.
pub fn format_number(value: f64) -> String {
    let decimals = match value.abs() {
        large if large >= 1000.0 => 0,
        medium if medium >= 10.0 => 1,
        small if small >= 1.0 => 2,
        _ => 4,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Formats a count: `1 droplet`, `2 droplets`.
fn pluralize(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn describe_observation(observation: &Observation) -> Vec<String> {
    let of = |phase: Phase| observation.fleet.iter().filter(move |droplet| droplet.phase == phase);
    let phases = [Phase::Requested, Phase::Booting, Phase::Warming, Phase::Serving, Phase::Draining, Phase::Deleting];
    let fleet: Vec<String> = phases
        .into_iter()
        .filter(|phase| of(*phase).next().is_some())
        .map(|phase| format!("{} {phase}", of(phase).count()))
        .collect();
    let unhealthy = of(Phase::Serving).filter(|droplet| !droplet.healthy).count();
    let mut fleet = match fleet.as_slice() {
        [] => "The fleet was empty".to_owned(),
        _ => format!("The fleet had {}: {}", pluralize(observation.fleet.len(), "droplet"), fleet.join(", ")),
    };
    if unhealthy > 0 {
        fleet += &format!(", {unhealthy} of them unhealthy");
    }
    let limits = &observation.limits;
    let mut lines = vec![format!("{fleet}; its limits were {} to {}.", limits.min, limits.max)];
    lines.extend(observation.metrics.iter().map(|series| {
        let stale = if series.stale { ", which was stale" } else { "" };
        let window = match series.samples.as_slice() {
            [first, .., last] => {
                format!(" ({} samples over {} s)", series.samples.len(), last.at.since(first.at).as_secs())
            }
            _ => String::new(),
        };
        match series.samples.last() {
            Some(newest) => {
                format!(
                    "{} was {}{}{window}{stale}.",
                    series_label(series),
                    format_number(newest.value),
                    unit_suffix(&series.unit)
                )
            }
            None => format!("{} had no samples{stale}.", series_label(series)),
        }
    }));
    lines
}

fn series_label(series: &Series) -> String {
    format_label(&series.name, &series.labels)
}

fn format_label(name: &str, labels: &[(String, String)]) -> String {
    if labels.is_empty() {
        return name.to_owned();
    }
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{name}{{{}}}", labels.join(","))
}

fn unit_suffix(unit: &str) -> String {
    if unit.is_empty() { String::new() } else { format!(" {unit}") }
}

fn describe_evaluation(evaluation: &Evaluation, size: u32) -> Vec<String> {
    let decision = &evaluation.decision;
    let shadow = if evaluation.mode == Mode::Shadow { " (shadow mode, not applied)" } else { "" };
    let wants = match &decision.outcome {
        Outcome::Hold => format!("decided to hold the fleet at {size}"),
        Outcome::ScaleTo(to) if to.count == size => format!("decided to stay at {size}"),
        outcome @ (Outcome::ScaleTo(_) | Outcome::Change(_)) => format!("decided to {}", describe_outcome(outcome)),
    };
    let mut lines = match (&evaluation.failure, evaluation.answered_by) {
        (None, _) => vec![format!("{}{shadow} {wants}: {}.", evaluation.policy, decision.reason)],
        (Some(failure), AnswerSource::LastGood) => vec![
            format!("{}{shadow} failed: {failure}.", evaluation.policy),
            format!("Its last good component was used instead and {wants}: {}.", decision.reason),
        ],
        (Some(failure), AnswerSource::Primary | AnswerSource::Hold) => {
            return vec![format!(
                "{}{shadow} failed, which counts as holding the fleet: {failure}.",
                evaluation.policy
            )];
        }
    };
    lines.extend(decision.signals.iter().map(|signal| {
        let target =
            signal.target.map(|target| format!(" against a target of {}", format_number(target))).unwrap_or_default();
        let wants =
            signal.wants.map(|wants| format!(", which alone requires {}", pluralize(wants as usize, "droplet")));
        format!("- {} was {}{target}{}.", signal.name, format_number(signal.value), wants.unwrap_or_default())
    }));
    lines.push(format!("- Component {} with the configuration {}.", evaluation.reference, evaluation.config));
    lines.extend(evaluation.log.iter().map(|line| format!("- Logged: {line}")));
    lines
}

fn describe_selection(record: &TickRecord) -> String {
    let size = record.observation.size();
    let active: Vec<&Evaluation> =
        record.evaluations.iter().filter(|evaluation| evaluation.mode == Mode::Active).collect();
    let Some(selected) = record.selected.and_then(|index| record.evaluations.get(index as usize)) else {
        return "None: no policy was active, and only the fleet's limits applied.".to_owned();
    };
    let to = selected.decision.outcome.size(size);
    if active.len() == 1 {
        return format!("{}, the only active policy: {size} → {to}.", selected.policy);
    }
    let others: Vec<String> = active
        .iter()
        .filter(|evaluation| evaluation.policy != selected.policy)
        .map(|evaluation| format!("{} recommended {}", evaluation.policy, evaluation.decision.outcome.size(size)))
        .collect();
    let policy = &selected.policy;
    format!("{policy}, {size} → {to}: the largest fleet wins; {}.", others.join(", "))
}

fn describe_restriction(impact: &RuleImpact) -> Vec<String> {
    let mut lines: Vec<String> = impact.details.iter().map(|detail| format!("{}: {detail}.", impact.rule)).collect();
    if let (Some(without), Some(last)) = (impact.size_without_rule, lines.last_mut()) {
        *last += &format!(" Without this rule the fleet would have gone to {without}.");
    }
    lines
}

fn describe_plan(record: &TickRecord) -> Vec<String> {
    let plan = &record.plan;
    let mut lines: Vec<String> = plan
        .creates
        .iter()
        .map(|create| {
            let size = create.request.size.as_deref().map(|size| format!(" of {size}")).unwrap_or_default();
            format!("Create {}{size}: {}.", pluralize(create.request.count as usize, "droplet"), create.reason)
        })
        .collect();
    lines.extend(plan.deletes.iter().map(|delete| format!("Drain and delete {}: {}.", delete.droplet, delete.reason)));
    if lines.is_empty() {
        lines.push(format!("No change: the fleet stayed at {}.", plan.to));
    } else {
        lines.push(format!("The fleet goes from {} to {}.", plan.from, plan.to));
    }
    let operations: Vec<String> = record.outcome.operations.iter().map(ToString::to_string).collect();
    match operations.as_slice() {
        [] => {}
        [one] => lines.push(format!("Journal operation: {one}.")),
        [first, .., last] => {
            lines.push(format!("{} journal operations: {first} to {last}.", operations.len()));
        }
    }
    lines.extend(record.outcome.error.iter().map(|error| format!("Failed to start: {error}.")));
    lines
}

fn describe_counterfactual(found: &Counterfactual) -> String {
    let name = format_label(&found.series, &found.labels);
    let led = |turn: &TippingPoint| format!("the decision would have been {}", turn.size);
    let mut parts = Vec::new();
    if let Some(turn) = &found.above {
        parts.push(format!("at {} and above, {}", format_bound(turn.at, found.value), led(turn)));
    }
    if let Some(turn) = &found.below {
        parts.push(format!("at {} and below, {}", format_bound(turn.at, found.value), led(turn)));
    }
    let what = match found.perturbation {
        Perturbation::Newest => format!("{name} was {}{}", format_number(found.value), unit_suffix(&found.unit)),
        Perturbation::Window => {
            format!("{name} was {}{} (scaling its whole window)", format_number(found.value), unit_suffix(&found.unit))
        }
    };
    format!("{what}; {}.", parts.join("; "))
}

/// Formats a bound so that it reads differently from the observed value.
fn format_bound(at: f64, observation: f64) -> String {
    let text = format_number(at);
    if text == format_number(observation) { format!("{at:.6}") } else { text }
}
