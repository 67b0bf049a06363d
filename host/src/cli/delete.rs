//! `doproxy delete`: drain, take out of HAProxy, delete. It takes a line, an id or a name, and nothing else.

use super::app::{App, carry_on};
use super::output::{self, Progress, say};
use super::{Global, Usage};
use crate::inventory::{Inventory, Snapshot};
use crate::model::{Droplet, DropletId, Phase};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  doproxy delete 1                     the droplet of line 1 of `doproxy print`\n  doproxy delete auto-nginx-1-k3f9tq   the droplet of that name\n  doproxy delete --id 3164445 --yes    ask nothing"
)]
pub(super) struct Args {
    /// The line that `doproxy print` shows, or the droplet's name.
    #[arg(value_name = "LINE|NAME", required_unless_present = "id", conflicts_with = "id")]
    which: Option<String>,
    /// The droplet's id.
    #[arg(long, value_name = "ID")]
    id: Option<u64>,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let app = App::load_with_advice(global)?;
    // The line is that of the fleet as it was printed. Waiting for another command, or carrying on what one left, may
    // take a droplet away, and then the line would mean another one.
    let snapshot = match app.existing_inventory()? {
        Some(inventory) => inventory.load().await?,
        None => Snapshot::default(),
    };
    let droplet = find(&snapshot, args)?;
    let progress = Progress::new();
    let _lock = app.lock("delete", &progress).await?;
    let controller = app.controller(&progress).await?;
    if !args.yes && !progress.suspend(|| agreed(droplet, &snapshot))? {
        say!("nothing was deleted");
        return Ok(());
    }
    carry_on(&controller, &progress).await?;
    let acted = controller.delete(std::slice::from_ref(&droplet.name), "deleted by hand").await;
    progress.finish();
    acted?.into_result()?;
    say!("deleted {}", describe(droplet));
    Ok(())
}

fn find<'a>(snapshot: &'a Snapshot, args: &Args) -> Result<&'a Droplet, Usage> {
    if let Some(id) = args.id {
        let of_id = snapshot.droplets.iter().find(|droplet| droplet.id == Some(DropletId(id)));
        return of_id
            .ok_or_else(|| Usage(format!("no droplet of this fleet has the id {id}; `doproxy print` shows them")));
    }
    let which = args.which.as_deref().unwrap_or_default();
    let line = which.parse::<usize>().ok().and_then(|line| snapshot.droplets.get(line));
    if let Some(named) = snapshot.droplets.iter().find(|droplet| droplet.name.as_str() == which) {
        // A droplet that was taken over may have a number for a name.
        if line.is_some_and(|line| line.name != named.name) {
            return Err(Usage(format!("{which:?} is a line and the name of another droplet; say --id")));
        }
        return Ok(named);
    }
    let lines = snapshot.droplets.len();
    if which.bytes().all(|byte| byte.is_ascii_digit()) {
        return line.ok_or_else(|| match lines {
            0 => Usage(format!("there is no line {which}: the inventory is empty")),
            1 => Usage(format!("there is no line {which}: `doproxy print` shows line 0 only")),
            _ => Usage(format!("there is no line {which}: `doproxy print` shows lines 0 to {}", lines - 1)),
        });
    }
    Err(Usage(format!("{which:?} is neither a line of `doproxy print` nor the name of a droplet of this fleet")))
}

fn agreed(droplet: &Droplet, snapshot: &Snapshot) -> anyhow::Result<bool> {
    if !output::can_ask() {
        return Err(Usage(format!("delete {}? There is no terminal to ask on: say --yes", describe(droplet))).into());
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
