//! The input of a policy in one tick.

use serde::{Deserialize, Serialize};

use crate::domain::{DropletId, DropletName, HourlyPrice, Phase, Tag, Timestamp};

/// The load on one droplet, as measured by HAProxy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Current number of sessions.
    pub sessions: u32,
    /// The server's `maxconn`, if it has one.
    pub max_sessions: Option<u32>,
    /// Number of requests currently queued for this server.
    pub queued: u32,
    /// Requests per second since the last observation.
    pub requests_per_second: f64,
    /// Mean response time in milliseconds, if there were requests.
    pub response_time_ms: Option<f64>,
    /// Failed requests per second since the last observation.
    pub errors_per_second: f64,
}

/// A kind of droplet that is in the fleet or may be added to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedTemplate {
    /// Size slug.
    pub size: String,
    /// Region slug.
    pub region: String,
    /// Image slug or ID.
    pub image: String,
    /// Tags in addition to the fleet's own.
    pub tags: Vec<Tag>,
    /// The price of one such droplet.
    pub hourly_price: HourlyPrice,
}

/// A droplet as exposed to policies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedDroplet {
    /// The ID, known once the API has responded.
    pub id: Option<DropletId>,
    /// The droplet's name.
    pub name: DropletName,
    /// The phase in its life cycle; never `gone`.
    pub phase: Phase,
    /// The time at which it entered that phase.
    pub phase_since: Timestamp,
    /// The time at which it was requested.
    pub created_at: Timestamp,
    /// Index into [`Observation::templates`].
    pub template: u32,
    /// End of the minimum billing period; deleting the droplet earlier saves nothing.
    pub paid_until: Option<Timestamp>,
    /// `true` if HAProxy's health check passes.
    pub healthy: bool,
    /// `true` if the droplet must never be selected for deletion.
    pub protected: bool,
    /// The load measured by HAProxy; `None` if the droplet has no server.
    pub load: Option<Load>,
}

/// One point of a series.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The time of the measurement.
    pub at: Timestamp,
    /// The measured value, in the unit of its series.
    pub value: f64,
}

/// A metric over time, oldest sample first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// The name, such as `haproxy.requests_per_second`.
    pub name: String,
    /// The unit, such as `requests/s`.
    pub unit: String,
    /// Labels that distinguish series with the same name.
    pub labels: Vec<(String, String)>,
    /// The time between samples, in milliseconds.
    pub interval_ms: u64,
    /// `true` if the source failed or is late, so that the newest sample is outdated.
    pub stale: bool,
    /// The samples, oldest first.
    pub samples: Vec<Sample>,
}

/// The number of a series in one time-series store; never reused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeriesId(pub u32);

/// A reference to a [`Series`] and its samples. In the time-series store samples never change and are only appended, so
/// a reference identifies the same samples for as long as they are retained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesRef {
    /// The series in the time-series store.
    pub series: SeriesId,
    /// The name, as in [`Series::name`].
    pub name: String,
    /// The unit, as in [`Series::unit`].
    pub unit: String,
    /// The labels, as in [`Series::labels`].
    pub labels: Vec<(String, String)>,
    /// The interval, as in [`Series::interval_ms`].
    pub interval_ms: u64,
    /// The staleness, as in [`Series::stale`].
    pub stale: bool,
    /// All samples are later than this.
    pub from: Timestamp,
    /// The time of the newest sample.
    pub to: Timestamp,
    /// Number of samples.
    pub count: u32,
}

impl SeriesRef {
    /// Returns the series with the referenced samples.
    pub fn with_samples(&self, samples: Vec<Sample>) -> Series {
        Series {
            name: self.name.clone(),
            unit: self.unit.clone(),
            labels: self.labels.clone(),
            interval_ms: self.interval_ms,
            stale: self.stale,
            samples,
        }
    }
}

/// The bounds that the guard enforces on every policy's decision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Minimum number of droplets.
    pub min: u32,
    /// Maximum number of droplets.
    pub max: u32,
    /// Maximum cost of the fleet per hour.
    pub max_hourly_cost: Option<HourlyPrice>,
    /// Maximum number of droplets created per tick.
    pub max_create: u32,
    /// Maximum number of droplets deleted per tick.
    pub max_delete: u32,
}

/// The data that a policy receives in one tick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The time of this tick.
    pub now: Timestamp,
    /// Number of ticks since the fleet was first managed.
    pub tick: u64,
    /// The fleet's name.
    pub fleet_name: String,
    /// The kinds of droplet; the first is the default for creates.
    pub templates: Vec<ObservedTemplate>,
    /// Every droplet that is not gone, in the order of `doproxy print`.
    pub fleet: Vec<ObservedDroplet>,
    /// The series, starting with the built-in ones.
    pub metrics: Vec<Series>,
    /// The bounds.
    pub limits: Limits,
    /// Recently observed time from request to serving, in milliseconds.
    pub boot_time_ms: Option<u64>,
    /// The time at which droplets were last added.
    pub last_scale_out: Option<Timestamp>,
    /// The time at which droplets were last removed.
    pub last_scale_in: Option<Timestamp>,
    /// Additional facts for which this version of the contract has no field.
    pub facts: Vec<(String, String)>,
}

impl Observation {
    /// Returns the number of droplets that are serving or starting.
    pub fn size(&self) -> u32 {
        let count = self.fleet.iter().filter(|droplet| droplet.phase.counts_toward_size()).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}
