//! `doproxy maintenance`: suspends all changes to the fleet until they are allowed again.

use doproxy_core::seams::{Inventory, Maintenance};
use doproxy_support::{Clock, sanitize_line};

use crate::cli::context::CommandContext;
use crate::cli::output::out;
use crate::cli::{Global, UsageError};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Takes effect immediately, even for a command in progress: it stops before its next change, and its open operations\nresume after `doproxy maintenance off`.\n\nExamples:\n  doproxy maintenance on \"database migration\"\n  doproxy maintenance off"
)]
pub(super) struct Args {
    #[command(subcommand)]
    switch: Switch,
}

#[derive(Debug, clap::Subcommand)]
enum Switch {
    /// Suspend all changes to the fleet.
    On {
        /// Reason, shown to other operators and commands.
        #[arg(default_value = "no reason given")]
        reason: String,
    },
    /// Allow changes to the fleet again.
    Off,
}

/// Turns maintenance mode on or off without waiting for the lock, because its purpose is to stop the lock holder.
pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    match &args.switch {
        Switch::On { reason } => turn_on(global, reason).await,
        Switch::Off => turn_off(global).await,
    }
}

async fn turn_on(global: &Global, reason: &str) -> anyhow::Result<()> {
    let reason = sanitize_line(reason, 500);
    if reason.trim().is_empty() {
        return Err(UsageError("the reason is empty; omit it or give a reason".to_owned()).into());
    }
    let inventory = CommandContext::load(global)?.inventory()?;
    if let Some(maintenance) = inventory.maintenance().await? {
        out!("the fleet is already in maintenance mode, since {}: {}", maintenance.since, maintenance.reason);
        return Ok(());
    }
    inventory.set_maintenance(Some(&Maintenance { since: Clock::from_wall_clock().now(), reason })).await?;
    out!("maintenance mode is on: creates, deletes and reloads are suspended until `doproxy maintenance off`");
    Ok(())
}

async fn turn_off(global: &Global) -> anyhow::Result<()> {
    let inventory = CommandContext::load(global)?.inventory()?;
    let Some(maintenance) = inventory.maintenance().await? else {
        out!("the fleet is not in maintenance mode");
        return Ok(());
    };
    inventory.set_maintenance(None).await?;
    out!("maintenance mode is off; it was on since {}: {}", maintenance.since, maintenance.reason);
    Ok(())
}
