//! `doproxy create`: droplets, and HAProxy over them.

use super::context::{CommandContext, resume_operations};
use super::output::{Progress, say};
use super::{Global, UsageError};
use crate::model::{Droplet, DropletRequest};

/// Most droplets that one command asks for: a typing error should not buy a thousand.
const MAX_COUNT: u32 = 100;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  doproxy create\n  doproxy create --count 3")]
pub(super) struct Args {
    /// How many.
    #[arg(long, short = 'n', default_value_t = 1, value_name = "N")]
    count: u32,
    /// Create even where a breaker would stop it: too many in an hour, or the last ones did not come up.
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    if args.count == 0 || args.count > MAX_COUNT {
        return Err(UsageError(format!(
            "--count {}: between 1 and {MAX_COUNT} droplets can be created at a time",
            args.count
        ))
        .into());
    }
    let app = CommandContext::load_with_advice(global)?;
    let progress = Progress::new();
    let _lock = app.lock("create", &progress).await?;
    let controller = app.controller(&progress).await?;
    resume_operations(&controller, &progress).await?;
    if !args.force {
        controller.check_breakers(args.count).await?;
    }
    let request = DropletRequest { count: args.count, ..DropletRequest::default() };
    let acted = controller.create(&request).await;
    progress.finish();
    let acted = acted?;
    for droplet in &acted.created {
        say!("{}", describe_created(droplet));
    }
    acted.into_result()?;
    Ok(())
}

/// What is said of a droplet that was created.
pub(super) fn describe_created(droplet: &Droplet) -> String {
    let id = droplet.id.map(|id| format!(" (id {id})")).unwrap_or_default();
    let address = droplet.address.map(|address| format!(" at {address}")).unwrap_or_default();
    format!("created {}{id}, serving{address}", droplet.name)
}
