//! `doproxy freeze` and `doproxy unfreeze`: suspends all changes to the fleet until they are allowed again.

use doproxy_core::seams::{Freeze, Inventory};
use doproxy_support::Clock;

use crate::cli::context::CommandContext;
use crate::cli::output::say;
use crate::cli::{Global, UsageError};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Takes effect immediately, even for a command in progress: it stops before its next change, and its open operations\nresume after `doproxy unfreeze`.\n\nExamples:\n  doproxy freeze \"database maintenance\"\n  doproxy unfreeze"
)]
pub(super) struct Args {
    /// Reason, shown to other operators and commands.
    #[arg(default_value = "no reason given")]
    reason: String,
}

/// Freezes the fleet without waiting for the lock, because its purpose is to stop the lock holder.
pub(super) async fn freeze(global: &Global, args: &Args) -> anyhow::Result<()> {
    let reason: String = args.reason.chars().filter(|c| !c.is_control()).take(500).collect();
    if reason.trim().is_empty() {
        return Err(UsageError("the reason is empty; omit it or give a reason".to_owned()).into());
    }
    let inventory = CommandContext::load(global)?.inventory()?;
    if let Some(freeze) = inventory.freeze().await? {
        say!("the fleet is already frozen since {}: {}", freeze.since, freeze.reason);
        return Ok(());
    }
    inventory.set_freeze(Some(&Freeze { since: Clock::from_wall_clock().now(), reason })).await?;
    say!("frozen: creates, deletes and reloads are suspended until `doproxy unfreeze`");
    Ok(())
}

/// Unfreezes the fleet.
pub(super) async fn unfreeze(global: &Global) -> anyhow::Result<()> {
    let inventory = CommandContext::load(global)?.inventory()?;
    let Some(freeze) = inventory.freeze().await? else {
        say!("the fleet is not frozen");
        return Ok(());
    };
    inventory.set_freeze(None).await?;
    say!("unfrozen; was frozen since {}: {}", freeze.since, freeze.reason);
    Ok(())
}
