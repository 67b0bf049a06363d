//! Liveness of the service's loops: each sends heartbeats and declares how long it may stay silent before it counts as
//! stalled.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::status::LoopStatus;
use crate::telemetry::lock;

/// The heartbeats of the service's loops.
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

/// A loop that has stopped making progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StalledLoop {
    name: &'static str,
    silent_for: Duration,
}

impl fmt::Display for StalledLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} has made no progress for {} s", self.name, self.silent_for.as_secs())
    }
}

impl Health {
    /// Records a heartbeat of a loop, which must send the next one within `allowed`.
    pub fn heartbeat(&self, name: &'static str, allowed: Duration) {
        lock(&self.0).insert(name, Heartbeat { last: Instant::now(), timeout: allowed });
    }

    /// Returns an error that names the first stalled loop, if any.
    pub fn check(&self) -> Result<(), StalledLoop> {
        let loops = lock(&self.0);
        let stuck = loops.iter().find(|(_, heartbeat)| heartbeat.is_stalled());
        stuck.map_or(Ok(()), |(name, heartbeat)| Err(StalledLoop { name, silent_for: heartbeat.last.elapsed() }))
    }

    /// Returns the status of each loop, for `/status`.
    pub(super) fn loops(&self) -> Vec<LoopStatus> {
        lock(&self.0)
            .iter()
            .map(|(name, heartbeat)| LoopStatus {
                name: (*name).to_owned(),
                since_heartbeat_ms: u64::try_from(heartbeat.last.elapsed().as_millis()).unwrap_or(u64::MAX),
                healthy: !heartbeat.is_stalled(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
