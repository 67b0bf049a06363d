//! The input of a policy: the part of the contract's observation that the first-party policies read.

/// The lifecycle phase of a droplet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its creation was requested.
    Requested,
    /// DigitalOcean assigned an ID.
    Booting,
    /// HAProxy checks its health.
    Warming,
    /// It receives traffic.
    Serving,
    /// It receives no new sessions.
    Draining,
    /// It is being deleted.
    Deleting,
}

impl Phase {
    /// Reports whether droplets in this phase count toward the fleet size.
    ///
    /// # Examples
    ///
    /// ```
    /// use doproxy_policy_sdk::Phase;
    ///
    /// assert!(Phase::Booting.is_active());
    /// assert!(!Phase::Draining.is_active());
    /// ```
    pub fn is_active(self) -> bool {
        matches!(self, Self::Requested | Self::Booting | Self::Warming | Self::Serving)
    }
}

/// The load on one droplet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Active sessions.
    pub sessions: u32,
    /// HAProxy's limit of concurrent sessions.
    pub max_sessions: Option<u32>,
    /// Requests queued for it.
    pub queued: u32,
    /// Requests per second.
    pub requests_per_second: f64,
    /// Mean response time in milliseconds.
    pub response_time_ms: Option<f64>,
}

/// A droplet of the fleet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Droplet {
    /// Its DigitalOcean ID, once known.
    pub id: Option<u64>,
    /// Its lifecycle phase.
    pub phase: Phase,
    /// Start of the phase, in milliseconds since the Unix epoch.
    pub phase_since: u64,
    /// End of the minimum billing period, in milliseconds since the Unix epoch; deleting the droplet earlier saves
    /// nothing. `None` if there is no minimum charge.
    pub paid_until: Option<u64>,
    /// Indicates that HAProxy's health check passes.
    pub healthy: bool,
    /// Its load, if it is a server in HAProxy.
    pub load: Option<Load>,
}

/// One point of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Time of the measurement, in milliseconds since the Unix epoch.
    pub at: u64,
    /// The measured value.
    pub value: f64,
}

/// A metric over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Time between samples, in milliseconds.
    pub interval_ms: u64,
    /// Indicates that the newest sample is outdated.
    pub stale: bool,
    /// Samples, oldest first.
    pub samples: Vec<Sample>,
}

/// The fleet limits enforced by the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Minimum number of droplets.
    pub min: u32,
    /// Maximum number of droplets.
    pub max: u32,
}

impl Limits {
    /// Clamps a count to the limits; `min` takes precedence if they conflict.
    ///
    /// # Examples
    ///
    /// ```
    /// use doproxy_policy_sdk::Limits;
    ///
    /// assert_eq!(Limits { min: 2, max: 6 }.clamp(9), 6);
    /// ```
    pub fn clamp(self, count: u32) -> u32 {
        count.clamp(self.min, self.max.max(self.min))
    }
}

/// The input of a policy in one tick.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::testing::ObservationBuilder;
/// use doproxy_policy_sdk::{Observation, Phase};
///
/// fn queued(observation: &Observation) -> u32 {
///     let serving = observation.fleet.iter().filter(|droplet| droplet.phase == Phase::Serving);
///     serving.filter_map(|droplet| droplet.load).map(|load| load.queued).sum()
/// }
///
/// assert_eq!(queued(&ObservationBuilder::at(0).serving(2).build()), 0);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Time of this tick, in milliseconds since the Unix epoch.
    pub now: u64,
    /// Every existing droplet.
    pub fleet: Vec<Droplet>,
    /// The series.
    pub metrics: Vec<Series>,
    /// The limits of the fleet.
    pub limits: Limits,
    /// Recent duration from the create request to serving, in milliseconds.
    pub boot_time_ms: Option<u64>,
}

/// Droplet counts of a fleet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FleetCapacity {
    /// Serving and starting droplets.
    pub size: u32,
    /// Droplets that serve, are healthy and have completed their warm-up.
    pub ready: u32,
    /// Starting droplets, and those that have served for less than the warm-up.
    pub starting: u32,
}

impl Observation {
    /// Counts the droplets; the warm-up of a droplet ends after `warm_up_ms` of serving.
    ///
    /// # Examples
    ///
    /// ```
    /// use doproxy_policy_sdk::FleetCapacity;
    /// use doproxy_policy_sdk::testing::ObservationBuilder;
    ///
    /// let observation = ObservationBuilder::at(100_000).serving(2).serving_since(1, 90_000).booting(1).build();
    ///
    /// assert_eq!(observation.capacity(30_000), FleetCapacity { size: 4, ready: 2, starting: 2 });
    /// ```
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

    /// Reports whether a serving droplet has served for `warm_up_ms`.
    ///
    /// # Examples
    ///
    /// ```
    /// use doproxy_policy_sdk::testing::ObservationBuilder;
    ///
    /// let observation = ObservationBuilder::at(100_000).serving_since(1, 90_000).build();
    ///
    /// assert!(observation.is_warm(&observation.fleet[0], 10_000));
    /// assert!(!observation.is_warm(&observation.fleet[0], 30_000));
    /// ```
    pub fn is_warm(&self, droplet: &Droplet, warm_up_ms: u64) -> bool {
        self.now.saturating_sub(droplet.phase_since) >= warm_up_ms
    }

    /// Returns the number of serving and starting droplets.
    ///
    /// # Examples
    ///
    /// ```
    /// use doproxy_policy_sdk::testing::ObservationBuilder;
    ///
    /// assert_eq!(ObservationBuilder::at(0).serving(3).booting(1).build().size(), 4);
    /// ```
    pub fn size(&self) -> u32 {
        self.capacity(0).size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ObservationBuilder, droplet};

    #[test]
    fn droplets_are_counted_by_readiness() {
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
    fn clock_set_back_makes_no_droplet_warm() {
        let mut observation = ObservationBuilder::at(1000).build();
        observation.fleet = vec![droplet(Phase::Serving, u64::MAX)];

        assert_eq!(observation.capacity(1).ready, 0);
    }

    #[test]
    fn conflicting_limits_do_not_panic() {
        assert_eq!(Limits { min: 5, max: 2 }.clamp(9), 5);
    }
}
