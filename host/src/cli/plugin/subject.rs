//! What `test` and `bench` are about: a project's folder, which is built first, or a reference.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::cli::app::App;
use crate::cli::output::Progress;
use crate::cli::{Global, Usage};
use crate::config::{user_cache, user_store};
use crate::model::PluginKind;
use crate::plugin::building::{BuildError, Built, Project, build};
use crate::plugin::testing::Subject;
use crate::plugin::{CONTRACT, Limits, PluginHost, PluginSettings, Reference, SharingSettings};

/// How long a call and compiling may take here. What a plugin uses up is told by its fuel, the same on every machine;
/// that this machine is busy must fail no test.
const DEADLINE: Duration = Duration::from_secs(10);
const COMPILE_TIME: Duration = Duration::from_mins(10);

/// A plugin to be tried, and where it came from.
pub(super) struct Tried {
    pub(super) reference: Reference,
    /// The project, where there is one.
    pub(super) project: Option<(Project, Built)>,
}

impl Tried {
    /// Takes `text` for a folder where there is one of that name, and builds it; else for a reference.
    pub(super) async fn find(text: &str) -> anyhow::Result<Self> {
        let path = Path::new(text);
        if !path.is_dir() {
            return Ok(Self { reference: text.parse().map_err(|error| Usage(format!("{error}")))?, project: None });
        }
        let (project, built) = built(path.to_owned()).await?;
        Ok(Self { reference: Reference::File(built.path.clone()), project: Some((project, built)) })
    }

    /// Loads it.
    pub(super) async fn load(&self, host: &PluginHost) -> anyhow::Result<Subject> {
        let kind = host.inspect(&self.reference).await?.kind;
        Ok(match kind {
            PluginKind::ScalingPolicy => Subject::Policy(host.policy(&self.reference).await?),
            PluginKind::UserDataGenerator => Subject::Generator(host.generator(&self.reference).await?),
        })
    }
}

/// Builds a folder, off the threads that serve everything else.
pub(super) async fn built(directory: PathBuf) -> anyhow::Result<(Project, Built)> {
    let progress = Progress::new();
    let told = progress.clone();
    let work = tokio::task::spawn_blocking(move || {
        let project = Project::read(&directory)?;
        told.wait(format_args!("building {} ({})", project.about.name, project.language));
        let built = build(&project, CONTRACT)?;
        Ok::<_, BuildError>((project, built))
    });
    let outcome = work.await;
    progress.finish();
    Ok(outcome??)
}

/// A host as the configuration has it, which does not mind a busy machine.
pub(super) fn patient_host(global: &Global) -> anyhow::Result<PluginHost> {
    let settings = settings(global)?;
    super::host(PluginSettings { limits: patient_limits(&settings.limits), ..settings })
}

/// The same limits, but for time.
pub(super) fn patient_limits(limits: &Limits) -> Limits {
    Limits {
        deadline: limits.deadline.max(DEADLINE),
        compile_time: limits.compile_time.max(COMPILE_TIME),
        compile_cpu: limits.compile_cpu.max(COMPILE_TIME),
        ..limits.clone()
    }
}

/// How plugins are run: as the configuration says, where there is one.
pub(super) fn settings(global: &Global) -> anyhow::Result<PluginSettings> {
    if global.config.exists() {
        return Ok(App::load(global)?.config.plugins);
    }
    let sharing = SharingSettings { store: user_store(), ..SharingSettings::default() };
    Ok(PluginSettings { cache_dir: user_cache(), sharing, ..PluginSettings::default() })
}

/// A plugin's configuration in a file of its own, as YAML.
pub(super) fn read_config(file: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(file).map_err(|error| Usage(format!("{}: {error}", file.display())))?;
    Ok(serde_yaml::from_str(&text).map_err(|error| Usage(format!("{}: {error}", file.display())))?)
}
