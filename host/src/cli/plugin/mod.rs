//! `doproxy plugin`: one file a verb. Here is what they share: the host, and the configuration where there is one.

mod bench;
mod build;
mod inspect;
mod keygen;
mod list;
mod new;
mod origin;
mod pull;
mod push;
mod sign;
mod target;
mod test;
mod update;
mod verify;

use super::context::CommandContext;
use super::{Global, UsageError, output};
use crate::config::{Config, user_cache_dir, user_store_dir};
use crate::plugin::{Login, OciReference, PluginHost, PluginSettings, ProgressSink, RegistrySettings};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The plugins that are built in, and those that the configuration names.
    List(list::Args),
    /// What a plugin is, imports, needs and can be told.
    Inspect(inspect::Args),
    /// Bring a plugin to a registry.
    Push(push::Args),
    /// Bring plugins from their registries into the store, so that they work without them.
    Pull(pull::Args),
    /// Take what the tags of doproxy.yml mean today, and lock that.
    Update(update::Args),
    /// Sign a plugin in a registry.
    Sign(sign::Args),
    /// Check the signatures on a plugin in a registry.
    Verify(verify::Args),
    /// Make a pair of keys: one that signs, one that checks signatures.
    Keygen(keygen::Args),
    /// Begin a plugin: a project that builds, with a test.
    New(new::Args),
    /// Build a plugin's project into a component.
    Build(build::Args),
    /// Test a plugin: fixtures, and rules that hold in any situation.
    Test(test::Args),
    /// Measure what a plugin costs.
    Bench(bench::Args),
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::List(args) => list::run(global, args).await,
        Command::Inspect(args) => inspect::run(global, args).await,
        Command::Push(args) => push::run(global, args).await,
        Command::Pull(args) => pull::run(global, args).await,
        Command::Update(args) => update::run(global, args).await,
        Command::Sign(args) => sign::run(global, args).await,
        Command::Verify(args) => verify::run(global, args).await,
        Command::Keygen(args) => keygen::run(args),
        Command::New(args) => new::run(args),
        Command::Build(args) => build::run(global, args).await,
        Command::Test(args) => test::run(global, args).await,
        Command::Bench(args) => bench::run(global, args).await,
    }
}

/// The program that runs: also after its file was replaced by another version or removed.
const CURRENT_EXE: &str = "/proc/self/exe";

/// The plugin host of a command, which compiles in a process of its own, and asks registries as this user.
pub(super) fn host(settings: PluginSettings) -> anyhow::Result<PluginHost> {
    let told = ProgressSink::new(|what| output::note(what));
    let sharing = RegistrySettings { login: Login::from_env(), progress: told, ..settings.registry };
    Ok(PluginHost::new(PluginSettings { compiler: Some(CURRENT_EXE.into()), registry: sharing, ..settings })?)
}

/// Plugins can be looked at where there is no configuration.
fn host_and_config(global: &Global) -> anyhow::Result<(PluginHost, Option<Config>)> {
    if global.config.exists() {
        let app = CommandContext::load(global)?;
        return Ok((app.plugins()?, Some(app.config)));
    }
    let sharing = RegistrySettings { store: user_store_dir(), ..RegistrySettings::default() };
    let settings = PluginSettings { cache_dir: user_cache_dir(), registry: sharing, ..PluginSettings::default() };
    Ok((host(settings)?, None))
}

/// The plugins from registries that a command is about: those that were given, else those of the configuration.
fn oci_references(given: &[OciReference], config: Option<&Config>) -> Result<Vec<OciReference>, UsageError> {
    if !given.is_empty() {
        return Ok(given.to_vec());
    }
    let lock = config.and_then(|config| config.plugins.registry.lock.as_ref());
    let named: Vec<OciReference> = lock.iter().flat_map(|lock| &lock.references).cloned().collect();
    if named.is_empty() {
        return Err(UsageError(
            "no plugin from a registry is named; name one: oci://REGISTRY/REPOSITORY:TAG".to_owned(),
        ));
    }
    Ok(named)
}
