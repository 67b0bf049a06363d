//! The monitoring API: what the metrics agent of a droplet said of it. No part of the `Cloud` trait, since nothing that
//! makes or deletes droplets needs it. It wants `monitoring: true` at the create, and the scope `monitoring:read`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::http::ApiRequest;
use super::{DigitalOcean, wire};
use crate::cloud::CloudError;
use crate::model::{DropletId, Sample, Timestamp};

/// Most values that are taken of one series.
const MAX_VALUES: usize = 10_000;

/// What can be asked of a droplet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropletMetric {
    /// Seconds in each `mode` since it booted: `idle`, `user`, `system` and others. A counter.
    Cpu,
    /// Processes that run or want to, over a minute.
    Load1,
    /// Bytes of memory.
    MemoryTotal,
    /// Bytes of it that programs can have.
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

/// One series of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredSeries {
    /// Its labels, such as `mode`.
    pub labels: BTreeMap<String, String>,
    /// Its values, in the order of the answer.
    pub samples: Vec<Sample>,
}

impl DigitalOcean {
    /// What was measured on a droplet from `start` to `end`; nothing where it has no agent, or not yet. Sent once, and
    /// only while half of the budget of requests is left.
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
        let answer: MetricsResponse = self.http.send(&call, wire::parse).await?;
        Ok(answer.data.result.into_iter().map(MeasuredSeries::from).collect())
    }
}

/// The shape of Prometheus.
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

/// Seconds and a number, each as number or as text; what is no number is left out.
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
    fn an_answer_is_read_in_the_form_that_the_api_writes() {
        let body = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"host_id":"19201920",
            "mode":"idle"},"values":[[1635386880,"122901.18"],[1635387000,"NaN"],[1635387120.5,123020.92]]}]}}"#;

        let answer: MetricsResponse = wire::parse(body.as_bytes()).unwrap();

        let measured: Vec<MeasuredSeries> = answer.data.result.into_iter().map(MeasuredSeries::from).collect();
        let sample = |at, value| Sample { at: Timestamp(at), value };
        assert_eq!(measured[0].labels["mode"], "idle");
        assert_eq!(measured[0].samples, [sample(1_635_386_880_000, 122_901.18), sample(1_635_387_120_500, 123_020.92)]);
    }
}
