//! `doproxy run`: the autoscaler as a service, or a single tick of it.
//!
//! `once` runs a single tick, `service` runs the service, `config_reload` reloads the configuration, `decision_log`
//! records decisions, `notify` reports the service's state to systemd.

mod config_reload;
mod decision_log;
mod notify;
mod once;
mod service;

use doproxy_config::Span;

pub(super) use crate::cli::run::once::MIN_WINDOW;
use crate::cli::{Global, UsageError};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Runs until SIGTERM or Ctrl-C; operations in progress stay in the journal and resume with the next start.\nSIGHUP reloads the configuration and the components. For systemd, see docs/how-to/run-under-systemd.md.\n\nExamples:\n  doproxy run                      run the autoscaler\n  doproxy run --log-format json    run it with JSON logs\n  doproxy run --once               run a single tick\n  doproxy run --once --window 30s"
)]
pub(super) struct Args {
    /// Run a single tick and exit.
    #[arg(long)]
    once: bool,
    /// Sampling time of HAProxy before the policies are evaluated.
    #[arg(long, default_value = "5s", value_name = "TIME", requires = "once")]
    window: Span,
}

impl Args {
    /// Reports whether the command runs until stopped and handles signals itself.
    pub(super) fn is_service(&self) -> bool {
        !self.once
    }
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    if args.once {
        Box::pin(crate::cli::run::once::run(global, args.window.0)).await
    } else {
        Box::pin(crate::cli::run::service::run(global)).await
    }
}
