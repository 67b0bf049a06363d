//! `doproxy status`: how the fleet and its service are.
//!
//! `gather` asks the inventory, HAProxy and the service, each of which may not be there; `table` shows what they say. It
//! takes no lock and changes nothing.

mod collect;
mod table;

use std::io::IsTerminal;
use std::time::Duration;

use super::context::CommandContext;
use super::output::{self, say};
use super::{Global, UsageError};
use crate::config::Span;
use collect::collect;
use table::table;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "What only the running service knows (its last decision, policies that fail, the budget of requests) is asked of it\nat `telemetry.listen`.\n\nExamples:\n  doproxy status\n  doproxy status --watch\n  doproxy status --json | jq .service.policies"
)]
pub(super) struct Args {
    /// Show it again and again, until Ctrl-C.
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// The time between two looks of --watch.
    #[arg(long, default_value = "2s", value_name = "TIME", requires = "watch")]
    interval: Span,
    /// Everything, for programs.
    #[arg(long)]
    json: bool,
}

/// The shortest time between two looks.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    if args.interval.0 < MIN_INTERVAL {
        return Err(UsageError("--interval is at least 100ms".to_owned()).into());
    }
    let app = CommandContext::load(global)?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&collect(&app).await?)?);
        return Ok(());
    }
    if !args.watch {
        say!("{}", table(&collect(&app).await?));
        return Ok(());
    }
    let redraws = std::io::stdout().is_terminal();
    loop {
        let shown = table(&collect(&app).await?);
        if redraws {
            // Home, the lines with what was behind them wiped, and nothing below: without a flicker.
            let lines = shown.replace('\n', "\x1b[K\n");
            output::write(format_args!("\x1b[H{lines}\x1b[K\n\x1b[J"));
        } else {
            say!("{shown}\n");
        }
        tokio::time::sleep(args.interval.0).await;
    }
}
