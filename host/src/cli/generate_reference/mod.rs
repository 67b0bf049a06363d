//! `doproxy generate-reference`: writes the pages of `docs/reference` that the program itself defines, and the man pages.

mod command_line;
mod configuration;
mod markdown;
mod metrics;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use doproxy_config::SCHEMA_FILE;

use crate::cli::Cli;
use crate::cli::config::schema_text;
use crate::cli::output::out;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Root of the repository, or of a copy to compare with it.
    dir: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let pages = args.dir.join("docs/reference");
    let manuals = args.dir.join("docs/man");
    for dir in [&pages, &manuals] {
        std::fs::create_dir_all(dir).with_context(|| format!("failed to create {}", dir.display()))?;
    }
    write(&pages.join("cli.md"), &command_line::page(Cli::command()))?;
    write(&pages.join("configuration.md"), &configuration::page(&doproxy_config::schema()))?;
    write(&pages.join("metrics.md"), &metrics::page())?;
    write(&pages.join(SCHEMA_FILE), &(schema_text()? + "\n"))?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    write_manuals(&command, &manuals)?;
    out!("wrote {} and {}", pages.display(), manuals.display());
    Ok(())
}

/// Writes the man pages of a command and its visible subcommands.
fn write_manuals(command: &Command, dir: &Path) -> anyhow::Result<()> {
    // Without a version, so that a release does not change every page.
    let page = Man::new(command.clone()).source("doproxy").manual("doproxy manual");
    let mut text = Vec::new();
    page.render(&mut text)?;
    write(&dir.join(page.get_filename()), &String::from_utf8(text)?)?;
    command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .try_for_each(|command| write_manuals(command, dir))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))
}
