//! `doproxy plugin`: one file per verb. This module contains the shared parts: the plugin host and the optional
//! configuration.

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

use doproxy_config::{Config, user_cache_dir, user_store_dir};
use doproxy_plugin_host::{PluginHost, PluginSettings};
use doproxy_plugin_registry::{Login, OciReference, ProgressSink, RegistrySettings};

use crate::cli::context::CommandContext;
use crate::cli::{Global, UsageError, output};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  doproxy plugin new calm --lang rust --kind policy\n  doproxy plugin build calm\n  doproxy plugin test calm\n  doproxy plugin inspect builtin:target-tracking"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the built-in plugins and those in the configuration.
    List(crate::cli::plugin::list::Args),
    /// Show a plugin's metadata, imports, metric requirements and configuration schema.
    Inspect(crate::cli::plugin::inspect::Args),
    /// Push a plugin to a registry.
    Push(crate::cli::plugin::push::Args),
    /// Pull plugins from their registries into the local store, for use without the registry.
    Pull(crate::cli::plugin::pull::Args),
    /// Resolve the plugin tags of doproxy.yml again and update the lock file.
    Update(crate::cli::plugin::update::Args),
    /// Sign a plugin in a registry.
    Sign(crate::cli::plugin::sign::Args),
    /// Verify the signatures of a plugin in a registry.
    Verify(crate::cli::plugin::verify::Args),
    /// Generate a key pair for signing and verifying plugins.
    Keygen(crate::cli::plugin::keygen::Args),
    /// Create a plugin project with a test.
    New(crate::cli::plugin::new::Args),
    /// Build a plugin's project into a component.
    Build(crate::cli::plugin::build::Args),
    /// Test a plugin against fixtures and properties.
    Test(crate::cli::plugin::test::Args),
    /// Measure the call times and memory use of a plugin.
    Bench(crate::cli::plugin::bench::Args),
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::List(args) => crate::cli::plugin::list::run(global, args).await,
        Command::Inspect(args) => crate::cli::plugin::inspect::run(global, args).await,
        Command::Push(args) => crate::cli::plugin::push::run(global, args).await,
        Command::Pull(args) => crate::cli::plugin::pull::run(global, args).await,
        Command::Update(args) => crate::cli::plugin::update::run(global, args).await,
        Command::Sign(args) => crate::cli::plugin::sign::run(global, args).await,
        Command::Verify(args) => crate::cli::plugin::verify::run(global, args).await,
        Command::Keygen(args) => crate::cli::plugin::keygen::run(args),
        Command::New(args) => crate::cli::plugin::new::run(args),
        Command::Build(args) => crate::cli::plugin::build::run(global, args).await,
        Command::Test(args) => crate::cli::plugin::test::run(global, args).await,
        Command::Bench(args) => crate::cli::plugin::bench::run(global, args).await,
    }
}

/// The running executable, even after its file is replaced by another version or removed.
const CURRENT_EXE: &str = "/proc/self/exe";

/// Builds the plugin host of a command, which compiles in a separate process and accesses registries with the user's
/// login.
pub(super) fn host(settings: PluginSettings) -> anyhow::Result<PluginHost> {
    let progress = ProgressSink::new(|what| output::note(what));
    let sharing = RegistrySettings { login: Login::from_env(), progress, ..settings.registry };
    Ok(PluginHost::new(PluginSettings { compiler: Some(CURRENT_EXE.into()), registry: sharing, ..settings })?)
}

/// Returns the plugin host and the configuration, if any. Plugins can be inspected without a configuration.
fn host_and_config(global: &Global) -> anyhow::Result<(PluginHost, Option<Config>)> {
    if global.config.exists() {
        let context = CommandContext::load(global)?;
        return Ok((context.plugins()?, Some(context.config)));
    }
    let sharing = RegistrySettings { store: user_store_dir(), ..RegistrySettings::default() };
    let settings = PluginSettings { cache_dir: user_cache_dir(), registry: sharing, ..PluginSettings::default() };
    Ok((host(settings)?, None))
}

/// Returns the registry plugins that a command applies to: the given ones, or those of the configuration.
fn oci_references(given: &[OciReference], config: Option<&Config>) -> Result<Vec<OciReference>, UsageError> {
    if !given.is_empty() {
        return Ok(given.to_vec());
    }
    let lock = config.and_then(|config| config.plugins.registry.lock.as_ref());
    let named: Vec<OciReference> = lock.iter().flat_map(|lock| &lock.references).cloned().collect();
    if named.is_empty() {
        return Err(UsageError("no registry plugin given; pass one as oci://REGISTRY/REPOSITORY:TAG".to_owned()));
    }
    Ok(named)
}
