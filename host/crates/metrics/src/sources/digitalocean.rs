//! Metrics of DigitalOcean's agent, as the mean and the maximum over the fleet.
//!
//! A call returns one metric of one droplet, so only some droplets are polled at a time, in rotation, and the previous
//! values are used for the others. The agent reports about every two minutes: HAProxy's own metrics are more recent and
//! better if they are sufficient.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use doproxy_core::domain::{DropletId, Sample, Timestamp};
use doproxy_core::seams::CloudError;
use doproxy_digitalocean::{DigitalOcean, DropletMetric, MeasuredSeries};
use doproxy_support::sync::lock;
use tokio::task::JoinSet;

use crate::error::SourceError;
use crate::options::AgentMetric;
use crate::sources::poll::{Poll, PollResult, PolledSeries};

/// The requested time range: several reports of the agent.
const LOOKBACK: Duration = Duration::from_mins(15);
/// The interval between two reports of the agent.
const REPORT_INTERVAL: Duration = Duration::from_mins(2);

/// A series derived from an agent metric.
#[derive(Debug)]
pub(crate) struct DerivedSeries {
    pub(crate) metric: AgentMetric,
    pub(crate) suffix: &'static str,
    pub(crate) unit: &'static str,
    combine: fn(&[f64]) -> f64,
}

pub(crate) const DERIVED_SERIES: [DerivedSeries; 6] = [
    DerivedSeries { metric: AgentMetric::Cpu, suffix: ".cpu_mean", unit: "percent", combine: mean },
    DerivedSeries { metric: AgentMetric::Cpu, suffix: ".cpu_max", unit: "percent", combine: max },
    DerivedSeries { metric: AgentMetric::Memory, suffix: ".memory_mean", unit: "percent", combine: mean },
    DerivedSeries { metric: AgentMetric::Memory, suffix: ".memory_max", unit: "percent", combine: max },
    DerivedSeries { metric: AgentMetric::Load1, suffix: ".load_1_mean", unit: "processes", combine: mean },
    DerivedSeries { metric: AgentMetric::Load1, suffix: ".load_1_max", unit: "processes", combine: max },
];

#[expect(clippy::cast_precision_loss, reason = "a number of droplets")]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn max(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

#[derive(Debug)]
pub(crate) struct DigitalOceanSource {
    cloud: Option<DigitalOcean>,
    metrics: Vec<AgentMetric>,
    droplets_per_poll: usize,
    timeout: Duration,
    state: Mutex<State>,
}

/// The rotation, and the latest value of each droplet.
#[derive(Debug, Default)]
struct State {
    /// The last polled droplet.
    last_polled: Option<DropletId>,
    latest: HashMap<(DropletId, AgentMetric), Sample>,
}

impl State {
    /// Returns the next droplets in the rotation.
    fn next_batch(&mut self, droplets: &[DropletId], most: usize) -> Vec<DropletId> {
        let first = self.last_polled.map_or(0, |last| droplets.partition_point(|id| *id <= last));
        let turn: Vec<DropletId> =
            droplets.iter().cycle().skip(first).take(most.min(droplets.len())).copied().collect();
        self.last_polled = turn.last().copied().or(self.last_polled);
        turn
    }
}

impl DigitalOceanSource {
    pub(crate) fn new(
        cloud: Option<DigitalOcean>,
        metrics: Vec<AgentMetric>,
        droplets_per_poll: usize,
        timeout: Duration,
    ) -> Self {
        Self { cloud, metrics, droplets_per_poll, timeout, state: Mutex::default() }
    }

    pub(crate) async fn poll(&self, poll: &Poll) -> Result<PollResult, SourceError> {
        let cloud = self
            .cloud
            .as_ref()
            .ok_or_else(|| SourceError::NoData("no API token; set DIGITALOCEAN_TOKEN".to_owned()))?;
        let turn = self.with_state(|state| {
            state.latest.retain(|(id, _), _| poll.droplets.binary_search(id).is_ok());
            state.next_batch(&poll.droplets, self.droplets_per_poll)
        });
        if turn.is_empty() {
            return Ok(PollResult::Series(Vec::new()));
        }
        let failed = self.fetch_batch(cloud, &turn, poll.now).await?;
        let turns = u32::try_from(poll.droplets.len().div_ceil(turn.len())).unwrap_or(u32::MAX);
        let lasts = poll.interval.max(REPORT_INTERVAL).saturating_mul(turns).saturating_mul(3);
        let read = self.with_state(|state| state.latest.clone());
        let readings: Vec<PolledSeries> =
            self.metrics.iter().flat_map(|metric| aggregate(*metric, &read, poll.now.minus(lasts))).collect();
        match failed {
            Some(error) if readings.is_empty() => Err(error.into()),
            _ if readings.is_empty() => Err(SourceError::NoData(
                "no droplet reports metrics; set `droplet_options.monitoring: true` to install the agent on new droplets, and allow some minutes for its first report".to_owned(),
            )),
            _ => Ok(PollResult::Series(readings)),
        }
    }

