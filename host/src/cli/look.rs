//! Looking at HAProxy and at the sources of metrics for a while, for commands that are one tick.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::app::{App, RealController};
use crate::controller::Seen;
use crate::controller::decide::ConfiguredPolicy;
use crate::history::History;
use crate::metrics::{Collector, Needs, Options, StatsAt};
use crate::model::{Series, Timestamp, Trigger};

/// What was seen.
pub(super) struct Look {
    before: StatsAt,
    now: StatsAt,
    metrics: Vec<Series>,
    history: Arc<History>,
}

impl Look {
    /// Where what was measured is kept.
    pub(super) fn history(&self) -> Arc<History> {
        Arc::clone(&self.history)
    }

    /// As a tick sees it.
    pub(super) fn seen(&self) -> Seen<'_> {
        let Self { before, now, metrics, .. } = self;
        Seen { before, now, metrics, trigger: Trigger::Manual, api_unreachable: None, stale: false }
    }
}

/// What the policies need.
pub(super) fn needs(policies: &[ConfiguredPolicy]) -> Needs {
    Needs::of(policies.iter().flat_map(|policy| &policy.policy.manifest().metrics))
}

/// Looks twice, `window` apart, since rates need two looks. `history` opens the history at a path.
pub(super) async fn look(
    app: &App,
    controller: &RealController,
    needs: Needs,
    history: impl FnOnce(&Path, Timestamp) -> History,
    window: Duration,
) -> anyhow::Result<Look> {
    let before = controller.stats().await?;
    let history = Arc::new(history(&app.history_file(), before.at));
    // There is no later tick that could take an answer.
    let slowest = app.config.metrics.sources.iter().map(|source| source.timeout).max().unwrap_or_default();
    let options = Options { patience: slowest, ..app.config.metrics.clone() };
    let mut collector = Collector::new(options, history, Some(controller.cloud()));
    collector.set_needs(needs, before.at);
    collector.collect(before.at, Some(&before)).await;
    tokio::time::sleep(window).await;
    let now = controller.stats().await?;
    collector.collect(now.at, Some(&now)).await;
    Ok(Look { metrics: collector.series(now.at), before, now, history: Arc::clone(collector.history()) })
}
