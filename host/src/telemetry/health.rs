//! Whether the loops make progress: each says how long it may be quiet, and whoever is quiet for longer is stuck.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::locked;
use super::status::LoopStatus;

/// The loops of a service.
#[derive(Debug, Default)]
pub struct Health(Mutex<BTreeMap<&'static str, Pulse>>);

#[derive(Debug, Clone, Copy)]
struct Pulse {
    last: Instant,
    allowed: Duration,
}

impl Pulse {
    fn is_stuck(&self) -> bool {
        self.last.elapsed() > self.allowed
    }
}

/// A loop that does not move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    name: &'static str,
    quiet: Duration,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} has not moved for {} s", self.name, self.quiet.as_secs())
    }
}

impl Health {
    /// A loop moves, and may be quiet for so long from now on.
    pub fn beat(&self, name: &'static str, allowed: Duration) {
        locked(&self.0).insert(name, Pulse { last: Instant::now(), allowed });
    }

    /// The first loop that is stuck.
    pub fn check(&self) -> Result<(), Stuck> {
        let loops = locked(&self.0);
        let stuck = loops.iter().find(|(_, pulse)| pulse.is_stuck());
        stuck.map_or(Ok(()), |(name, pulse)| Err(Stuck { name, quiet: pulse.last.elapsed() }))
    }

    /// Each loop, for `/status`.
    pub(super) fn loops(&self) -> Vec<LoopStatus> {
        locked(&self.0)
            .iter()
            .map(|(name, pulse)| LoopStatus {
                name: (*name).to_owned(),
                quiet_ms: u64::try_from(pulse.last.elapsed().as_millis()).unwrap_or(u64::MAX),
                healthy: !pulse.is_stuck(),
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
        health.beat("ticker", Duration::from_secs(10));
        health.beat("mover", Duration::from_mins(1));

        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(health.check(), Ok(()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(health.check().unwrap_err().to_string(), "the ticker has not moved for 11 s");

        health.beat("ticker", Duration::from_secs(10));
        assert_eq!(health.check(), Ok(()));
    }
}
