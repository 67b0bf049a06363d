//! The report: one self-contained HTML page that needs no network.
//!
//! The table is plain HTML and readable without scripts. `chart.js` draws the charts as SVG from numbers embedded as
//! JSON. External text (names, reasons, the command) is escaped.

use serde_json::{Value, json};

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
pub fn render_page(scenario: &Scenario, comparison: &Comparison, command: &str) -> String {
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
    let facts: String =
        facts.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>", escape_html(value))).collect();
    let digests: String = comparison.policies.iter().map(|(row, _)| digest(row)).collect();
    include_str!("page.html")
        .replace("{{style}}", include_str!("style.css"))
        .replace("{{table}}", &table(scenario, comparison))
        .replace("{{facts}}", &facts)
        .replace("{{digests}}", &digests)
        .replace("{{script}}", include_str!("chart.js"))
        // Replaced last, so that placeholders inside the data are not expanded.
        .replace("{{data}}", &embed_json(&data(scenario, comparison)))
}

/// Escapes text for HTML.
fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Braces mark the placeholders of the page.
            '{' => escaped.push_str("&#123;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Serializes JSON so that it cannot end the script element that contains it.
fn embed_json(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

fn digest(row: &Row) -> String {
    let config = row.config.as_ref().map(Value::to_string).unwrap_or_default();
    format!(
        "<dt>{}</dt><dd>{} <code>{}</code><br><code>{}</code></dd>",
        escape_html(&row.name),
        escape_html(row.reference.as_deref().unwrap_or_default()),
        escape_html(row.digest.as_deref().unwrap_or_default()),
        escape_html(&config)
    )
}

fn table(scenario: &Scenario, comparison: &Comparison) -> String {
    let columns = columns(comparison);
    let head: String = columns.iter().map(|column| format!("<th scope=\"col\">{}</th>", column.header)).collect();
    let body: String = rows(comparison)
        .map(|row| {
            let mut cells = columns.iter().map(|column| escape_html(&column.cell(scenario, row)));
            let name = cells.next().unwrap_or_default();
            let cells: String = cells.map(|cell| format!("<td>{cell}</td>")).collect();
            format!("<tr><th scope=\"row\">{name}</th>{cells}</tr>")
        })
        .collect();
    format!("<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
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
mod tests {
    use super::*;

    #[test]
    fn external_text_is_escaped() {
        assert_eq!(escape_html("<b onclick='x'>{{data}}&"), "&lt;b onclick=&#39;x&#39;&gt;&#123;&#123;data}}&amp;");
        let text = embed_json(&json!("</script><script>alert(1)"));
        assert!(!text.contains('<'), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json!("</script><script>alert(1)"));
    }

    #[test]
    fn step_line_has_one_point_per_step() {
        assert_eq!(step_points(&[2, 2, 3, 3, 3, 1]), [(0, 2), (2, 3), (5, 1)]);
        assert!(step_points(&[]).is_empty());
    }

    #[test]
    fn page_loads_no_external_resources() {
        for part in [include_str!("page.html"), include_str!("chart.js"), include_str!("style.css")] {
            for word in ["src=", "href=", "@import", "url(", "fetch(", "XMLHttpRequest"] {
                assert!(!part.contains(word), "{word}");
            }
        }
    }
}
