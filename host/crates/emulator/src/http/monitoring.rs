//! `/v2/monitoring/metrics/droplet`: simulated reports of a droplet's metrics agent.
//!
//! Nothing is measured. The utilization of a droplet with `monitoring: true` is derived from its ID and varies slightly
//! over time, so the same droplet always returns the same numbers.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use doproxy_core::domain::{DropletId, Timestamp};
use serde_json::{Value, json};

use crate::cloud::{ApiError, SimulatedDroplet};
use crate::http::pagination::Query;
use crate::http::reply::{HandlerResult, Reply};
use crate::http::state::Shared;

/// Seconds between two reports of the agent.
const REPORT_INTERVAL_S: u64 = 120;
/// Maximum values in a response; longer ranges get a coarser step.
const MAX_VALUES: u64 = 1000;
/// The memory of a droplet, in bytes.
const MEMORY_BYTES: f64 = 1_024_000_000.0;

/// `GET /v2/monitoring/metrics/droplet/{metric}`
pub(super) async fn droplet(
    State(shared): State<Arc<Shared>>,
    Path(metric): Path<String>,
    RawQuery(query): RawQuery,
) -> HandlerResult {
    let query = Query::parse(query.as_deref());
    let number = |name: &str| {
        let text = query.get(name).ok_or_else(|| ApiError::Invalid(format!("{name} is required.")))?;
        text.parse::<u64>().map_err(|_| ApiError::Invalid(format!("{name} must be a number, not {text:?}.")))
    };
    let (id, start, end) = (DropletId(number("host_id")?), number("start")?, number("end")?);
    let reports = shared.with_state(|cloud, now| {
        // As in the API, a droplet that does not exist has no metrics.
        let droplet = cloud.droplet(now, id).ok().filter(|droplet| droplet.monitoring);
        droplet.map(|droplet| reports(droplet, start, end.min(now.0 / 1000)))
    });
    let rows = rows(&metric, id).ok_or_else(|| ApiError::NotServed(format!("the metric {metric}")))?;
    let result: Vec<Value> = match reports {
        Some(reports) if !reports.is_empty() => rows.into_iter().map(|row| row.render(id, &reports)).collect(),
        _ => Vec::new(),
    };
    Ok(Reply::ok(json!({ "status": "success", "data": { "resultType": "matrix", "result": result } })))
}

/// A report: its time and the droplet's uptime, in seconds.
type Report = (u64, u64);

fn reports(droplet: &SimulatedDroplet, start: u64, end: u64) -> Vec<Report> {
    let Some(Timestamp(up)) = droplet.active_at else { return Vec::new() };
    let up = up / 1000;
    let start = start.max(up).div_ceil(REPORT_INTERVAL_S) * REPORT_INTERVAL_S;
    let step = (end.saturating_sub(start) / REPORT_INTERVAL_S / MAX_VALUES + 1) * REPORT_INTERVAL_S;
    (0..MAX_VALUES).map(|n| start + n * step).take_while(|at| *at <= end).map(|at| (at, at - up)).collect()
}

/// A series in a response: its own label, and its value as a function of the uptime in seconds.
struct Row {
    mode: Option<&'static str>,
    value: Box<dyn Fn(f64) -> f64>,
}

impl Row {
    fn render(&self, id: DropletId, reports: &[Report]) -> Value {
        let mut metric = json!({ "host_id": id.to_string() });
        if let Some(mode) = self.mode {
            metric["mode"] = mode.into();
        }
        #[expect(clippy::cast_precision_loss, reason = "seconds since a boot")]
        let values = reports.iter().map(|(at, up)| json!([at, format!("{:.2}", (self.value)(*up as f64))]));
        json!({ "metric": metric, "values": values.collect::<Vec<Value>>() })
    }
}

fn rows(metric: &str, id: DropletId) -> Option<Vec<Row>> {
    #[expect(clippy::cast_precision_loss, reason = "a number below 50")]
    let busy = (10 + id.0 % 50) as f64 / 100.0;
    // The value never decreases, because the wave is slow.
    let busy_seconds = move |up: f64| up * busy + 10.0 * (1.0 - (up / 600.0).cos());
    let row = |mode, value: Box<dyn Fn(f64) -> f64>| Row { mode, value };
    Some(match metric {
        "cpu" => vec![
            row(Some("idle"), Box::new(move |up| up - busy_seconds(up))),
            row(Some("iowait"), Box::new(|_| 0.0)),
            row(Some("irq"), Box::new(|_| 0.0)),
            row(Some("nice"), Box::new(|_| 0.0)),
            row(Some("softirq"), Box::new(|_| 0.0)),
            row(Some("steal"), Box::new(|_| 0.0)),
            row(Some("system"), Box::new(move |up| 0.25 * busy_seconds(up))),
            row(Some("user"), Box::new(move |up| 0.75 * busy_seconds(up))),
        ],
        "load_1" => vec![row(None, Box::new(move |_| busy))],
        "memory_total" => vec![row(None, Box::new(|_| MEMORY_BYTES))],
        "memory_available" => vec![row(None, Box::new(move |_| MEMORY_BYTES * (1.0 - busy)))],
        _ => return None,
    })
}
