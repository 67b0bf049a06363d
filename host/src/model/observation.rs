//! Everything that a policy may look at in one tick.

use serde::{Deserialize, Serialize};

use super::{DropletId, DropletName, HourlyPrice, Phase, Tag, Timestamp};

/// The load on one droplet, as HAProxy sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Sessions in process now.
    pub sessions: u32,
    /// The server's `maxconn`, where it has one.
    pub max_sessions: Option<u32>,
    /// Requests that wait for this server now.
    pub queued: u32,
    /// Requests per second since the last observation.
    pub requests_per_second: f64,
    /// Mean response time in milliseconds, where there were requests.
    pub response_time_ms: Option<f64>,
    /// Failed requests per second since the last observation.
    pub errors_per_second: f64,
}

/// A kind of droplet that is in the fleet or may come into it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedTemplate {
    /// Size slug.
    pub size: String,
    /// Region slug.
    pub region: String,
    /// Image slug or id.
    pub image: String,
    /// Tags beside the fleet's own.
    pub tags: Vec<Tag>,
    /// Price of one such droplet.
    pub hourly_price: HourlyPrice,
}

/// A droplet as a policy sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedDroplet {
    /// Known once the API answered.
    pub id: Option<DropletId>,
    /// Its name.
    pub name: DropletName,
    /// Where it is in its life; never `gone`.
    pub phase: Phase,
    /// Since when it is there.
    pub phase_since: Timestamp,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Index into [`Observation::templates`].
    pub template: u32,
    /// Until then removing it saves nothing, since the minimum charge is spent already.
    pub paid_until: Option<Timestamp>,
    /// Whether HAProxy's health check passes.
    pub healthy: bool,
    /// Never to be chosen for deletion.
    pub protected: bool,
    /// What HAProxy saw; `None` where it has no server for it.
    pub load: Option<Load>,
}

/// One point of a series.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When it was measured.
    pub at: Timestamp,
    /// What was measured, in the unit of its series.
    pub value: f64,
}

/// A metric over time, oldest sample first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Such as `haproxy.requests_per_second`.
    pub name: String,
    /// Such as `requests/s`.
    pub unit: String,
    /// What tells apart series of one name.
    pub labels: Vec<(String, String)>,
    /// The time between samples, in milliseconds.
    pub interval_ms: u64,
    /// The source failed or is late: the newest sample is not of now.
    pub stale: bool,
    /// Oldest first.
    pub samples: Vec<Sample>,
}

/// The number of a series in one history; never used twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeriesId(pub u32);

/// A [`Series`] without its samples: which of them it had. They are in the history, where samples are never changed and
/// none is added before another, so that this stands for the same ones as long as they are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesRef {
    /// Which series of the history.
    pub series: SeriesId,
    /// As [`Series::name`].
    pub name: String,
    /// As [`Series::unit`].
    pub unit: String,
    /// As [`Series::labels`].
    pub labels: Vec<(String, String)>,
    /// As [`Series::interval_ms`].
    pub interval_ms: u64,
    /// As [`Series::stale`].
    pub stale: bool,
    /// All samples are later than this.
    pub from: Timestamp,
    /// The time of the newest sample.
    pub to: Timestamp,
    /// How many there are.
    pub count: u32,
}

impl SeriesRef {
    /// The series, with the samples that this stands for.
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

/// The bounds that the guard holds, whatever a policy says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Fewest droplets.
    pub min: u32,
    /// Most droplets.
    pub max: u32,
    /// Most that the fleet may cost an hour.
    pub max_hourly_cost: Option<HourlyPrice>,
    /// Most droplets created in one tick.
    pub max_create: u32,
    /// Most droplets deleted in one tick.
    pub max_delete: u32,
}

/// What a policy sees in one tick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The time of this tick.
    pub now: Timestamp,
    /// Ticks since the fleet was first managed.
    pub tick: u64,
    /// The fleet's name.
    pub fleet_name: String,
    /// The kinds of droplet; the first is the one that is created when the policy does not choose.
    pub templates: Vec<ObservedTemplate>,
    /// Every droplet that is not gone, in the order of `doproxy print`.
    pub fleet: Vec<ObservedDroplet>,
    /// The series, those of the host first.
    pub metrics: Vec<Series>,
    /// The bounds.
    pub limits: Limits,
    /// From request to serving, in milliseconds, as seen lately.
    pub boot_time_ms: Option<u64>,
    /// When droplets were last added.
    pub last_scale_out: Option<Timestamp>,
    /// When droplets were last removed.
    pub last_scale_in: Option<Timestamp>,
    /// Room to grow: facts that this version of the contract has no field for.
    pub facts: Vec<(String, String)>,
}

impl Observation {
    /// How many droplets serve or are on their way to.
    pub fn size(&self) -> u32 {
        let count = self.fleet.iter().filter(|droplet| droplet.phase.counts_toward_size()).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}
