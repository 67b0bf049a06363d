//! The page of the report, rendered from `page.html`.

use serde_json::{Value, json};
use tera::{Context, Tera};

use crate::columns::{columns, rows};
use crate::compare::{Comparison, Row};
use crate::runner::RunResult;
use crate::scenario::Scenario;

/// Maximum number of points in a line. Longer runs are drawn in buckets, using the maximum of the demand and the
/// minimum of the supply.
const MAX_POINTS: usize = 50_000;

/// Maximum number of decisions per policy shown with their reasons.
const MAX_REASONS: usize = 5_000;

/// Renders the page for a comparison produced by `command`.
pub fn render_page(scenario: &Scenario, comparison: &Comparison, command: &str) -> Result<String, tera::Error> {
    let facts = [
        ("Command", command.to_owned()),
        ("Version", env!("CARGO_PKG_VERSION").to_owned()),
        ("Begins", scenario.start.to_string()),
        ("Ticks", format!("{} of {:?}", scenario.demand.len(), scenario.tick)),
        ("Droplets", format!("{} requests/s each, {:?} to boot", scenario.setup.capacity, scenario.boot_time.median())),
        ("Price", format!("${}/h, at least {} s each", scenario.price_model.hourly, scenario.price_model.minimum_s)),
        ("Guard", if scenario.scaling_rules.is_some() { "as in doproxy.yml" } else { "only min and max" }.to_owned()),
        ("Seed", scenario.seed.to_string()),
    ];
    let columns = columns(comparison);
    let mut context = Context::new();
    context.insert("style", include_str!("style.css"));
    context.insert("script", include_str!("chart.js"));
    context.insert("columns", &columns.iter().map(|column| column.header).collect::<Vec<_>>());
    context.insert(
        "rows",
        &rows(comparison)
            .map(|row| columns.iter().map(|column| column.cell(scenario, row)).collect())
            .collect::<Vec<Vec<String>>>(),
    );
    context.insert("facts", &facts);
    context.insert("policies", &comparison.policies.iter().map(|(row, _)| digest(row)).collect::<Vec<_>>());
    context.insert("data", &embed_json(&data(scenario, comparison)));
    render(&context)
}

fn render(context: &Context) -> Result<String, tera::Error> {
    let mut tera = Tera::new();
    tera.add_raw_template("page.html", include_str!("page.html"))?;
    tera.render("page.html", context)
}

/// Serializes JSON so that it cannot end the script element that contains it.
fn embed_json(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

fn digest(row: &Row) -> Value {
    json!({
        "name": row.name,
        "reference": row.reference.as_deref().unwrap_or_default(),
        "digest": row.digest.as_deref().unwrap_or_default(),
        "config": row.config.as_ref().map(Value::to_string).unwrap_or_default(),
    })
}

fn data(scenario: &Scenario, comparison: &Comparison) -> Value {
    let bucket = scenario.demand.len().div_ceil(MAX_POINTS).max(1);
    let demand: Vec<f64> = scenario
        .demand
        .chunks(bucket)
        .map(|demand| round_for_chart(demand.iter().copied().fold(0.0, f64::max)))
        .collect();
    let required: Vec<u32> = scenario
        .demand
        .chunks(bucket)
        .map(|demand| demand.iter().map(|demand| scenario.setup.required(*demand)).max().unwrap_or(0))
        .collect();
    let optimum: Vec<u32> = comparison.limit.optimum().ready.chunks(bucket).map(min_size).collect();
    json!({
        "start_ms": scenario.start.0,
        "point_s": scenario.setup.tick_s * crate::number::to_f64(bucket as u64),
        "capacity": scenario.setup.capacity,
        "demand": demand,
        "required": step_points(&required),
        "optimum": step_points(&optimum),
        "policies": comparison.policies.iter().map(|(row, result)| policy(row, result, bucket)).collect::<Vec<_>>(),
        "bounds": comparison.baselines.iter().map(point).collect::<Vec<_>>(),
    })
}

fn policy(row: &Row, result: &RunResult, bucket: usize) -> Value {
    let ready: Vec<u32> = result.run.steps.iter().map(|step| step.ready).collect();
    let ready: Vec<u32> = ready.chunks(bucket).map(min_size).collect();
    let changes: Vec<Value> = result
        .changes
        .iter()
        .take(MAX_REASONS)
        .map(|change| json!([change.tick as usize / bucket, change.from, change.to, change.reason]))
        .collect();
    json!({ "name": row.name, "ready": step_points(&ready), "changes": changes, "point": point(row) })
}

/// Returns a row's point in the chart of cost against unserved requests.
fn point(row: &Row) -> Value {
    json!({ "name": row.name, "unserved_pct": row.score.unserved_pct, "cost": row.score.cost })
}

fn min_size(sizes: &[u32]) -> u32 {
    sizes.iter().copied().min().unwrap_or(0)
}

/// Compresses a step line to pairs of an index and the value from there on.
fn step_points(values: &[u32]) -> Vec<(usize, u32)> {
    let mut steps: Vec<(usize, u32)> = Vec::new();
    for (index, value) in values.iter().copied().enumerate() {
        if steps.last().is_none_or(|(_, last)| *last != value) {
            steps.push((index, value));
        }
    }
    steps
}

/// Rounds to three decimal places, which is enough for drawing.
fn round_for_chart(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests;
