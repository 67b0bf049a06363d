//! `doproxy create`: creates droplets and adds them to HAProxy.

use doproxy_core::domain::{Droplet, DropletRequest};

use crate::cli::context::{CommandContext, resume_operations};
use crate::cli::output::{Progress, out};
use crate::cli::{Global, UsageError};

/// Maximum number of droplets per command, so that a typo does not create a thousand.
const MAX_COUNT: u32 = 100;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  doproxy create\n  doproxy create --count 3")]
pub(super) struct Args {
    /// Number of droplets to create.
    #[arg(long, short = 'n', default_value_t = 1, value_name = "N")]
    count: u32,
    /// Skip the circuit breakers that stop creation after too many creates in an hour or repeated startup failures.
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    if args.count == 0 || args.count > MAX_COUNT {
        return Err(UsageError(format!(
            "--count {} is out of range; create 1 to {MAX_COUNT} droplets at a time",
            args.count
        ))
        .into());
    }
    let context = CommandContext::load_with_advice(global)?;
    let progress = Progress::new();
    let _lock = context.lock("create", &progress).await?;
    let controller = context.controller(&progress).await?;
    resume_operations(&controller, &progress).await?;
    if !args.force {
        controller.check_breakers(args.count).await?;
    }
    let request = DropletRequest { count: args.count, ..DropletRequest::default() };
    let summary = controller.create(&request).await;
    progress.finish();
    let summary = summary?;
    for droplet in &summary.created {
        out!("{}", describe_created(droplet));
    }
    summary.into_result()?;
    Ok(())
}

/// Describes a droplet that was created.
pub(super) fn describe_created(droplet: &Droplet) -> String {
    let id = droplet.id.map(|id| format!(" (id {id})")).unwrap_or_default();
    let address = droplet.address.map(|address| format!(" at {address}")).unwrap_or_default();
    format!("created {}{id}, serving{address}", droplet.name)
}
