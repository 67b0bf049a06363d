//! `doproxy recover`: what an earlier command left is finished or undone, and what does not belong together is named.

use serde::Serialize;

use super::Global;
use super::context::CommandContext;
use super::output::{self, Progress, say};
use crate::controller::OrphanDroplet;
use crate::controller::recover::{OrphanPolicy, RecoverySummary};
use crate::model::{DropletId, DropletName};

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[command(
    after_help = "Every command that changes the fleet carries on what an earlier one left; this one does nothing else, and reports.\n\nExamples:\n  doproxy recover                    finish what is open; name what nobody knows\n  doproxy recover --adopt            take droplets that bear the fleet's tag into the inventory, for one after it was lost\n  doproxy recover --delete-unknown   delete those whose name doproxy made\n  doproxy recover --json"
)]
pub(super) struct Args {
    /// Take droplets that bear the fleet's tag and that the inventory does not have into the fleet.
    #[arg(long, conflicts_with = "delete_unknown")]
    adopt: bool,
    /// Delete droplets that bear the fleet's tag and that the inventory does not have: only those with a name of
    /// doproxy's making, older than scaling.timeouts.visible, and seen twice.
    #[arg(long)]
    delete_unknown: bool,
    /// Believe the API when it has not one droplet of the inventory.
    #[arg(long)]
    forget: bool,
    /// Do not ask before unknown droplets are deleted.
    #[arg(long, short)]
    yes: bool,
    /// What was found and done, as JSON.
    #[arg(long)]
    json: bool,
}

/// What is said to programs.
#[derive(Debug, Serialize)]
struct RecoverOutput<'a> {
    open: usize,
    created: Vec<&'a DropletName>,
    deleted: Vec<&'a DropletName>,
    abandoned: Vec<AbandonedOperation<'a>>,
    missing: &'a [DropletName],
    duplicates: &'a [DropletId],
    servers: &'a [String],
    orphans: Vec<OrphanOutput>,
    adopted: &'a [DropletName],
    deleted_orphans: &'a [DropletId],
}

#[derive(Debug, Serialize)]
struct AbandonedOperation<'a> {
    name: &'a DropletName,
    reason: &'a str,
}

#[derive(Debug, Serialize)]
struct OrphanOutput {
    id: DropletId,
    name: String,
    created_at: Option<String>,
    reappeared: bool,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let strangers = match (args.adopt, args.delete_unknown) {
        (true, _) => OrphanPolicy::Adopt,
        (_, true) => OrphanPolicy::Delete,
        _ => OrphanPolicy::Report,
    };
    let mut app = CommandContext::load_with_advice(global)?;
    app.allow_empty_cloud = args.forget;
    let progress = Progress::new();
    let _lock = app.lock("recover", &progress).await?;
    let controller = app.controller(&progress).await?;
    if strangers == OrphanPolicy::Delete && !args.yes {
        let question = format!("Delete what bears the tag {} and is not in the inventory?", app.config.fleet.tag());
        if !output::is_interactive() {
            return Err(super::UsageError(format!("{question} There is no terminal to ask on: say --yes")).into());
        }
        if !progress.suspend(|| output::confirm(&question))? {
            say!("nothing was deleted");
            return Ok(());
        }
    }
    let recovered = controller.recover(strangers).await;
    progress.finish();
    let recovered = recovered?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&recover_output(&recovered))?);
    } else {
        print_summary(&recovered);
    }
    Ok(())
}

fn recover_output(recovered: &RecoverySummary) -> RecoverOutput<'_> {
    let unknown = |stranger: &OrphanDroplet| OrphanOutput {
        id: stranger.droplet.id,
        name: stranger.display_name(),
        created_at: stranger.droplet.created_at.map(|at| at.to_string()),
        reappeared: stranger.former_member,
    };
    let acted = &recovered.operations;
    RecoverOutput {
        open: recovered.open_operations,
        created: acted.created.iter().map(|droplet| &droplet.name).collect(),
        deleted: acted.deleted.iter().collect(),
        abandoned: acted.abandoned.iter().map(|(name, why)| AbandonedOperation { name, reason: why }).collect(),
        missing: &acted.missing,
        duplicates: &acted.duplicates,
        servers: &recovered.removed_servers,
        orphans: recovered.orphans.iter().map(unknown).collect(),
        adopted: &recovered.adopted,
        deleted_orphans: &recovered.deleted,
    }
}

fn print_summary(recovered: &RecoverySummary) {
    if recovered.is_empty() {
        say!("nothing to recover: inventory, DigitalOcean and HAProxy agree");
        return;
    }
    let RecoverySummary {
        open_operations: open,
        operations: acted,
        removed_servers: servers,
        orphans: unknown,
        adopted,
        deleted,
    } = recovered;
    if *open > 0 {
        say!("{} of an earlier command carried on", output::count(*open, "operation"));
    }
    for droplet in &acted.created {
        say!("  created {}, serving", droplet.name);
    }
    for name in &acted.deleted {
        say!("  deleted {name}");
    }
    for (_, why) in &acted.abandoned {
        say!("  {why}");
    }
    for name in &acted.missing {
        say!("{name} is not at DigitalOcean any more; it left the inventory");
    }
    for id in &acted.duplicates {
        say!("droplet {id} was made twice or too late; deleted");
    }
    for server in servers {
        say!("HAProxy had a server {server} that is no droplet of the fleet; removed");
    }
    for name in adopted {
        say!("{name} is of the fleet now");
    }
    for id in deleted {
        say!("droplet {id} was known to nobody; deleted");
    }
    for stranger in unknown {
        let made = stranger.droplet.created_at.map(|at| format!(", made at {at}")).unwrap_or_default();
        say!(
            "{} (id {}{made}) bears the fleet's tag and is not in the inventory; left alone",
            stranger.display_name(),
            stranger.droplet.id
        );
    }
    if !unknown.is_empty() {
        say!(
            "`doproxy recover --adopt` takes what bears the fleet's tag into the fleet; `doproxy recover --delete-unknown` deletes what bears a name of doproxy's making; anything else can be deleted at DigitalOcean"
        );
    }
}
