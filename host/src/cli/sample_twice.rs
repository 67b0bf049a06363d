//! Looking at HAProxy and at the sources of metrics for a while, for commands that are one tick.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::context::{CommandContext, ProductionController};
use crate::controller::TickInput;
use crate::controller::policy_slot::ConfiguredPolicy;
use crate::history::TimeSeriesStore;
use crate::metrics::{BalancerSample, Collector, MetricRequirements, Options};
use crate::model::{Series, Timestamp, Trigger};

/// What was seen.
pub(super) struct SampledInput {
    prev_sample: BalancerSample,
    sample: BalancerSample,
    metrics: Vec<Series>,
    store: Arc<TimeSeriesStore>,
}

impl SampledInput {
    /// Where what was measured is kept.
    pub(super) fn store(&self) -> Arc<TimeSeriesStore> {
        Arc::clone(&self.store)
    }

    /// As a tick sees it.
    pub(super) fn tick_input(&self) -> TickInput<'_> {
        let Self { prev_sample: before, sample: now, metrics, .. } = self;
        TickInput {
            prev_sample: before,
            sample: now,
            metrics,
            trigger: Trigger::Manual,
            api_unreachable: None,
            balancer_unreachable: false,
        }
    }
}

/// What the policies need.
pub(super) fn metric_requirements(policies: &[ConfiguredPolicy]) -> MetricRequirements {
    MetricRequirements::union(policies.iter().flat_map(|policy| &policy.policy.manifest().metrics))
}

/// Looks twice, `window` apart, since rates need two looks. `history` opens the history at a path.
pub(super) async fn sample_twice(
    app: &CommandContext,
    controller: &ProductionController,
    needs: MetricRequirements,
    history: impl FnOnce(&Path, Timestamp) -> TimeSeriesStore,
    window: Duration,
) -> anyhow::Result<SampledInput> {
    let before = controller.stats().await?;
    let history = Arc::new(history(&app.metrics_database_file(), before.at));
    // There is no later tick that could take an answer.
    let slowest = app.config.metrics.sources.iter().map(|source| source.timeout).max().unwrap_or_default();
    let options = Options { poll_wait: slowest, ..app.config.metrics.clone() };
    let mut collector = Collector::new(options, history, Some(controller.cloud()));
    collector.set_requirements(needs, before.at);
    collector.collect(before.at, Some(&before)).await;
    tokio::time::sleep(window).await;
    let now = controller.stats().await?;
    collector.collect(now.at, Some(&now)).await;
    Ok(SampledInput {
        metrics: collector.series(now.at),
        prev_sample: before,
        sample: now,
        store: Arc::clone(collector.store()),
    })
}
