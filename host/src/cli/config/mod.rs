//! `doproxy config`: describes and shows `doproxy.yml`.

mod show;

use crate::cli::Global;
use crate::cli::output::out;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  doproxy config show                              show every value and its origin\n  doproxy config schema > doproxy.schema.json      write the schema for an editor"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the JSON Schema (draft 2020-12) of doproxy.yml.
    #[command(after_help = "Example:\n  doproxy config schema > doproxy.schema.json")]
    Schema,
    /// Print the effective configuration with defaults and the origin of each value.
    Show(crate::cli::config::show::Args),
}

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Schema => out!("{}", schema_text()?),
        Command::Show(args) => crate::cli::config::show::run(global, args)?,
    }
    Ok(())
}

/// Returns the JSON Schema of `doproxy.yml` as text.
pub(super) fn schema_text() -> serde_json::Result<String> {
    serde_json::to_string_pretty(&doproxy_config::schema())
}
