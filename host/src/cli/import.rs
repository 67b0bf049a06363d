//! `doproxy import`: imports the droplets of a DOProxy inventory, a file with one droplet ID per line.

use std::path::{Path, PathBuf};

use anyhow::Context;
use doproxy_core::domain::DropletId;

use crate::cli::context::{CommandContext, resume_operations};
use crate::cli::output::{Progress, out};
use crate::cli::{Global, UsageError, output};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  doproxy import inventory")]
pub(super) struct Args {
    /// DOProxy inventory file.
    file: PathBuf,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let text =
        std::fs::read_to_string(&args.file).with_context(|| format!("failed to read {}", args.file.display()))?;
    let ids = parse(&text, &args.file)?;
    if ids.is_empty() {
        out!("{} lists no droplets; nothing to import", args.file.display());
        return Ok(());
    }
    let context = CommandContext::load(global)?;
    let progress = Progress::new();
    let _lock = context.lock("import", &progress).await?;
    let controller = context.controller(&progress).await?;
    resume_operations(&controller, &progress).await?;
    let imported = controller.import(&ids).await;
    progress.finish();
    let imported = imported?;
    for droplet in &imported.droplets {
        let id = droplet.id.map(|id| id.to_string()).unwrap_or_default();
        out!("imported {} (id {id})", droplet.name);
    }
    for id in &imported.already_managed {
        out!("{id} is already in the inventory");
    }
    for id in &imported.missing {
        output::warn(format_args!("skipped droplet {id}: it no longer exists at DigitalOcean"));
    }
    for id in &imported.without_address {
        output::warn(format_args!(
            "skipped droplet {id}: it has no {:?} address for HAProxy; see haproxy.droplet_address in doproxy.yml",
            context.config.droplet_address
        ));
    }
    for (id, tag) in &imported.in_other_fleets {
        output::warn(format_args!(
            "skipped droplet {id}: it has the tag {tag} of another fleet; remove that tag first"
        ));
    }
    out!(
        "{} imported and tagged {}; run `doproxy reload` to add them to HAProxy",
        output::count(imported.droplets.len(), "droplet"),
        context.config.fleet.tag()
    );
    Ok(())
}

/// Parses an inventory. Blank lines are ignored, because DOProxy itself leaves some.
fn parse(text: &str, path: &Path) -> Result<Vec<DropletId>, UsageError> {
    let mut ids = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let id = line.trim().parse().map_err(|_| {
            let shown: String = line.chars().take(40).collect();
            UsageError(format!(
                "{}:{}: {shown:?} is not a droplet ID; nothing was imported",
                path.display(),
                number + 1
            ))
        })?;
        ids.push(DropletId(id));
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_skips_blank_lines() {
        let ids = parse("3164445\n\n  3164446 \r\n\n", Path::new("inventory")).unwrap();

        assert_eq!(ids, [DropletId(3_164_445), DropletId(3_164_446)]);
    }

    #[test]
    fn parse_reports_invalid_line() {
        let error = parse("3164445\nweb-1\n", Path::new("inventory")).unwrap_err();

        insta::assert_snapshot!(error, @r#"inventory:2: "web-1" is not a droplet ID; nothing was imported"#);
    }
}
