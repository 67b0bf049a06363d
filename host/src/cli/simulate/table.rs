//! The comparison as a table and as JSON.

use serde_json::{Value, json};

use super::Args;
use crate::cli::output;
use crate::simulation::compare::{Comparison, Row};
use crate::simulation::scenario::Scenario;

/// A column: its head, and what stands in it.
type Column = (&'static str, fn(&Row) -> String);

const COLUMNS: [Column; 11] = [
    ("policy", |row| row.name.clone()),
    ("unserved %", |row| format!("{:.4}", row.score.unserved_pct)),
    ("× limit", |row| format!("{:.3}", row.score.cost_over_limit)),
    ("changes/h", |row| format!("{:.2}", row.score.adaptations_per_h)),
    ("cost", |row| format!("${:.2}", row.score.cost)),
    ("droplet-h", |row| format!("{:.1}", row.score.droplet_hours)),
    ("× optimum", |row| format!("{:.3}", row.score.cost_over_optimum)),
    ("θU", |row| format!("{:.3}", row.score.theta_u)),
    ("θO", |row| format!("{:.1}", row.score.theta_o)),
    ("τU", |row| format!("{:.2}", row.score.tau_u)),
    ("τO", |row| format!("{:.1}", row.score.tau_o)),
];

const LATENCY: [Column; 3] = [
    ("p50 ms", |row| row.latency.map_or_else(String::new, |latency| format!("{:.0}", latency.p50_ms))),
    ("p99 ms", |row| row.latency.map_or_else(String::new, |latency| format!("{:.0}", latency.p99_ms))),
    ("p99.9 ms", |row| row.latency.map_or_else(String::new, |latency| format!("{:.0}", latency.p999_ms))),
];

/// The rows: policies in their order, then what bounds them.
fn rows(comparison: &Comparison) -> impl Iterator<Item = &Row> {
    comparison.policies.iter().map(|(row, _)| row).chain(&comparison.bounds)
}

/// As a person reads it.
pub(super) fn text(scenario: &Scenario, comparison: &Comparison) -> String {
    let latency: &[Column] = if rows(comparison).any(|row| row.latency.is_some()) { &LATENCY } else { &[] };
    let columns: Vec<&Column> = COLUMNS.iter().chain(latency).collect();
    let cells: Vec<Vec<String>> =
        rows(comparison).map(|row| columns.iter().map(|(_, cell)| cell(row)).collect()).collect();
    let mut lines = vec![head(scenario)];
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(index, (head, _))| {
            cells.iter().map(|row| row[index].chars().count()).max().unwrap_or(0).max(head.chars().count())
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let cells = cells.iter().zip(&widths).enumerate().map(|(index, (cell, width))| {
            // Names to the left, numbers to the right.
            if index == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.push(line(columns.iter().map(|(head, _)| *head).collect()));
    lines.extend(cells.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    for (row, played) in &comparison.policies {
        if !played.cuts.is_empty() {
            let cuts: Vec<String> = played.cuts.iter().map(|(rule, count)| format!("{rule} {count}×")).collect();
            lines.push(format!("guard, {}: {}", row.name, cuts.join(", ")));
        }
    }
    lines.join("\n")
}

fn head(scenario: &Scenario) -> String {
    let ticks = output::count(scenario.demand.len(), "tick");
    let guard = if scenario.bounds.is_some() { "guard of doproxy.yml" } else { "no guard but min and max" };
    format!(
        "{ticks} of {:?}, {} requests/s a droplet, boots in {:?}, {guard}",
        scenario.tick,
        scenario.setup.capacity,
        scenario.boot.typical()
    )
}

/// As a program reads it.
pub(super) fn json(scenario: &Scenario, comparison: &Comparison, args: &Args) -> Value {
    json!({
        "trace": args.trace,
        "seed": args.seed,
        "ticks": scenario.demand.len(),
        "tick_s": scenario.setup.tick_s,
        "capacity": scenario.setup.capacity,
        "boot_ticks": scenario.setup.boot_ticks,
        "min": scenario.setup.min,
        "max": scenario.setup.max,
        "minimum_charge_s": scenario.tariff.minimum_s,
        "policies": comparison.policies.iter().map(|(row, _)| row).collect::<Vec<_>>(),
        "bounds": comparison.bounds,
    })
}
