//! Recording of the autoscaler's decisions, with the components that made them.

use std::collections::HashSet;
use std::sync::Arc;

use doproxy_controller::ComponentLookup;
use doproxy_core::domain::{TickRecord, Timestamp};
use doproxy_decision_log::{LogWriter, RecordError, load_component as component_bytes};
use doproxy_metrics::TimeSeriesStore;
use doproxy_plugin_host::PluginHost;
use doproxy_plugin_registry::Reference;

/// Records each tick. A failed write only causes a warning.
pub(super) struct DecisionLogger {
    recorder: Arc<LogWriter>,
    host: PluginHost,
    /// Digests of components already stored, or whose storing was attempted.
    stored: HashSet<String>,
    is_failing: bool,
}

impl DecisionLogger {
    pub(super) fn new(recorder: LogWriter, host: PluginHost) -> Self {
        Self { recorder: Arc::new(recorder), host, stored: HashSet::new(), is_failing: false }
    }

    /// Records a tick, and stores the components evaluated for the first time.
    pub(super) fn write(&mut self, record: &TickRecord) {
        for (reference, digest) in self.new_components(record) {
            let (recorder, host, now) = (Arc::clone(&self.recorder), self.host.clone(), record.at);
            tokio::spawn(
                async move { warn_on_error(store_component(&recorder, &host, &reference, &digest, now).await) },
            );
        }
        let written = self.recorder.append(record).and_then(|_| self.recorder.prune(record.at));
        match written {
            Ok(()) => self.is_failing = false,
            Err(error) if self.is_failing => tracing::debug!("failed to record a decision: {error}"),
            Err(error) => {
                self.is_failing = true;
                tracing::warn!("failed to record decisions: {error}");
            }
        }
    }

    /// Records a tick like [`DecisionLogger::write`], and waits until the components are stored, for a process that
    /// exits afterwards.
    pub(super) async fn write_all(&mut self, record: &TickRecord) {
        for (reference, digest) in self.new_components(record) {
            warn_on_error(store_component(&self.recorder, &self.host, &reference, &digest, record.at).await);
        }
        self.write(record);
    }

    fn new_components(&mut self, record: &TickRecord) -> Vec<(String, String)> {
        let evaluations = record.evaluations.iter().filter(|evaluation| !evaluation.digest.is_empty());
        evaluations
            .filter(|evaluation| self.stored.insert(evaluation.digest.clone()))
            .map(|evaluation| (evaluation.reference.clone(), evaluation.digest.clone()))
            .collect()
    }
}

/// Returns a loader for the bytes of components recorded earlier.
pub(super) fn components(store: Arc<TimeSeriesStore>) -> ComponentLookup {
    Arc::new(move |digest| match component_bytes(&store, digest) {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::warn!("failed to read a previously recorded component: {error}");
            None
        }
    })
}

async fn store_component(
    recorder: &LogWriter,
    host: &PluginHost,
    reference: &str,
    digest: &str,
    now: Timestamp,
) -> Result<(), RecordError> {
    let Ok(reference) = reference.parse::<Reference>() else { return Ok(()) };
    recorder.store_component(host, &reference, digest, now).await
}

fn warn_on_error(kept: Result<(), RecordError>) {
    if let Err(error) = kept {
        tracing::warn!("failed to store a component with its decision records: {error}");
    }
}
