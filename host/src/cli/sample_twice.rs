//! Sampling of HAProxy and the metric sources for commands that run a single tick.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use doproxy_controller::TickInput;
use doproxy_core::domain::{Series, Timestamp, Trigger};
use doproxy_core::pipeline::FleetLoad;
use doproxy_metrics::{Collector, MetricRequirements, Options, TimeSeriesStore};
use doproxy_plugin_host::ConfiguredPolicy;

use crate::cli::context::{CommandContext, ProductionController};

/// The sampled input of a tick.
pub(super) struct SampledInput {
    load: FleetLoad,
    metrics: Vec<Series>,
    store: Arc<TimeSeriesStore>,
}

impl SampledInput {
    /// Returns the time-series store that holds the samples.
    pub(super) fn store(&self) -> Arc<TimeSeriesStore> {
        Arc::clone(&self.store)
    }

    /// Returns the input of a tick.
    pub(super) fn tick_input(&self) -> TickInput<'_> {
        TickInput {
            load: &self.load,
            metrics: &self.metrics,
            trigger: Trigger::Manual,
            api_unreachable: None,
            balancer_unreachable: false,
        }
    }
}

/// Returns the metric requirements of the policies.
pub(super) fn metric_requirements(policies: &[ConfiguredPolicy]) -> MetricRequirements {
    MetricRequirements::union(policies.iter().flat_map(|policy| &policy.policy.manifest().metrics))
}

/// Samples twice, `window` apart, because rates need two samples. `open` opens the time-series store at a path.
pub(super) async fn sample_twice(
    context: &CommandContext,
    controller: &ProductionController,
    needs: MetricRequirements,
    open: impl FnOnce(&Path, Timestamp) -> TimeSeriesStore,
    window: Duration,
) -> anyhow::Result<SampledInput> {
    let before = controller.stats().await?;
    let open = Arc::new(open(&context.metrics_database_file(), before.at));
    // A late response would be lost, because no later tick follows.
    let slowest = context.config.metrics.sources.iter().map(|source| source.timeout).max().unwrap_or_default();
    let options = Options { poll_wait: slowest, ..context.config.metrics.clone() };
    let mut collector = Collector::new(options, open, Some(controller.cloud()));
    collector.set_requirements(needs, before.at);
    collector.collect(before.at, Some(&FleetLoad::new(None, &before))).await;
    tokio::time::sleep(window).await;
    let load = FleetLoad::new(Some(&before), &controller.stats().await?);
    collector.collect(load.at, Some(&load)).await;
    Ok(SampledInput { metrics: collector.series(load.at), load, store: Arc::clone(collector.store()) })
}
