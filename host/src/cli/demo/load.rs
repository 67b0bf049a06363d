//! Load on the site: clients that each ask for a slow page, again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::bail;
use tokio::task::JoinSet;

/// How long the page takes.
const DELAY_MS: u32 = 1500;
/// How long the clients may take to be under way.
const PATIENCE: Duration = Duration::from_secs(10);

/// Clients that run until this is stopped or dropped.
pub(super) struct Load {
    clients: JoinSet<()>,
    answers: Arc<AtomicUsize>,
}

impl Load {
    /// Starts `count` clients.
    pub(super) fn start(http: &reqwest::Client, site: &str, count: usize) -> Self {
        let answers = Arc::new(AtomicUsize::new(0));
        let mut clients = JoinSet::new();
        for _ in 0..count {
            let (http, answers) = (http.clone(), Arc::clone(&answers));
            let url = format!("{site}?delay_ms={DELAY_MS}");
            clients.spawn(async move {
                loop {
                    // A client that fails asks again; whether any succeeds is what `flows` looks at.
                    if http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        Self { clients, answers }
    }

    /// Waits until answers come back, so that every client is under way.
    pub(super) async fn flows(&self) -> anyhow::Result<()> {
        let waited = tokio::time::timeout(PATIENCE, async {
            while self.answers.load(Ordering::Relaxed) == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        if waited.await.is_err() {
            bail!("the site did not answer within {} s", PATIENCE.as_secs());
        }
        Ok(())
    }

    /// Ends all clients.
    pub(super) async fn stop(mut self) {
        self.clients.shutdown().await;
    }
}
