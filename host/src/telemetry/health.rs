//! Whether the loops make progress: each says how long it may be quiet, and whoever is quiet for longer is stuck.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::lock;
use super::status::LoopStatus;

/// The loops of a service.
#[derive(Debug, Default)]
pub struct Health(Mutex<BTreeMap<&'static str, Heartbeat>>);

#[derive(Debug, Clone, Copy)]
struct Heartbeat {
    last: Instant,
    timeout: Duration,
}

impl Heartbeat {
    fn is_stalled(&self) -> bool {
        self.last.elapsed() > self.timeout
    }
}

/// A loop that does not move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StalledLoop {
    name: &'static str,
    silent_for: Duration,
}

impl fmt::Display for StalledLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} has not moved for {} s", self.name, self.silent_for.as_secs())
    }
}

impl Health {
    /// A loop moves, and may be quiet for so long from now on.
    pub fn heartbeat(&self, name: &'static str, allowed: Duration) {
        lock(&self.0).insert(name, Heartbeat { last: Instant::now(), timeout: allowed });
    }

    /// The first loop that is stuck.
    pub fn check(&self) -> Result<(), StalledLoop> {
        let loops = lock(&self.0);
        let stuck = loops.iter().find(|(_, pulse)| pulse.is_stalled());
        stuck.map_or(Ok(()), |(name, pulse)| Err(StalledLoop { name, silent_for: pulse.last.elapsed() }))
    }

    /// Each loop, for `/status`.
    pub(super) fn loops(&self) -> Vec<LoopStatus> {
        lock(&self.0)
            .iter()
            .map(|(name, pulse)| LoopStatus {
                name: (*name).to_owned(),
                since_heartbeat_ms: u64::try_from(pulse.last.elapsed().as_millis()).unwrap_or(u64::MAX),
                healthy: !pulse.is_stalled(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_is_stuck_when_it_is_quiet_for_longer_than_it_said() {
        let health = Health::default();
        health.heartbeat("ticker", Duration::from_secs(10));
        health.heartbeat("mover", Duration::from_mins(1));

        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(health.check(), Ok(()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(health.check().unwrap_err().to_string(), "the ticker has not moved for 11 s");

        health.heartbeat("ticker", Duration::from_secs(10));
        assert_eq!(health.check(), Ok(()));
    }
}
