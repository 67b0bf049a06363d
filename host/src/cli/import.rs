//! `doproxy import`: takes over the droplets of a DOProxy inventory, a file with a droplet id on each line.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::context::{CommandContext, resume_operations};
use super::output::{self, Progress, say};
use super::{Global, UsageError};
use crate::model::DropletId;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  doproxy import inventory")]
pub(super) struct Args {
    /// DOProxy's inventory.
    file: PathBuf,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    let ids = parse(&text, &args.file)?;
    if ids.is_empty() {
        say!("{} names no droplet; nothing to import", args.file.display());
        return Ok(());
    }
    let app = CommandContext::load(global)?;
    let progress = Progress::new();
    let _lock = app.lock("import", &progress).await?;
    let controller = app.controller(&progress).await?;
    resume_operations(&controller, &progress).await?;
    let imported = controller.import(&ids).await;
    progress.finish();
    let imported = imported?;
    for droplet in &imported.droplets {
        let id = droplet.id.map(|id| id.to_string()).unwrap_or_default();
        say!("took over {} (id {id})", droplet.name);
    }
    for id in &imported.already_managed {
        say!("{id} is in the inventory already");
    }
    for id in &imported.missing {
        output::warn(format_args!("droplet {id} is not at DigitalOcean any more; left out"));
    }
    for id in &imported.without_address {
        output::warn(format_args!(
            "droplet {id} has no {:?} address that HAProxy could use; left out. See haproxy.address in doproxy.yml",
            app.config.droplet_address
        ));
    }
    for (id, tag) in &imported.in_other_fleets {
        output::warn(format_args!(
            "droplet {id} bears the tag {tag} of another fleet; left out. Take that tag off it first"
        ));
    }
    say!(
        "{} taken over; each bears the tag {} now. `doproxy reload` puts them behind HAProxy",
        output::count(imported.droplets.len(), "droplet"),
        app.config.fleet.tag()
    );
    Ok(())
}

/// Blank lines do not count: DOProxy itself left some.
fn parse(text: &str, path: &Path) -> Result<Vec<DropletId>, UsageError> {
    let mut ids = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let id = line.trim().parse().map_err(|_| {
            let shown: String = line.chars().take(40).collect();
            UsageError(format!("{}:{}: {shown:?} is no droplet id; nothing was imported", path.display(), number + 1))
        })?;
        ids.push(DropletId(id));
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_of_an_old_inventory_do_not_count() {
        let ids = parse("3164445\n\n  3164446 \r\n\n", Path::new("inventory")).unwrap();

        assert_eq!(ids, [DropletId(3_164_445), DropletId(3_164_446)]);
    }

    #[test]
    fn a_line_that_is_no_id_is_named() {
        let error = parse("3164445\nweb-1\n", Path::new("inventory")).unwrap_err();

        insta::assert_snapshot!(error, @r#"inventory:2: "web-1" is no droplet id; nothing was imported"#);
    }
}
