//! `doproxy delete`: drains a droplet, removes it from HAProxy and deletes it. Droplets are selected by line, ID or
//! name only.

use doproxy_core::domain::{Droplet, Phase};
use doproxy_core::seams::{Inventory, Snapshot};

use crate::cli::context::{CommandContext, resume_operations};
use crate::cli::droplet_selector::DropletSelector;
use crate::cli::output::{Progress, out};
use crate::cli::{Global, UsageError, output};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  doproxy delete 1                     delete the droplet on line 1 of `doproxy print`\n  doproxy delete auto-nginx-1-k3f9tq   delete a droplet by name\n  doproxy delete --id 3164445 --yes    delete a droplet by ID without confirmation"
)]
pub(super) struct Args {
    #[command(flatten)]
    selector: DropletSelector,
    /// Skip the confirmation prompt.
    #[arg(long, short)]
    yes: bool,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let context = CommandContext::load_with_advice(global)?;
    // The line number refers to the fleet as last printed. Waiting for another command, or resuming the operations of
    // an earlier one, may remove a droplet, after which the line would refer to a different one.
    let snapshot = match context.existing_inventory()? {
        Some(inventory) => inventory.load().await?,
        None => Snapshot::default(),
    };
    let droplet = args.selector.find(&snapshot)?;
    let progress = Progress::new();
    let _lock = context.lock("delete", &progress).await?;
    let controller = context.controller(&progress).await?;
    if !args.yes && !progress.suspend(|| confirm_deletion(droplet, &snapshot))? {
        out!("nothing was deleted");
        return Ok(());
    }
    resume_operations(&controller, &progress).await?;
    let summary = controller.delete(std::slice::from_ref(&droplet.name), "deleted by the operator").await;
    progress.finish();
    summary?.into_result()?;
    out!("deleted {}", describe(droplet));
    Ok(())
}

fn confirm_deletion(droplet: &Droplet, snapshot: &Snapshot) -> anyhow::Result<bool> {
    if !output::is_interactive() {
        return Err(UsageError(format!(
            "cannot confirm deletion of {} without a terminal; pass --yes",
            describe(droplet)
        ))
        .into());
    }
    let others =
        snapshot.droplets.iter().filter(|other| other.phase == Phase::Serving && other.name != droplet.name).count();
    let warning = if others == 0 { ", the only serving droplet" } else { "" };
    Ok(output::confirm(&format!("Delete {}, which is {}{warning}?", describe(droplet), droplet.phase))?)
}

fn describe(droplet: &Droplet) -> String {
    match droplet.id {
        Some(id) => format!("{} (id {id})", droplet.name),
        None => droplet.name.to_string(),
    }
}
