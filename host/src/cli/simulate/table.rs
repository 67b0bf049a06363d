//! The comparison as a table and as JSON.

use doproxy_simulation::{Comparison, Scenario, columns, rows};
use serde_json::{Value, json};

use crate::cli::output;
use crate::cli::simulate::Args;

/// Formats the comparison as a text table.
pub(super) fn text(scenario: &Scenario, comparison: &Comparison) -> String {
    let columns = columns(comparison);
    let cells: Vec<Vec<String>> =
        rows(comparison).map(|row| columns.iter().map(|column| column.cell(scenario, row)).collect()).collect();
    let mut lines = vec![head(scenario)];
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let cells = cells.iter().map(|row| row[index].chars().count());
            cells.max().unwrap_or(0).max(column.header.chars().count())
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let cells = cells.iter().zip(&widths).enumerate().map(|(index, (cell, width))| {
            // Names are left-aligned, numbers right-aligned.
            if index == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.push(line(columns.iter().map(|column| column.header).collect()));
    lines.extend(cells.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    for (row, result) in &comparison.policies {
        if !result.restrictions.is_empty() {
            let restrictions: Vec<String> =
                result.restrictions.iter().map(|(rule, count)| format!("{rule} {count}×")).collect();
            lines.push(format!("guard, {}: {}", row.name, restrictions.join(", ")));
        }
    }
    lines.join("\n")
}

fn head(scenario: &Scenario) -> String {
    let ticks = output::count(scenario.demand.len(), "tick");
    let guard = if scenario.scaling_rules.is_some() { "guard of doproxy.yml" } else { "only --min and --max" };
    format!(
        "{ticks} of {:?}, {} requests/s per droplet, boot time {:?}, {guard}",
        scenario.tick,
        scenario.setup.capacity,
        scenario.boot_time.median()
    )
}

/// Returns the comparison as JSON.
pub(super) fn json(scenario: &Scenario, comparison: &Comparison, args: &Args) -> Value {
    json!({
        "trace": args.source(),
        "seed": args.seed,
        "ticks": scenario.demand.len(),
        "tick_s": scenario.setup.tick_s,
        "capacity": scenario.setup.capacity,
        "boot_ticks": scenario.setup.boot_ticks,
        "min": scenario.setup.min,
        "max": scenario.setup.max,
        "minimum_charge_s": scenario.price_model.minimum_s,
        "policies": comparison.policies.iter().map(|(row, _)| row).collect::<Vec<_>>(),
        "bounds": comparison.baselines,
    })
}
