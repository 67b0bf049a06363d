//! `doproxy status`: shows the status of the fleet and its service.
//!
//! `collect` queries the inventory, HAProxy and the service, each of which may be unavailable; `table` formats the
//! result. Takes no lock and changes nothing.

mod collect;
mod table;

use std::io::IsTerminal;
use std::time::Duration;

use doproxy_config::Span;

use crate::cli::context::CommandContext;
use crate::cli::output::out;
use crate::cli::status::collect::collect;
use crate::cli::status::table::table;
use crate::cli::{Global, UsageError, output};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The running service is queried at `telemetry.listen` for its last decision, failing policies and the API rate limit.\n\nExamples:\n  doproxy status\n  doproxy status --watch\n  doproxy status --json | jq .service.policies"
)]
pub(super) struct Args {
    /// Refresh continuously until Ctrl-C.
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// Refresh interval of --watch.
    #[arg(long, default_value = "2s", value_name = "TIME", requires = "watch")]
    interval: Span,
    /// Print the full status as JSON.
    #[arg(long)]
    json: bool,
}

/// The shortest refresh interval.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    if args.interval.0 < MIN_INTERVAL {
        return Err(UsageError("--interval must be at least 100ms".to_owned()).into());
    }
    let context = CommandContext::load(global)?;
    if args.json {
        out!("{}", serde_json::to_string_pretty(&collect(&context).await?)?);
        return Ok(());
    }
    if !args.watch {
        out!("{}", table(&collect(&context).await?));
        return Ok(());
    }
    let redraws = std::io::stdout().is_terminal();
    loop {
        let shown = table(&collect(&context).await?);
        if redraws {
            // Moves the cursor home, clears the rest of each line and everything below. Avoids flicker.
            let lines = shown.replace('\n', "\x1b[K\n");
            output::write(format_args!("\x1b[H{lines}\x1b[K\n\x1b[J"));
        } else {
            out!("{shown}\n");
        }
        tokio::time::sleep(args.interval.0).await;
    }
}
