//! `doproxy compile-plugin`: internal command that the plugin host starts to compile a component.

use std::io;
use std::process::ExitCode;

use doproxy_plugin_host::{SandboxLimits, compile_plugin};

use crate::cli::exit_codes;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// CPU time limit, in seconds.
    #[arg(long)]
    cpu_seconds: u64,
    /// Address space limit, in bytes.
    #[arg(long)]
    memory_bytes: u64,
}

/// Compiles the component on stdin. The process drops its own privileges, so nothing else runs in it: no async runtime,
/// no logging.
pub(super) fn run(args: &Args) -> ExitCode {
    let Args { cpu_seconds, memory_bytes } = *args;
    let confinement = SandboxLimits { cpu_seconds, memory_bytes };
    match compile_plugin(&confinement, io::stdin().lock(), io::stdout().lock(), io::stderr()) {
        Ok(()) => ExitCode::from(exit_codes::SUCCESS),
        Err(error) => {
            eprintln!("error: failed to compile: {error}");
            ExitCode::from(exit_codes::FAILURE)
        }
    }
}
