//! `doproxy completions`: for shells.

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  doproxy completions bash > /etc/bash_completion.d/doproxy\n  doproxy completions zsh > \"${fpath[1]}/_doproxy\""
)]
pub(super) struct Args {
    /// The shell.
    shell: Shell,
}

#[expect(clippy::unnecessary_wraps, reason = "every command answers a Result")]
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    clap_complete::generate(args.shell, &mut Cli::command(), "doproxy", &mut std::io::stdout());
    Ok(())
}
