//! `doproxy protect` and `doproxy unprotect`: excludes droplets from selection by policies and the guard.

use doproxy_core::seams::Inventory;

use crate::cli::context::CommandContext;
use crate::cli::droplet_selector::DropletSelector;
use crate::cli::output::out;
use crate::cli::{Global, UsageError};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A protected droplet is deleted only by `doproxy delete`: no policy and no guard rule selects it, even if it is\nunhealthy.\n\nExamples:\n  doproxy protect 1\n  doproxy unprotect auto-nginx-1-k3f9tq"
)]
pub(super) struct Args {
    #[command(flatten)]
    selector: DropletSelector,
}

pub(super) async fn protect(global: &Global, args: &Args) -> anyhow::Result<()> {
    set_protected(global, args, true).await
}

pub(super) async fn unprotect(global: &Global, args: &Args) -> anyhow::Result<()> {
    set_protected(global, args, false).await
}

/// Sets or clears the protection. Takes no lock, because it changes one flag atomically; applies from the next decision
/// on.
async fn set_protected(global: &Global, args: &Args, protected: bool) -> anyhow::Result<()> {
    let inventory = CommandContext::load(global)?.inventory()?;
    let snapshot = inventory.load().await?;
    let droplet = args.selector.find(&snapshot)?;
    let word = if protected { "protected" } else { "not protected" };
    if droplet.protected == protected {
        out!("{} is already {word}", droplet.name);
        return Ok(());
    }
    if !inventory.set_protected(&droplet.name, protected).await? {
        return Err(UsageError(format!("{} has left the fleet in the meantime", droplet.name)).into());
    }
    out!("{} is now {word}", droplet.name);
    Ok(())
}
