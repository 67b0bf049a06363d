//! Reads the value of a metric from its series and derives the needed droplets.

use std::fmt;

use doproxy_policy_sdk::reading::{Combine, SeriesError};
use doproxy_policy_sdk::{FleetCapacity, Observation, Phase};

use crate::config::{Metric, Target};

/// The host's series of the average share of slots in use.
pub const UTILIZATION: &str = "haproxy.utilization";
/// The host's series of the average response time.
pub const RESPONSE_TIME: &str = "haproxy.response_time_ms";
/// The host's series of queued requests.
const QUEUED: &str = "haproxy.queued";

/// The current value of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measurement<'a> {
    /// The metric.
    pub metric: &'a Metric,
    /// Its value.
    pub value: f64,
    /// Number of droplets that would bring the metric to its target, unrounded.
    pub droplets: f64,
    /// Time between samples, in milliseconds.
    pub interval_ms: u64,
}

/// The reason for which a metric has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeasureError<'a> {
    /// Its series has no usable value.
    Series(&'a str, SeriesError),
    /// It is an average over ready droplets, and there are none.
    NoReadyDroplet(&'a str),
}

impl fmt::Display for MeasureError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Series(metric, gap) => write!(f, "{metric} {gap}"),
            Self::NoReadyDroplet(metric) => write!(f, "no droplet is serving yet, so {metric} has no average"),
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

/// Recomputes the host's averages without the droplets in warm-up; `None` for other series, for which that is
/// impossible.
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
    use doproxy_policy_sdk::testing::{ObservationBuilder, droplet};
    use doproxy_policy_sdk::{Droplet, Load};

    use super::*;

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
    fn droplet_in_warm_up_is_excluded_from_averages() {
        let fleet = vec![loaded(0, 80), loaded(90_000, 2)];

        assert_eq!(average(UTILIZATION, fleet.clone(), 60_000), Ok(0.9), "80 active and 10 queued requests");
        assert_eq!(average(UTILIZATION, fleet.clone(), 0), Ok(0.5), "the host's value");
        assert_eq!(average(RESPONSE_TIME, fleet.clone(), 60_000), Ok(20.0));
        assert_eq!(average("custom.cpu", fleet, 60_000), Ok(0.5));
    }

    #[test]
    fn average_without_ready_droplets_is_an_error() {
        let output = average(UTILIZATION, vec![loaded(90_000, 80)], 60_000);

        assert_eq!(output, Err("no droplet is serving yet, so haproxy.utilization has no average".to_owned()));
    }
}
