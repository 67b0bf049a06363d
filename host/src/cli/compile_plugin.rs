//! `doproxy compile-plugin`: what the plugin host starts to compile a component. Not for people.

use std::io;
use std::process::ExitCode;

use crate::plugin::{SandboxLimits, compile_plugin};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Seconds of processor time.
    #[arg(long)]
    cpu_seconds: u64,
    /// Bytes of address space.
    #[arg(long)]
    memory_bytes: u64,
}

/// Compiles what is on stdin. This takes rights from the process, so nothing else runs in it: no runtime, no logs.
pub(super) fn run(args: &Args) -> ExitCode {
    let Args { cpu_seconds, memory_bytes } = *args;
    let confinement = SandboxLimits { cpu_seconds, memory_bytes };
    match compile_plugin(&confinement, io::stdin().lock(), io::stdout().lock(), io::stderr()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: cannot compile: {error}");
            ExitCode::from(1)
        }
    }
}
