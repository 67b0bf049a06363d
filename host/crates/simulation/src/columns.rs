//! The columns of the comparison table, shared by the terminal and the HTML report.

use crate::compare::{Comparison, Row, monthly_cost};
use crate::model::requests::Latency;
use crate::scenario::Scenario;

/// A column: its header and a function that renders its cells.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Column header.
    pub header: &'static str,
    cell: fn(&Scenario, &Row) -> String,
}

impl Column {
    const fn new(head: &'static str, cell: fn(&Scenario, &Row) -> String) -> Self {
        Self { header: head, cell }
    }

    /// Renders the cell of `row`.
    pub fn cell(&self, scenario: &Scenario, row: &Row) -> String {
        (self.cell)(scenario, row)
    }
}

const BASE_COLUMNS: [Column; 14] = [
    Column::new("policy", |_, row| row.name.clone()),
    Column::new("unserved %", |_, row| format!("{:.4}", row.score.unserved_pct)),
    Column::new("× limit", |_, row| format!("{:.3}", row.score.cost_over_limit)),
    Column::new("× at 0.1 %", |_, row| {
        row.score.cost_over_limit_at_slo.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.3}"))
    }),
    Column::new("changes/h", |_, row| format!("{:.2}", row.score.adaptations_per_h)),
    Column::new("cost", |_, row| format!("${:.2}", row.score.cost)),
    Column::new("$/month", |scenario, row| format!("${:.0}", monthly_cost(&row.score, scenario))),
    Column::new("droplet-h", |_, row| format!("{:.1}", row.score.droplet_hours)),
    Column::new("× optimum", |_, row| format!("{:.3}", row.score.cost_over_optimum)),
    Column::new("θU", |_, row| format!("{:.3}", row.score.theta_u)),
    Column::new("θO", |_, row| format!("{:.1}", row.score.theta_o)),
    Column::new("τU", |_, row| format!("{:.2}", row.score.tau_u)),
    Column::new("τO", |_, row| format!("{:.1}", row.score.tau_o)),
    Column::new("υ", |_, row| format!("{:.1}", row.score.upsilon)),
];

const LATENCY_COLUMNS: [Column; 3] = [
    Column::new("p50 ms", |_, row| milliseconds(row, |latency| latency.p50_ms)),
    Column::new("p99 ms", |_, row| milliseconds(row, |latency| latency.p99_ms)),
    Column::new("p99.9 ms", |_, row| milliseconds(row, |latency| latency.p999_ms)),
];

fn milliseconds(row: &Row, of: fn(Latency) -> f64) -> String {
    row.latency.map_or_else(String::new, |latency| format!("{:.0}", of(latency)))
}

/// Returns the columns of a comparison. Latency columns are included only if individual requests were simulated.
pub fn columns(comparison: &Comparison) -> Vec<Column> {
    let has_latency = comparison.policies.iter().any(|(row, _)| row.latency.is_some());
    BASE_COLUMNS.into_iter().chain(LATENCY_COLUMNS.into_iter().filter(|_| has_latency)).collect()
}

/// Returns the rows: policies in their order, then the baselines.
pub fn rows(comparison: &Comparison) -> impl Iterator<Item = &Row> {
    comparison.policies.iter().map(|(row, _)| row).chain(&comparison.baselines)
}
