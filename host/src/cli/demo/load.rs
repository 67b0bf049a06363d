//! Load on the site: clients that repeatedly request a slow page.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::bail;
use tokio::task::JoinSet;

/// Response delay of the page.
const RESPONSE_DELAY_MS: u32 = 1500;
/// Maximum time until the first response arrives.
const FIRST_RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// A set of clients that run until stopped or dropped.
pub(super) struct Load {
    clients: JoinSet<()>,
    responses: Arc<AtomicUsize>,
    failures: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Load {
    /// Starts `count` clients.
    pub(super) fn start(http: &reqwest::Client, site: &str, count: usize) -> Self {
        let mut load =
            Self { clients: JoinSet::new(), responses: Arc::default(), failures: Arc::default(), stop: Arc::default() };
        for _ in 0..count {
            let http = http.clone();
            let (responses, failures) = (Arc::clone(&load.responses), Arc::clone(&load.failures));
            let stop = Arc::clone(&load.stop);
            let url = format!("{site}?delay_ms={RESPONSE_DELAY_MS}");
            load.clients.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let response = http.get(&url).send().await;
                    let is_good = response.is_ok_and(|response| response.status().is_success());
                    if is_good { &responses } else { &failures }.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        load
    }

    /// Waits for the first responses, after which every client is running.
    pub(super) async fn wait_for_first_response(&self) -> anyhow::Result<()> {
        let waited = tokio::time::timeout(FIRST_RESPONSE_TIMEOUT, async {
            while self.responses.load(Ordering::Relaxed) == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        if waited.await.is_err() {
            bail!("the site did not respond within {} s", FIRST_RESPONSE_TIMEOUT.as_secs());
        }
        Ok(())
    }

    /// Lets each client finish its last request. Returns the number of successful and failed requests.
    pub(super) async fn stop(mut self) -> (usize, usize) {
        self.stop.store(true, Ordering::Relaxed);
        while self.clients.join_next().await.is_some() {}
        (self.responses.load(Ordering::Relaxed), self.failures.load(Ordering::Relaxed))
    }
}
