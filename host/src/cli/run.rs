//! `doproxy run --once`: one whole tick.

use std::time::Duration;

use super::app::{App, carry_on};
use super::create::created;
use super::output::{Progress, say};
use super::{Global, Usage, output};
use crate::config::Span;
use crate::controller::{Seen, Tick};
use crate::model::{Answer, Mode, Outcome, Plan, Trigger};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  doproxy run --once\n  doproxy run --once --window 30s")]
pub(super) struct Args {
    /// One tick, and no more.
    #[arg(long, required = true)]
    once: bool,
    /// How long HAProxy is looked at before the policy is asked.
    #[arg(long, default_value = "5s", value_name = "TIME")]
    window: Span,
}

/// A rate needs two looks that differ.
const SHORTEST_WINDOW: Duration = Duration::from_millis(100);

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    if args.window.0 < SHORTEST_WINDOW {
        return Err(Usage("--window is at least 100ms: rates need some time between two looks".to_owned()).into());
    }
    let app = App::load_with_advice(global)?;
    if !app.config.policies.iter().any(|policy| policy.mode == Mode::Active) {
        return Err(Usage(format!(
            "{} names no active policy; add one under scaling.policies, `doproxy plugin list` shows what there is",
            app.config.path.display()
        ))
        .into());
    }
    let progress = Progress::new();
    let policies = app.policies().await?;
    let _lock = app.lock("run --once", &progress).await?;
    let controller = app.controller(&progress).await?;
    carry_on(&controller, &progress).await?;
    let mut mind = controller.mind(policies).await?;
    let before = controller.stats().await?;
    tokio::time::sleep(args.window.0).await;
    let now = controller.stats().await?;
    let seen = Seen { before: &before, now: &now, trigger: Trigger::Manual, api_unreachable: None };
    let mut tick = controller.plan(&mut mind, &app.bounds(), &seen).await?;
    progress.suspend(|| say!("{}", describe(&tick)));
    controller.commit(&mut mind, &mut tick).await?;
    let acted = controller.finish_tick(&tick).await;
    progress.finish();
    let acted = acted?;
    for droplet in &acted.created {
        say!("{}", created(droplet));
    }
    for name in &acted.deleted {
        say!("deleted {name}");
    }
    acted.into_result()?;
    // The fleet was held and kept within its bounds; that a policy failed is a failure all the same.
    let failed = tick.record.answers.iter().find_map(|answer| answer.failure.as_deref());
    failed.map_or(Ok(()), |failure| Err(anyhow::anyhow!("{failure}")))
}

/// What each policy answered, and what the guard left of it.
fn describe(tick: &Tick) -> String {
    let mut lines: Vec<String> = tick.record.answers.iter().flat_map(describe_answer).collect();
    let plan = tick.plan();
    lines.extend(plan.cuts.iter().map(|cut| format!("  guard     {}: {}", cut.rule, cut.detail)));
    lines.push(format!("  plan      {}", describe_plan(plan)));
    lines.join("\n")
}

/// The decision, its reason and its numbers.
fn describe_answer(answer: &Answer) -> Vec<String> {
    let Answer { policy, decision, .. } = answer;
    let shadow = if answer.mode == Mode::Shadow { " (shadow, not acted upon)" } else { "" };
    let wanted = match &decision.outcome {
        Outcome::Hold => "hold".to_owned(),
        Outcome::ScaleTo(to) => format!("scale to {}", to.count),
        Outcome::Change(change) => format!(
            "create {}, delete {}",
            change.create.iter().fold(0_u32, |sum, request| sum.saturating_add(request.count)),
            change.delete.len()
        ),
    };
    let mut lines = vec![format!("{policy}{shadow}"), format!("  decision  {wanted}: {}", decision.reason)];
    for signal in &decision.signals {
        let target = signal.target.map(|target| format!(", target {target}")).unwrap_or_default();
        let wants = signal
            .wants
            .map(|wants| format!(", wants {}", output::count(wants as usize, "droplet")))
            .unwrap_or_default();
        lines.push(format!("  signal    {} {}{target}{wants}", signal.name, rounded(signal.value)));
    }
    lines.extend(answer.log.iter().map(|line| format!("  log       {line}")));
    lines
}

fn describe_plan(plan: &Plan) -> String {
    if plan.is_empty() {
        return format!("nothing to do, {}", output::count(plan.from as usize, "droplet"));
    }
    let mut parts = Vec::new();
    if plan.created() > 0 {
        parts.push(format!("create {}", plan.created()));
    }
    if !plan.deletes.is_empty() {
        let names: Vec<&str> = plan.deletes.iter().map(|delete| delete.droplet.as_str()).collect();
        parts.push(format!("delete {}", names.join(", ")));
    }
    format!("{} → {}: {}", plan.from, plan.to, parts.join("; "))
}

/// Two decimals are enough to see why.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
