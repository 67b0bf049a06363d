//! The monitoring API: the reports of a droplet's metrics agent. It is not part of the `CloudProvider` trait, because
//! creating and deleting droplets does not need it. It requires `monitoring: true` at creation, and the scope
//! `monitoring:read`.

use std::collections::BTreeMap;

use doproxy_core::domain::{DropletId, Sample, Timestamp};
use doproxy_core::seams::CloudError;
use serde::Deserialize;
use serde_json::Value;

use crate::digitalocean::DigitalOcean;
use crate::http::ApiRequest;
use crate::wire;

/// Maximum values that are read from one series.
const MAX_VALUES: usize = 10_000;

/// A metric of a droplet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropletMetric {
    /// Seconds in each `mode` since boot: `idle`, `user`, `system` and others. A counter.
    Cpu,
    /// Runnable processes, averaged over a minute.
    Load1,
    /// Bytes of memory.
    MemoryTotal,
    /// Bytes of memory available to programs.
    MemoryAvailable,
}

impl DropletMetric {
    fn path(self) -> &'static str {
        match self {
            Self::Cpu => "/v2/monitoring/metrics/droplet/cpu",
            Self::Load1 => "/v2/monitoring/metrics/droplet/load_1",
            Self::MemoryTotal => "/v2/monitoring/metrics/droplet/memory_total",
            Self::MemoryAvailable => "/v2/monitoring/metrics/droplet/memory_available",
        }
    }
}

/// One series of a response.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredSeries {
    /// Its labels, such as `mode`.
    pub labels: BTreeMap<String, String>,
    /// Its values, in the order of the response.
    pub samples: Vec<Sample>,
}

impl DigitalOcean {
    /// Returns the metric of a droplet from `start` to `end`; empty if the droplet has no agent, or the agent has not
    /// reported yet. Sent once, and only while half of the request quota is left.
    pub async fn droplet_metric(
        &self,
        metric: DropletMetric,
        droplet: DropletId,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<MeasuredSeries>, CloudError> {
        let mut call = ApiRequest::best_effort(metric.path());
        call.query.push(("host_id", droplet.to_string()));
        call.query.push(("start", (start.0 / 1000).to_string()));
        call.query.push(("end", (end.0 / 1000).to_string()));
        let response: MetricsResponse = self.http.send(&call, wire::parse).await?;
        Ok(response.data.result.into_iter().map(MeasuredSeries::from).collect())
    }
}

/// A response in the shape of Prometheus.
#[derive(Debug, Deserialize)]
struct MetricsResponse {
    data: Matrix,
}

#[derive(Debug, Deserialize)]
struct Matrix {
    result: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Row {
    #[serde(default)]
    metric: BTreeMap<String, Value>,
    values: Vec<(Value, Value)>,
}

impl From<Row> for MeasuredSeries {
    fn from(row: Row) -> Self {
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Self {
            labels: row.metric.into_iter().map(|(name, value)| (name, text(value))).collect(),
            samples: row.values.iter().take(MAX_VALUES).filter_map(sample).collect(),
        }
    }
}

/// Parses seconds and a value, each a number or text; returns `None` for a value that is not a number.
fn sample((at, value): &(Value, Value)) -> Option<Sample> {
    let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    let (at, value) = (number(at)?, number(value).filter(|value| value.is_finite())?);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and NaN is 0")]
    let at = Timestamp((at * 1000.0) as u64);
    Some(Sample { at, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_of_the_api_is_parsed() {
        let body = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"host_id":"19201920",
            "mode":"idle"},"values":[[1635386880,"122901.18"],[1635387000,"NaN"],[1635387120.5,123020.92]]}]}}"#;

        let response: MetricsResponse = wire::parse(body.as_bytes()).unwrap();

        let measured: Vec<MeasuredSeries> = response.data.result.into_iter().map(MeasuredSeries::from).collect();
        let sample = |at, value| Sample { at: Timestamp(at), value };
        assert_eq!(measured[0].labels["mode"], "idle");
        assert_eq!(measured[0].samples, [sample(1_635_386_880_000, 122_901.18), sample(1_635_387_120_500, 123_020.92)]);
    }
}
