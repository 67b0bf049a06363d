//! `doproxy completions`: generates shell completions.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::{Cli, output};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  doproxy completions bash > /etc/bash_completion.d/doproxy\n  doproxy completions zsh > \"${fpath[1]}/_doproxy\""
)]
pub(super) struct Args {
    /// Shell to generate completions for.
    shell: Shell,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "doproxy", &mut script);
    output::write(format_args!("{}", String::from_utf8(script)?));
    Ok(())
}
