//! The metrics reference: every family of the service.

use doproxy_telemetry::{MetricFamily, MetricKind, families};

use crate::cli::generate_reference::markdown::{code, page as page_of, table};

/// Returns the page.
pub(super) fn page() -> String {
    let rows: Vec<[String; 4]> = families::ALL.iter().map(|family| row(family)).collect();
    let text = table(["metric", "type", "labels", "meaning"], &rows);
    page_of("metrics.md", include_str!("../../../../templates/reference/metrics.md"), &text)
}

fn row(family: &MetricFamily) -> [String; 4] {
    let kind = match family.kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram(_) => "histogram",
    };
    let labels: Vec<String> = family.labels.iter().map(|(name, values)| format!("{}: {values}", code(name))).collect();
    [code(family.name), kind.to_owned(), labels.join("; "), family.help.to_owned()]
}
