//! The plugin under test of `test` and `bench`: a project directory, which is built first, or a reference.

use std::path::{Path, PathBuf};
use std::time::Duration;

use doproxy_config::{user_cache_dir, user_store_dir};
use doproxy_core::domain::PluginKind;
use doproxy_plugin_devkit::{BuildError, Built, Project, Subject, build};
use doproxy_plugin_host::{CONTRACT, Limits, PluginHost, PluginSettings};
use doproxy_plugin_registry::{Reference, RegistrySettings};
use serde_json::Value;

use crate::cli::context::CommandContext;
use crate::cli::output::Progress;
use crate::cli::{Global, UsageError};

/// Minimum timeouts for calls and compilation in `test` and `bench`. Fuel measures a plugin's consumption, and it is
/// the same on every machine; a busy machine must not fail a test.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const COMPILE_TIMEOUT: Duration = Duration::from_mins(10);

/// A plugin under test and its project.
pub(super) struct PluginUnderTest {
    pub(super) reference: Reference,
    /// The project, if the plugin was built from one.
    pub(super) project: Option<(Project, Built)>,
}

impl PluginUnderTest {
    /// Resolves `text`: builds it if it is a directory, otherwise parses it as a reference.
    pub(super) async fn resolve(text: &str) -> anyhow::Result<Self> {
        let path = Path::new(text);
        if !path.is_dir() {
            return Ok(Self {
                reference: text.parse().map_err(|error| UsageError(format!("{error}")))?,
                project: None,
            });
        }
        let (project, built) = build_project(path.to_owned()).await?;
        Ok(Self { reference: Reference::File(built.path.clone()), project: Some((project, built)) })
    }

    /// Loads the plugin.
    pub(super) async fn load(&self, host: &PluginHost) -> anyhow::Result<Subject> {
        let kind = host.inspect(&self.reference).await?.kind;
        Ok(match kind {
            PluginKind::ScalingPolicy => Subject::Policy(host.policy(&self.reference).await?),
            PluginKind::UserDataGenerator => Subject::Generator(host.generator(&self.reference).await?),
        })
    }
}

/// Builds a project on a blocking thread.
pub(super) async fn build_project(directory: PathBuf) -> anyhow::Result<(Project, Built)> {
    let progress = Progress::new();
    let sink = progress.clone();
    let work = tokio::task::spawn_blocking(move || {
        let project = Project::read(&directory)?;
        sink.set_message(format_args!("building {} ({})", project.metadata.name, project.language));
        let built = build(&project, CONTRACT)?;
        Ok::<_, BuildError>((project, built))
    });
    let outcome = work.await;
    progress.finish();
    Ok(outcome??)
}

/// Returns the configured plugin host with relaxed timeouts for busy machines.
pub(super) fn relaxed_host(global: &Global) -> anyhow::Result<PluginHost> {
    let settings = plugin_settings(global)?;
    crate::cli::plugin::host(PluginSettings { limits: relaxed_limits(&settings.limits), ..settings })
}

/// Returns the same limits with relaxed timeouts.
pub(super) fn relaxed_limits(limits: &Limits) -> Limits {
    Limits {
        call_timeout: limits.call_timeout.max(CALL_TIMEOUT),
        compile_timeout: limits.compile_timeout.max(COMPILE_TIMEOUT),
        compile_cpu_time: limits.compile_cpu_time.max(COMPILE_TIMEOUT),
        ..limits.clone()
    }
}

/// Returns the plugin settings of the configuration, or the defaults if there is none.
pub(super) fn plugin_settings(global: &Global) -> anyhow::Result<PluginSettings> {
    if global.config.exists() {
        return Ok(CommandContext::load(global)?.config.plugins);
    }
    let sharing = RegistrySettings { store: user_store_dir(), ..RegistrySettings::default() };
    Ok(PluginSettings { cache_dir: user_cache_dir(), registry: sharing, ..PluginSettings::default() })
}

/// Reads a plugin configuration from a YAML file.
pub(super) fn read_config(file: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(file).map_err(|error| UsageError(format!("{}: {error}", file.display())))?;
    Ok(serde_yaml::from_str(&text).map_err(|error| UsageError(format!("{}: {error}", file.display())))?)
}
