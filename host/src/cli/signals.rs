//! Ctrl-C and SIGTERM: stop between two steps. Operations in progress are in the journal, so nothing is lost.

use anyhow::anyhow;
use tokio::signal::unix::{SignalKind, signal};

/// Waits for a signal that terminates this process and returns its name.
pub(super) async fn wait_for_interrupt() -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "Ctrl-C",
    })
}

/// Runs `work` until it completes or a signal interrupts it.
pub(super) async fn run_until_interrupted(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::select! {
        // Commands that handle signals themselves take precedence.
        biased;
        result = work => result,
        by = wait_for_interrupt() => Err(anyhow!(
            "stopped by {}; operations in progress are in the journal and resume with the next create, delete or reload",
            by?
        )),
    }
}
