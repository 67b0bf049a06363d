//! `doproxy run`: the loop as a service, or one tick of it.
//!
//! `once` is one whole tick by hand, `service` is the loop, `reread` reads the configuration again, `record` writes
//! decisions down, `notify` tells systemd
//! how it is.

mod config_reload;
mod decision_log;
mod notify;
mod once;
mod service;

pub(super) use once::MIN_WINDOW;

use super::{Global, UsageError};
use crate::config::Span;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Runs until SIGTERM or Ctrl-C; what is under way then stays in the journal, and the next start carries it on.\nSIGHUP loads configuration and components anew. Under systemd: docs/service.md.\n\nExamples:\n  doproxy run                      the loop\n  doproxy run --log-format json    with logs for machines\n  doproxy run --once               one tick\n  doproxy run --once --window 30s"
)]
pub(super) struct Args {
    /// One tick, and no more.
    #[arg(long)]
    once: bool,
    /// How long HAProxy is looked at before the policy is asked.
    #[arg(long, default_value = "5s", value_name = "TIME", requires = "once")]
    window: Span,
}

impl Args {
    /// Whether it goes on until it is told to stop, and hears signals itself.
    pub(super) fn is_service(&self) -> bool {
        !self.once
    }
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    if args.once { Box::pin(once::run(global, args.window.0)).await } else { Box::pin(service::run(global)).await }
}
