//! `doproxy delete`: drain, take out of HAProxy, delete. It takes a line, an id or a name, and nothing else.

use super::app::{App, carry_on};
use super::output::{self, Progress, say};
use super::{Global, Usage};
use crate::inventory::Snapshot;
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
    let progress = Progress::new();
    let _lock = app.lock("delete", &progress).await?;
    let controller = app.controller(&progress).await?;
    // Found before anything is carried on: that may take a droplet away, and then a line would mean another droplet.
    let snapshot = controller.load().await?;
    let droplet = find(&snapshot, args)?;
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
    if let Some(named) = snapshot.droplets.iter().find(|droplet| droplet.name.as_str() == which) {
        return Ok(named);
    }
    let lines = snapshot.droplets.len();
    if which.bytes().all(|byte| byte.is_ascii_digit()) {
        let line = which.parse::<usize>().ok().and_then(|line| snapshot.droplets.get(line));
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
