//! From series to the value of a metric, and what it means for the fleet.

use std::fmt;

use doproxy_policy_sdk::reading::{Combine, SeriesError};
use doproxy_policy_sdk::{FleetCapacity, Observation, Phase};

use crate::config::{Metric, Target};

/// Average share of the slots in use; of the host's own series.
pub const UTILIZATION: &str = "haproxy.utilisation";
/// Average response time; of the host's own series.
pub const RESPONSE_TIME: &str = "haproxy.response_time_ms";
/// Requests that wait; of the host's own series.
const QUEUED: &str = "haproxy.queued";

/// A metric now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measurement<'a> {
    /// Which.
    pub metric: &'a Metric,
    /// What it is.
    pub value: f64,
    /// How many droplets would have it at its target; no whole number.
    pub droplets: f64,
    /// The time that it speaks of, in milliseconds.
    pub interval_ms: u64,
}

/// Why a metric says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeasureError<'a> {
    /// Its series cannot be gone by.
    Series(&'a str, SeriesError),
    /// It is an average over droplets that are ready, and none is.
    NoReadyDroplet(&'a str),
}

impl fmt::Display for MeasureError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Series(metric, gap) => write!(f, "{metric} {gap}"),
            Self::NoReadyDroplet(metric) => write!(f, "no droplet serves yet, so {metric} is an average of nothing"),
        }
    }
}

/// Measures a metric.
pub fn measure<'a>(
    metric: &'a Metric,
    observation: &Observation,
    capacity: FleetCapacity,
    warm_up_ms: u64,
) -> Result<Measurement<'a>, MeasureError<'a>> {
    let name = metric.name.as_str();
    let gap = |gap| MeasureError::Series(name, gap);
    let (value, droplets) = match metric.target {
        Target::PerDroplet(target) => {
            let value = observation.newest(name, Combine::Sum).map_err(gap)?;
            (value, value / target)
        }
        Target::Average(target) => {
            let all = observation.newest(name, Combine::Mean).map_err(gap)?;
            if capacity.ready == 0 {
                return Err(MeasureError::NoReadyDroplet(name));
            }
            let value =
                if warm_up_ms == 0 { all } else { average_over_warm(name, observation, warm_up_ms).unwrap_or(all) };
            (value, value / target * f64::from(capacity.ready))
        }
    };
    Ok(Measurement { metric, value, droplets, interval_ms: observation.interval_ms(name) })
}

/// The host's averages again, without the droplets that warm up; `None` for other series, where nobody can tell.
fn average_over_warm(name: &str, observation: &Observation, warm_up_ms: u64) -> Option<f64> {
    let warm = observation
        .fleet
        .iter()
        .filter(|droplet| {
            droplet.phase == Phase::Serving && droplet.healthy && observation.is_warm(droplet, warm_up_ms)
        })
        .filter_map(|droplet| droplet.load);
    let (amount, of) = match name {
        UTILIZATION => {
            let queued = observation.newest(QUEUED, Combine::Sum).unwrap_or(0.0);
            warm.filter_map(|load| Some((f64::from(load.sessions), f64::from(load.max_sessions?))))
                .fold((queued, 0.0), |(busy, slots), (sessions, most)| (busy + sessions, slots + most))
        }
        RESPONSE_TIME => warm
            .filter_map(|load| Some((load.response_time_ms? * load.requests_per_second, load.requests_per_second)))
            .fold((0.0, 0.0), |(time, requests), (ms, rate)| (time + ms, requests + rate)),
        _ => return None,
    };
    Some(amount / of).filter(|average| average.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use doproxy_policy_sdk::testing::{ObservationBuilder, droplet};
    use doproxy_policy_sdk::{Droplet, Load};

    fn loaded(since: u64, sessions: u32) -> Droplet {
        let load = Load {
            sessions,
            max_sessions: Some(100),
            queued: 0,
            requests_per_second: f64::from(sessions),
            response_time_ms: Some(20.0),
        };
        Droplet { load: Some(load), ..droplet(Phase::Serving, since) }
    }

    fn average(name: &str, fleet: Vec<Droplet>, warm_up_ms: u64) -> Result<f64, String> {
        let mut observation = ObservationBuilder::at(100_000).series(name, &[0.5]).series(QUEUED, &[10.0]).build();
        observation.fleet = fleet;
        let metric = Metric { name: name.to_owned(), target: Target::Average(0.5) };
        let capacity = observation.capacity(warm_up_ms);
        measure(&metric, &observation, capacity, warm_up_ms)
            .map(|measured| measured.value)
            .map_err(|silent| silent.to_string())
    }

    #[test]
    fn a_droplet_that_warms_up_is_left_out_of_the_averages_of_the_host() {
        let fleet = vec![loaded(0, 80), loaded(90_000, 2)];

        assert_eq!(average(UTILIZATION, fleet.clone(), 60_000), Ok(0.9), "80 sessions and 10 that wait");
        assert_eq!(average(UTILIZATION, fleet.clone(), 0), Ok(0.5), "what the host says");
        assert_eq!(average(RESPONSE_TIME, fleet.clone(), 60_000), Ok(20.0));
        assert_eq!(average("custom.cpu", fleet, 60_000), Ok(0.5));
    }

    #[test]
    fn an_average_over_droplets_that_all_warm_up_says_nothing() {
        let said = average(UTILIZATION, vec![loaded(90_000, 80)], 60_000);

        assert_eq!(said, Err("no droplet serves yet, so haproxy.utilisation is an average of nothing".to_owned()));
    }
}
