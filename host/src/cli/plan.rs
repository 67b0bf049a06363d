//! `doproxy plan`: a single tick without applying it. Takes no lock, writes nothing and starts no cooldown.

use std::path::Path;

use doproxy_config::Span;
use doproxy_core::domain::{HourlyPrice, Mode, Observation, Plan, TickRecord};
use doproxy_core::seams::CreateRequest;
use doproxy_inventory_sqlite::SqliteInventory;
use doproxy_metrics::TimeSeriesStore;
use serde::Serialize;
use tempfile::TempDir;

use crate::cli::context::CommandContext;
use crate::cli::describe::describe;
use crate::cli::output::{Progress, out};
use crate::cli::run::MIN_WINDOW;
use crate::cli::sample_twice::{metric_requirements, sample_twice};
use crate::cli::{Global, UsageError};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Policies are evaluated with their stored state, and the resulting state is discarded.\n\nExamples:\n  doproxy plan\n  doproxy plan --json | jq .plan"
)]
pub(super) struct Args {
    /// Sampling time of HAProxy before the policies are evaluated.
    #[arg(long, default_value = "5s", value_name = "TIME")]
    window: Span,
    /// Print the full tick as JSON.
    #[arg(long)]
    json: bool,
}

/// The API calls and cost of executing a plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct PlanCost {
    /// Number of API calls that create droplets.
    create_calls: u32,
    /// Number of droplets to drain and delete.
    deletes: u32,
    /// Current cost of the fleet per hour, in dollars.
    hourly_before: f64,
    /// Cost of the fleet per hour after the plan, in dollars.
    hourly_after: f64,
}

/// The output of `--json`.
#[derive(Debug, Serialize)]
struct PlanOutput<'a> {
    #[serde(flatten)]
    record: &'a TickRecord,
    cost: PlanCost,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    if args.window.0 < MIN_WINDOW {
        return Err(UsageError(
            "--window must be at least 100ms, because rates need two samples some time apart".to_owned(),
        )
        .into());
    }
    let context = CommandContext::load_with_advice(global)?;
    let progress = Progress::new();
    let policies = context.policies().await?;
    // A fleet without an inventory is observed without creating one.
    let (inventory, _scratch) = match context.existing_inventory()? {
        Some(inventory) => (inventory, None),
        None => scratch_inventory()?,
    };
    let controller = context.controller_with_inventory(inventory, progress.reporter()).await?;
    let needs = metric_requirements(&policies);
    let mut state = controller.restore_state(policies).await?;
    // The samples of this command are not stored.
    let database =
        |path: &Path, now| TimeSeriesStore::open_read_only(path, now).unwrap_or_else(|_| TimeSeriesStore::in_memory());
    let sample = sample_twice(&context, &controller, needs, database, args.window.0).await?;
    let input = sample.tick_input();
    let tick = controller.plan(&mut state, &context.scaling_rules(), &input).await?;
    progress.finish();
    let record = &tick.record;
    let price = plan_cost(&record.observation, &record.plan);
    if args.json {
        out!("{}", serde_json::to_string_pretty(&PlanOutput { record, cost: price })?);
        return Ok(());
    }
    if !record.evaluations.iter().any(|evaluation| evaluation.mode == Mode::Active) {
        out!("no active policy; the fleet is only kept within its limits");
    }
    out!("{}", describe(record));
    for line in describe_operations(&record.plan, &price) {
        out!("  would     {line}");
    }
    out!("  cost      {}", describe_cost(&price));
    Ok(())
}

fn scratch_inventory() -> anyhow::Result<(SqliteInventory, Option<TempDir>)> {
    let dir = tempfile::tempdir()?;
    Ok((SqliteInventory::open(dir.path().join("doproxy.db"))?, Some(dir)))
}

fn plan_cost(observation: &Observation, plan: &Plan) -> PlanCost {
    let of = |index: usize| observation.templates.get(index).map(|template| template.hourly_price);
    let fleet = observation.fleet.iter().filter(|droplet| droplet.phase.counts_toward_size());
    let (mut before, mut after) = (HourlyPrice::default(), HourlyPrice::default());
    for droplet in fleet {
        let price = of(droplet.template as usize).unwrap_or_default();
        before = before.plus(price);
        if !plan.deletes.iter().any(|delete| delete.droplet == droplet.name) {
            after = after.plus(price);
        }
    }
    let mut create_calls = 0;
    for create in &plan.creates {
        let size = create.request.size.as_deref();
        let template = observation.templates.iter().position(|template| size.is_none_or(|size| template.size == size));
        let price = template.and_then(of).unwrap_or_default();
        after = after.plus(price.times(create.request.count));
        create_calls += create.request.count.div_ceil(u32::try_from(CreateRequest::MAX_NAMES).unwrap_or(1));
    }
    PlanCost {
        create_calls,
        deletes: u32::try_from(plan.deletes.len()).unwrap_or(u32::MAX),
        hourly_before: before.dollars(),
        hourly_after: after.dollars(),
    }
}

/// Describes the planned operations, one per line.
fn describe_operations(plan: &Plan, price: &PlanCost) -> Vec<String> {
    let mut lines = Vec::new();
    for create in &plan.creates {
        let size = create.request.size.as_deref().map(|size| format!(" of size {size}")).unwrap_or_default();
        lines.push(format!("create {}{size}: {}", create.request.count, create.reason));
    }
    if price.create_calls > 0 {
        lines.push(format!("(at least {} create calls, one for each distinct user data)", price.create_calls));
    }
    for delete in &plan.deletes {
        lines.push(format!("drain and delete {}: {}", delete.droplet, delete.reason));
    }
    lines
}

fn describe_cost(price: &PlanCost) -> String {
    let now = format!("${:.4} per hour", price.hourly_before);
    if price.create_calls == 0 && price.deletes == 0 {
        return format!("{now}, unchanged");
    }
    format!("{now} now, ${:.4} after the plan", price.hourly_after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_describes_the_change() {
        let price = PlanCost { create_calls: 1, deletes: 0, hourly_before: 0.02, hourly_after: 0.035 };

        assert_eq!(describe_cost(&price), "$0.0200 per hour now, $0.0350 after the plan");
        assert_eq!(describe_cost(&PlanCost { create_calls: 0, ..price }), "$0.0200 per hour, unchanged");
    }
}
