//! `doproxy generate`: renders HAProxy's configuration next to `doproxy.yml` for inspection.

use std::io::Write;

use anyhow::Context;
use doproxy_controller as controller;
use doproxy_core::seams::Inventory;

use crate::cli::context::CommandContext;
use crate::cli::output::out;
use crate::cli::{Global, UsageError, output};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  doproxy generate\n  doproxy generate --stdout | tail")]
pub(super) struct Args {
    /// Print the configuration to stdout instead of writing a file.
    #[arg(long)]
    stdout: bool,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let context = CommandContext::load_with_advice(global)?;
    let droplets = match context.existing_inventory()? {
        Some(inventory) => inventory.load().await?.droplets,
        None => Vec::new(),
    };
    let servers = controller::servers(&droplets);
    let text = context.balancer()?.render(&servers)?;
    if args.stdout {
        output::write(format_args!("{text}"));
        return Ok(());
    }
    let path = &context.config.generated_file;
    if *path == context.config.haproxy.config_file {
        return Err(UsageError(format!(
            "{} is HAProxy's live configuration; run `doproxy reload` to install it safely, or `doproxy generate --stdout` to print it",
            path.display()
        ))
        .into());
    }
    write(path, &text).with_context(|| format!("failed to write {}", path.display()))?;
    out!("wrote {} with {}", path.display(), output::count(servers.len(), "server"));
    Ok(())
}

/// Writes the file atomically.
fn write(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(std::path::Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}
