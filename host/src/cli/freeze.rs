//! `doproxy freeze` and `doproxy unfreeze`: nothing is changed until somebody says so.

use super::context::CommandContext;
use super::output::say;
use super::{Global, UsageError};
use crate::clock::Clock;
use crate::inventory::{Freeze, Inventory};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "It takes effect at once, also for a command that is under way: that one stops before its next change, and\nwhat it had begun is carried on after `doproxy unfreeze`.\n\nExamples:\n  doproxy freeze \"maintenance of the database\"\n  doproxy unfreeze"
)]
pub(super) struct Args {
    /// Why, for whoever meets it.
    #[arg(default_value = "no reason given")]
    reason: String,
}

/// Freezes the fleet. It does not wait for the lock: it is there to stop whoever has it.
pub(super) async fn freeze(global: &Global, args: &Args) -> anyhow::Result<()> {
    let reason: String = args.reason.chars().filter(|c| !c.is_control()).take(500).collect();
    if reason.trim().is_empty() {
        return Err(UsageError("the reason is empty; leave it out, or say why".to_owned()).into());
    }
    let inventory = CommandContext::load(global)?.inventory()?;
    if let Some(freeze) = inventory.freeze().await? {
        say!("the fleet is frozen already, since {}: {}", freeze.since, freeze.reason);
        return Ok(());
    }
    inventory.set_freeze(Some(&Freeze { since: Clock::from_wall_clock().now(), reason })).await?;
    say!("frozen: nothing is created, deleted or reloaded until `doproxy unfreeze`");
    Ok(())
}

/// Lifts a freeze.
pub(super) async fn unfreeze(global: &Global) -> anyhow::Result<()> {
    let inventory = CommandContext::load(global)?.inventory()?;
    let Some(freeze) = inventory.freeze().await? else {
        say!("the fleet is not frozen");
        return Ok(());
    };
    inventory.set_freeze(None).await?;
    say!("no longer frozen; it was since {}: {}", freeze.since, freeze.reason);
    Ok(())
}
