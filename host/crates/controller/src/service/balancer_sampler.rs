//! Samples HAProxy's counters, and keeps the last load while HAProxy is unreachable.

use std::time::Duration;

use doproxy_core::domain::Timestamp;
use doproxy_core::pipeline::{BalancerSample, FleetLoad};
use doproxy_core::seams::Platform;
use doproxy_telemetry::families;
use tokio::time::timeout;

use crate::service::conditions::Conditions;
use crate::service::shared::Shared;

/// The timeout for HAProxy's counters. If they take longer, the tick proceeds without them.
const STATS_TIMEOUT: Duration = Duration::from_secs(2);
const HAPROXY_CONDITION: &str = "haproxy";

/// The samples of HAProxy's counters.
#[derive(Debug)]
pub(super) struct BalancerSampler {
    /// The last sample, from which the next rates are computed.
    prev: Option<BalancerSample>,
    load: FleetLoad,
    conditions: Conditions,
}

impl BalancerSampler {
    /// Creates a sampler without samples.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { prev: None, load: FleetLoad { at: now, ..FleetLoad::default() }, conditions: Conditions::default() }
    }

    /// Returns the load of the last poll.
    pub(super) fn load(&self) -> &FleetLoad {
        &self.load
    }

    /// Reads HAProxy's counters; reports whether they are current.
    pub(super) async fn poll<P: Platform>(&mut self, shared: &Shared<P>) -> bool {
        let failure = match timeout(STATS_TIMEOUT, shared.controller.stats()).await {
            Ok(Ok(sample)) => {
                self.record(sample);
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no response within {STATS_TIMEOUT:?}")),
        };
        let is_current = failure.is_none();
        if let Some(why) = &failure {
            self.record_failure(why, shared.controller.now());
        }
        let up = f64::from(u8::from(is_current));
        shared.telemetry.record(|registry| registry.set(&families::HAPROXY_UP, &[], up));
        shared.telemetry.update_status(|status| status.haproxy_error = failure);
        is_current
    }

    fn record(&mut self, sample: BalancerSample) {
        self.load = FleetLoad::new(self.prev.as_ref(), &sample);
        self.prev = Some(sample);
        if self.conditions.clear(HAPROXY_CONDITION) {
            tracing::info!("HAProxy's counters are available again");
        }
    }

    /// Keeps the last load as that of `now`, so that rates stay constant.
    fn record_failure(&mut self, why: &str, now: Timestamp) {
        self.load.at = now;
        if self.conditions.raise(HAPROXY_CONDITION, why) {
            tracing::warn!("failed to read HAProxy's counters: {why}; using the previous ones and suspending scale-in");
        }
    }
}

#[cfg(test)]
mod tests {
    use doproxy_core::seams::Stats;

    use super::*;

    fn sample(at_s: u64, requests_total: u64) -> BalancerSample {
        let stats = Stats { requests_total, uptime_s: 1000 + at_s, ..Stats::default() };
        BalancerSample { at: Timestamp(at_s * 1000), stats }
    }

    fn requests_per_second(sampler: &BalancerSampler) -> Option<f64> {
        sampler.load().values[0]
    }

    #[test]
    fn rates_stay_constant_while_unreachable() {
        let mut sampler = BalancerSampler::new(Timestamp(0));
        sampler.record(sample(10, 1000));
        sampler.record(sample(20, 1050));

        sampler.record_failure("connection refused", Timestamp(30_000));

        assert_eq!((sampler.load().at, requests_per_second(&sampler)), (Timestamp(30_000), Some(5.0)));
    }

    #[test]
    fn rates_after_an_outage_cover_the_outage() {
        let mut sampler = BalancerSampler::new(Timestamp(0));
        sampler.record(sample(10, 1000));
        sampler.record_failure("connection refused", Timestamp(20_000));

        sampler.record(sample(30, 1100));

        assert_eq!(requests_per_second(&sampler), Some(5.0));
    }

    #[test]
    fn load_before_the_first_sample_is_empty() {
        let mut sampler = BalancerSampler::new(Timestamp(0));

        sampler.record_failure("connection refused", Timestamp(10_000));

        assert_eq!(sampler.load(), &FleetLoad { at: Timestamp(10_000), ..FleetLoad::default() });
    }
}
