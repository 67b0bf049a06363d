//! `doproxy protect` and `doproxy unprotect`: who is not to be chosen by a policy or by the guard.

use super::app::App;
use super::output::say;
use super::which::Which;
use super::{Global, Usage};
use crate::inventory::Inventory;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A protected droplet is deleted by `doproxy delete` and by nothing else: no policy and no rule chooses it,\nnot even when it is unhealthy.\n\nExamples:\n  doproxy protect 1\n  doproxy unprotect auto-nginx-1-k3f9tq"
)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
}

pub(super) async fn protect(global: &Global, args: &Args) -> anyhow::Result<()> {
    set(global, args, true).await
}

pub(super) async fn unprotect(global: &Global, args: &Args) -> anyhow::Result<()> {
    set(global, args, false).await
}

/// It takes no lock: it changes one mark, in one step, and holds from the next decision on.
async fn set(global: &Global, args: &Args, protected: bool) -> anyhow::Result<()> {
    let inventory = App::load(global)?.inventory()?;
    let snapshot = inventory.load().await?;
    let droplet = args.which.find(&snapshot)?;
    let word = if protected { "protected" } else { "not protected" };
    if droplet.protected == protected {
        say!("{} is {word} already", droplet.name);
        return Ok(());
    }
    if !inventory.protect(&droplet.name, protected).await? {
        return Err(Usage(format!("{} has left the fleet meanwhile", droplet.name)).into());
    }
    say!("{} is {word} now", droplet.name);
    Ok(())
}