    /// Fetches all metrics of some droplets concurrently; returns one of the errors if any call failed.
    async fn fetch_batch(
        &self,
        cloud: &DigitalOcean,
        turn: &[DropletId],
        now: Timestamp,
    ) -> Result<Option<CloudError>, SourceError> {
        let mut calls = JoinSet::new();
        for id in turn.iter().copied() {
            for metric in self.metrics.iter().copied() {
                let cloud = cloud.clone();
                calls.spawn(async move { (id, metric, fetch(&cloud, id, metric, now).await) });
            }
        }
        let mut failure = None;
        let all = async {
            while let Some(result) = calls.join_next().await {
                match result {
                    Ok((id, metric, Ok(Some(sample)))) => {
                        self.with_state(|state| state.latest.insert((id, metric), sample));
                    }
                    Ok((_, _, Ok(None))) => {}
                    Ok((_, _, Err(error))) => failure = Some(error),
                    Err(error) => return Err(SourceError::Panicked(error.to_string())),
                }
            }
            Ok(())
        };
        let what = "DigitalOcean's monitoring API".to_owned();
        tokio::time::timeout(self.timeout, all)
            .await
            .map_err(|_| SourceError::TimedOut { what, after: self.timeout })??;
        Ok(failure)
    }

    fn with_state<T>(&self, read: impl FnOnce(&mut State) -> T) -> T {
        read(&mut lock(&self.state))
    }
}

/// Aggregates one metric over the fleet, at the time of its newest report.
fn aggregate(
    metric: AgentMetric,
    read: &HashMap<(DropletId, AgentMetric), Sample>,
    since: Timestamp,
) -> Vec<PolledSeries> {
    let recent = || read.iter().filter(|((_, own), sample)| *own == metric && sample.at >= since).map(|(_, one)| one);
    let values: Vec<f64> = recent().map(|sample| sample.value).collect();
    let Some(at) = recent().map(|sample| sample.at).max() else { return Vec::new() };
    let own = DERIVED_SERIES.iter().filter(|suffix| suffix.metric == metric);
    own.map(|suffix| PolledSeries {
        suffix: suffix.suffix,
        labels: Vec::new(),
        samples: vec![Sample { at, value: (suffix.combine)(&values) }],
    })
    .collect()
}

async fn fetch(
    cloud: &DigitalOcean,
    id: DropletId,
    metric: AgentMetric,
    now: Timestamp,
) -> Result<Option<Sample>, CloudError> {
    let ask = |metric| cloud.droplet_metric(metric, id, now.minus(LOOKBACK), now);
    Ok(match metric {
        AgentMetric::Cpu => cpu_percent(&ask(DropletMetric::Cpu).await?),
        AgentMetric::Load1 => newest(&ask(DropletMetric::Load1).await?),
        AgentMetric::Memory => {
            let (total, available) =
                tokio::try_join!(ask(DropletMetric::MemoryTotal), ask(DropletMetric::MemoryAvailable))?;
            newest(&available).zip(newest(&total)).filter(|(_, total)| total.value > 0.0).map(|(available, total)| {
                Sample { at: available.at, value: (100.0 * (1.0 - available.value / total.value)).clamp(0.0, 100.0) }
            })
        }
    })
}

fn newest(measured: &[MeasuredSeries]) -> Option<Sample> {
    measured.iter().flat_map(|series| &series.samples).max_by_key(|sample| sample.at).copied()
}

/// Returns the CPU utilization between the last two reports, in percent: one minus the share of `idle` in the growth of
/// all modes. If a counter decreased, the droplet rebooted in between, and the previous pair of reports is used.
fn cpu_percent(measured: &[MeasuredSeries]) -> Option<Sample> {
    let mut reports: BTreeMap<Timestamp, HashMap<&str, f64>> = BTreeMap::new();
    for series in measured {
        let mode = series.labels.get("mode").map(String::as_str)?;
        for sample in &series.samples {
            reports.entry(sample.at).or_default().insert(mode, sample.value);
        }
    }
    let reports: Vec<(Timestamp, HashMap<&str, f64>)> = reports.into_iter().collect();
    reports.windows(2).rev().find_map(|pair| {
        let [(_, before), (at, now)] = pair else { return None };
        let grown: Option<Vec<(&str, f64)>> =
            now.iter().map(|(mode, value)| Some((*mode, value - before.get(mode)?))).collect();
        let grown = grown.filter(|grown| grown.iter().all(|(_, more)| *more >= 0.0))?;
        let all: f64 = grown.iter().map(|(_, more)| more).sum();
        let idle: f64 = grown.iter().filter(|(mode, _)| *mode == "idle").map(|(_, more)| more).sum();
        (all > 0.0).then(|| Sample { at: *at, value: (100.0 * (1.0 - idle / all)).clamp(0.0, 100.0) })
    })
}

#[cfg(test)]
mod tests;
