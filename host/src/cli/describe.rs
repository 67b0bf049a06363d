//! A tick as text: each policy's decision and reason, and the guard's restrictions.

use doproxy_core::domain::{AnswerSource, Evaluation, Mode, Outcome, Plan, TickRecord};

use crate::cli::output;

/// Describes each policy's evaluation and the plan that the guard made of it.
pub(super) fn describe(record: &TickRecord) -> String {
    let mut lines: Vec<String> = record.evaluations.iter().flat_map(describe_evaluation).collect();
    let plan = &record.plan;
    lines.extend(
        plan.restrictions.iter().map(|restriction| format!("  guard     {}: {}", restriction.rule, restriction.detail)),
    );
    lines.push(format!("  plan      {}", describe_plan(plan)));
    lines.join("\n")
}

/// Describes the decision, its reason and its signals.
fn describe_evaluation(evaluation: &Evaluation) -> Vec<String> {
    let Evaluation { policy, decision, .. } = evaluation;
    let shadow = if evaluation.mode == Mode::Shadow { " (shadow, not applied)" } else { "" };
    let stand_in =
        if evaluation.answered_by == AnswerSource::LastGood { " (from the last good component)" } else { "" };
    let wanted = match &decision.outcome {
        Outcome::Hold => "hold".to_owned(),
        Outcome::ScaleTo(to) => format!("scale to {}", to.count),
        Outcome::Change(change) => format!(
            "create {}, delete {}",
            change.create.iter().fold(0_u32, |sum, request| sum.saturating_add(request.count)),
            change.delete.len()
        ),
    };
    let mut lines = vec![format!("{policy}{shadow}{stand_in}"), format!("  decision  {wanted}: {}", decision.reason)];
    for signal in &decision.signals {
        let target = signal.target.map(|target| format!(", target {target}")).unwrap_or_default();
        let wants = signal
            .wants
            .map(|wants| format!(", recommends {}", output::count(wants as usize, "droplet")))
            .unwrap_or_default();
        lines.push(format!("  signal    {} {}{target}{wants}", signal.name, round_to_hundredths(signal.value)));
    }
    lines.extend(evaluation.failure.iter().map(|failure| format!("  failed    {failure}")));
    lines.extend(evaluation.log.iter().map(|line| format!("  log       {line}")));
    lines
}

pub(super) fn describe_plan(plan: &Plan) -> String {
    if plan.is_empty() {
        return format!("no changes, {}", output::count(plan.from as usize, "droplet"));
    }
    let mut parts = Vec::new();
    if plan.create_count() > 0 {
        parts.push(format!("create {}", plan.create_count()));
    }
    if !plan.deletes.is_empty() {
        let names: Vec<&str> = plan.deletes.iter().map(|delete| delete.droplet.as_str()).collect();
        parts.push(format!("delete {}", names.join(", ")));
    }
    format!("{} → {}: {}", plan.from, plan.to, parts.join("; "))
}

/// Rounds to two decimals, which is precise enough for an explanation.
fn round_to_hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
