//! `doproxy protect` and `doproxy unprotect`: who is not to be chosen by a policy or by the guard.

use super::context::CommandContext;
use super::droplet_selector::DropletSelector;
use super::output::say;
use super::{Global, UsageError};
use crate::inventory::Inventory;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A protected droplet is deleted by `doproxy delete` and by nothing else: no policy and no rule chooses it,\nnot even when it is unhealthy.\n\nExamples:\n  doproxy protect 1\n  doproxy unprotect auto-nginx-1-k3f9tq"
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

/// It takes no lock: it changes one mark, in one step, and holds from the next decision on.
async fn set_protected(global: &Global, args: &Args, protected: bool) -> anyhow::Result<()> {
    let inventory = CommandContext::load(global)?.inventory()?;
    let snapshot = inventory.load().await?;
    let droplet = args.selector.find(&snapshot)?;
    let word = if protected { "protected" } else { "not protected" };
    if droplet.protected == protected {
        say!("{} is {word} already", droplet.name);
        return Ok(());
    }
    if !inventory.set_protected(&droplet.name, protected).await? {
        return Err(UsageError(format!("{} has left the fleet meanwhile", droplet.name)).into());
    }
    say!("{} is {word} now", droplet.name);
    Ok(())
}
