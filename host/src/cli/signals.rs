//! Ctrl-C and SIGTERM: stop between two steps. What is under way is in the journal, so nothing is lost by it.

use anyhow::anyhow;
use tokio::signal::unix::{SignalKind, signal};

/// Waits for a signal that asks this process to end, and answers its name.
pub(super) async fn wait_for_interrupt() -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "Ctrl-C",
    })
}

/// Runs `work` until it is done or somebody interrupts it.
pub(super) async fn run_until_interrupted(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::select! {
        // What waits for a signal itself comes first.
        biased;
        result = work => result,
        by = wait_for_interrupt() => Err(anyhow!(
            "stopped by {}; what was under way is in the journal, and the next create, delete or reload carries it on",
            by?
        )),
    }
}
