//! What a policy looks at: the observation of the contract, as far as a policy of ours reads it.

/// Where a droplet is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It was asked for.
    Requested,
    /// DigitalOcean gave it an id.
    Booting,
    /// HAProxy checks its health.
    Warming,
    /// It takes traffic.
    Serving,
    /// It gets no new sessions.
    Draining,
    /// It is being deleted.
    Deleting,
}

impl Phase {
    /// Whether it counts into the size of the fleet.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Requested | Self::Booting | Self::Warming | Self::Serving)
    }
}

/// The load on one droplet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Sessions in process.
    pub sessions: u32,
    /// How many HAProxy lets through at a time.
    pub max_sessions: Option<u32>,
    /// Requests that wait for it.
    pub queued: u32,
    /// Requests per second.
    pub requests_per_second: f64,
    /// Mean response time in milliseconds.
    pub response_time_ms: Option<f64>,
}

/// A droplet of the fleet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Droplet {
    /// Its number at DigitalOcean, once it has one.
    pub id: Option<u64>,
    /// Where it is in its life.
    pub phase: Phase,
    /// Since when, in milliseconds since the Unix epoch.
    pub phase_since: u64,
    /// Until then removing it saves nothing, in milliseconds since the Unix epoch; none where there is no minimum charge.
    pub paid_until: Option<u64>,
    /// Whether HAProxy's health check passes.
    pub healthy: bool,
    /// Its load, where HAProxy has a server for it.
    pub load: Option<Load>,
}

/// One point of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When it was measured, in milliseconds since the Unix epoch.
    pub at: u64,
    /// What was measured.
    pub value: f64,
}

/// A metric over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// The time between samples in milliseconds.
    pub interval_ms: u64,
    /// The newest sample does not speak of now.
    pub stale: bool,
    /// Oldest first.
    pub samples: Vec<Sample>,
}

/// The bounds that the host holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Fewest droplets.
    pub min: u32,
    /// Most droplets.
    pub max: u32,
}

impl Limits {
    /// A count within the bounds; the lower one wins where they contradict each other.
    pub fn clamp(self, count: u32) -> u32 {
        count.clamp(self.min, self.max.max(self.min))
    }
}

/// Everything that a policy may look at in one tick.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The time of this tick, in milliseconds since the Unix epoch.
    pub now: u64,
    /// Every droplet that is not gone.
    pub fleet: Vec<Droplet>,
    /// The series.
    pub metrics: Vec<Series>,
    /// The bounds.
    pub limits: Limits,
    /// From request to serving in milliseconds, as seen lately.
    pub boot_time_ms: Option<u64>,
}

/// A fleet in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FleetCapacity {
    /// Droplets that serve or are on their way to.
    pub size: u32,
    /// Droplets that serve, are healthy and have warmed up.
    pub ready: u32,
    /// Droplets on their way, and those that have served for less than the warm-up.
    pub starting: u32,
}

impl Observation {
    /// Counts the fleet; a droplet has warmed up when it has served for `warm_up_ms`.
    pub fn capacity(&self, warm_up_ms: u64) -> FleetCapacity {
        let mut capacity = FleetCapacity::default();
        for droplet in self.fleet.iter().filter(|droplet| droplet.phase.is_active()) {
            capacity.size = capacity.size.saturating_add(1);
            let coming_up = droplet.phase != Phase::Serving || !self.is_warm(droplet, warm_up_ms);
            if coming_up {
                capacity.starting = capacity.starting.saturating_add(1);
            } else if droplet.healthy {
                capacity.ready = capacity.ready.saturating_add(1);
            }
        }
        capacity
    }

    /// Whether a serving droplet has served for `warm_up_ms`.
    pub fn is_warm(&self, droplet: &Droplet, warm_up_ms: u64) -> bool {
        self.now.saturating_sub(droplet.phase_since) >= warm_up_ms
    }

    /// Droplets that serve or are on their way to.
    pub fn size(&self) -> u32 {
        self.capacity(0).size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ObservationBuilder, droplet};

    #[test]
    fn a_fleet_is_counted_by_what_its_droplets_can_do() {
        let mut observation = ObservationBuilder::at(100_000).build();
        observation.fleet = vec![
            droplet(Phase::Requested, 0),
            droplet(Phase::Warming, 0),
            droplet(Phase::Serving, 0),
            droplet(Phase::Serving, 60_000),
            Droplet { healthy: false, ..droplet(Phase::Serving, 0) },
            droplet(Phase::Draining, 0),
        ];

        assert_eq!(observation.capacity(0), FleetCapacity { size: 5, ready: 2, starting: 2 });
        assert_eq!(observation.capacity(50_000), FleetCapacity { size: 5, ready: 1, starting: 3 });
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_droplet_warm() {
        let mut observation = ObservationBuilder::at(1000).build();
        observation.fleet = vec![droplet(Phase::Serving, u64::MAX)];

        assert_eq!(observation.capacity(1).ready, 0);
    }

    #[test]
    fn bounds_that_contradict_each_other_are_no_panic() {
        assert_eq!(Limits { min: 5, max: 2 }.clamp(9), 5);
    }
}
