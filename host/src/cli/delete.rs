//! `doproxy delete`: drain, take out of HAProxy, delete. It takes a line, an id or a name, and nothing else.

use super::context::{CommandContext, resume_operations};
use super::droplet_selector::DropletSelector;
use super::output::{self, Progress, say};
use super::{Global, UsageError};
use crate::inventory::{Inventory, Snapshot};
use crate::model::{Droplet, Phase};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  doproxy delete 1                     the droplet of line 1 of `doproxy print`\n  doproxy delete auto-nginx-1-k3f9tq   the droplet of that name\n  doproxy delete --id 3164445 --yes    ask nothing"
)]
pub(super) struct Args {
    #[command(flatten)]
    selector: DropletSelector,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let app = CommandContext::load_with_advice(global)?;
    // The line is that of the fleet as it was printed. Waiting for another command, or carrying on what one left, may
    // take a droplet away, and then the line would mean another one.
    let snapshot = match app.existing_inventory()? {
        Some(inventory) => inventory.load().await?,
        None => Snapshot::default(),
    };
    let droplet = args.selector.find(&snapshot)?;
    let progress = Progress::new();
    let _lock = app.lock("delete", &progress).await?;
    let controller = app.controller(&progress).await?;
    if !args.yes && !progress.suspend(|| confirm_deletion(droplet, &snapshot))? {
        say!("nothing was deleted");
        return Ok(());
    }
    resume_operations(&controller, &progress).await?;
    let acted = controller.delete(std::slice::from_ref(&droplet.name), "deleted by hand").await;
    progress.finish();
    acted?.into_result()?;
    say!("deleted {}", describe(droplet));
    Ok(())
}

fn confirm_deletion(droplet: &Droplet, snapshot: &Snapshot) -> anyhow::Result<bool> {
    if !output::is_interactive() {
        return Err(
            UsageError(format!("delete {}? There is no terminal to ask on: say --yes", describe(droplet))).into()
        );
    }
    let others =
        snapshot.droplets.iter().filter(|other| other.phase == Phase::Serving && other.name != droplet.name).count();
    let warning = if others == 0 { ", and no other serves" } else { "" };
    Ok(output::confirm(&format!("Delete {}, which is {}{warning}?", describe(droplet), droplet.phase))?)
}

fn describe(droplet: &Droplet) -> String {
    match droplet.id {
        Some(id) => format!("{} (id {id})", droplet.name),
        None => droplet.name.to_string(),
    }
}
