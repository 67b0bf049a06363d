//! `doproxy plugin`: one file a verb. Here is what they share: the host, and the configuration where there is one.

mod inspect;
mod list;

use super::Global;
use super::app::App;
use crate::config::{Config, user_cache};
use crate::plugin::{PluginHost, PluginSettings};

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
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::List(args) => list::run(global, args).await,
        Command::Inspect(args) => inspect::run(global, args).await,
    }
}

/// The program that runs: also after its file was replaced by another version or removed.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// The plugin host of a command, which compiles in a process of its own.
pub(super) fn host(settings: PluginSettings) -> anyhow::Result<PluginHost> {
    Ok(PluginHost::new(PluginSettings { compiler: Some(THIS_PROGRAM.into()), ..settings })?)
}

/// Plugins can be looked at where there is no configuration.
fn configured(global: &Global) -> anyhow::Result<(PluginHost, Option<Config>)> {
    if global.config.exists() {
        let app = App::load(global)?;
        return Ok((app.plugins()?, Some(app.config)));
    }
    let settings = PluginSettings { cache_dir: user_cache(), ..PluginSettings::default() };
    Ok((host(settings)?, None))
}
