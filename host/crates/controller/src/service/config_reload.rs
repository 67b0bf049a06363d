//! Reloads the configuration: when its file or a component changes, or on request.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use doproxy_core::domain::Timestamp;
use doproxy_metrics as metrics;
use doproxy_metrics::Collector;
use doproxy_telemetry::{ReloadStatus, Telemetry};

use crate::service::file_watcher::FileWatcher;
use crate::service::policy_loader::LoadReason;
use crate::service::reporter;
use crate::service::service_spec::ServiceSpec;

/// A reloaded configuration.
#[derive(Debug)]
pub struct ReloadedConfig {
    /// The new specification.
    pub spec: ServiceSpec,
    /// The metric sources, if they differ from those in effect.
    pub collector: Option<Collector>,
    /// Changed keys that take effect only after a restart.
    pub needs_restart: Vec<String>,
}

/// Reads the configuration. The argument is the metric options in effect; the error describes the problem.
pub type ConfigReader = Box<dyn FnMut(&metrics::Options) -> Result<ReloadedConfig, String> + Send>;

/// The source from which the specification is reloaded.
pub struct ConfigSource {
    /// The watched file.
    pub file: PathBuf,
    /// Reads the file.
    pub read: ConfigReader,
}

impl fmt::Debug for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigSource").field("file", &self.file).finish_non_exhaustive()
    }
}

/// The configuration reloads of a service.
pub(super) struct ConfigReload {
    source: Option<ConfigSource>,
    on_reload: Box<dyn FnMut(bool) + Send>,
    watcher: FileWatcher,
    /// Components of the most recently read configuration if it is not in effect; they are watched as well.
    watched_components: Vec<PathBuf>,
}

impl ConfigReload {
    /// Creates the reloads from `source`. `on_reload` is called before a reload (`true`) and after it (`false`).
    pub(super) fn new(source: Option<ConfigSource>, on_reload: Box<dyn FnMut(bool) + Send>) -> Self {
        Self { source, on_reload, watcher: FileWatcher::default(), watched_components: Vec::new() }
    }

    /// Reports whether the configuration or a component changed since the last call.
    pub(super) fn files_changed(&mut self, in_effect: &ServiceSpec) -> bool {
        let file = self.source.iter().map(|source| source.file.as_path());
        let components = in_effect.component_files().chain(self.watched_components.iter().map(PathBuf::as_path));
        let files: BTreeSet<&Path> = file.chain(components).collect();
        self.watcher.retain(|file| files.contains(file));
        // Check every file, so that no change is reported a second time.
        files.iter().filter(|file| self.watcher.has_changed(file)).count() > 0
    }

    /// Reads the configuration. Returns the specification to load, with the reason of the load; without a source, the
    /// one in effect. Ends with [`accept`](Self::accept) or [`reject`](Self::reject).
    pub(super) fn read(
        &mut self,
        in_effect: &ServiceSpec,
        options: &metrics::Options,
    ) -> Result<(ServiceSpec, LoadReason), String> {
        (self.on_reload)(true);
        // Before reading, so that a file saved in the meantime counts as changed.
        self.files_changed(in_effect);
        let Some(source) = &mut self.source else {
            let reason = LoadReason::Reload { collector: None, needs_restart: Vec::new() };
            return Ok((in_effect.clone(), reason));
        };
        let ReloadedConfig { spec, collector, needs_restart } = (source.read)(options)?;
        self.watched_components = spec.component_files().map(Path::to_owned).collect();
        self.watched_components.iter().for_each(|file| self.watcher.track(file));
        Ok((spec, LoadReason::Reload { collector: collector.map(Box::new), needs_restart }))
    }

    /// Reports that the configuration that was read last is in effect.
    pub(super) fn accept(&mut self, telemetry: &Telemetry, now: Timestamp, needs_restart: Vec<String>) {
        self.watched_components.clear();
        if needs_restart.is_empty() {
            tracing::info!("configuration reloaded");
        } else {
            let keys = needs_restart.join(", ");
            tracing::warn!("configuration reloaded; restart doproxy to apply the changes in {keys}");
        }
        self.finish(telemetry, "ok", ReloadStatus { at: now, refused: None, needs_restart });
    }

    /// Reports that the previous configuration stays in effect.
    pub(super) fn reject(&mut self, telemetry: &Telemetry, now: Timestamp, why: &str) {
        tracing::error!("configuration reload failed; keeping the previous configuration: {why}");
        let status = ReloadStatus { at: now, refused: Some(why.to_owned()), needs_restart: Vec::new() };
        self.finish(telemetry, "refused", status);
    }

    fn finish(&mut self, telemetry: &Telemetry, result: &str, reload: ReloadStatus) {
        reporter::report_reload(telemetry, result);
        telemetry.update_status(|status| status.reload = Some(reload));
        (self.on_reload)(false);
    }
}
