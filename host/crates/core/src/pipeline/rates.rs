//! HAProxy's own series: rates and states of the whole fleet, computed from HAProxy's counters at two times.

use std::time::Duration;

use crate::domain::{Load, Sample, Series, Timestamp};
use crate::seams::load_balancer::{ServerStats, Stats};

/// The series of the request rate.
pub const REQUESTS_PER_SECOND: &str = "haproxy.requests_per_second";

/// The name and unit of each series, in the order in which policies receive them.
pub const SERIES: [(&str, &str); 6] = [
    (REQUESTS_PER_SECOND, "requests/s"),
    ("haproxy.sessions", "sessions"),
    ("haproxy.queued", "requests"),
    ("haproxy.errors_per_second", "errors/s"),
    ("haproxy.utilization", "ratio"),
    ("haproxy.response_time_ms", "ms"),
];

/// HAProxy's counters at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct BalancerSample {
    /// The time of the sample.
    pub at: Timestamp,
    /// The counters.
    pub stats: Stats,
}

/// The interval between two samples, over which counters are converted to rates.
#[derive(Debug)]
pub struct Rates<'a> {
    elapsed: Duration,
    prev: Option<&'a Stats>,
}

impl<'a> Rates<'a> {
    /// Creates the interval from `before` to `now`.
    pub fn between(before: &'a BalancerSample, now: &BalancerSample) -> Self {
        // Counters restart at zero when HAProxy is restarted or reloaded: a new process responds, and its history is
        // only its own uptime, which is then shorter than expected. The uptime is in whole seconds. A process ID may be
        // reused, and is 0 if it is unknown.
        let elapsed = now.at.since(before.at);
        let (old, new) = (before.stats.process.pid, now.stats.process.pid);
        let same_process = now.at > before.at
            && (old == new || old == 0 || new == 0)
            && now.stats.uptime_s.saturating_add(1) >= before.stats.uptime_s.saturating_add(elapsed.as_secs());
        Self {
            elapsed: if same_process { elapsed } else { Duration::from_secs(now.stats.uptime_s.max(1)) },
            prev: same_process.then_some(&before.stats),
        }
    }

    /// Returns the length of the interval.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Returns the load of one server.
    pub fn load(&self, server: &ServerStats) -> Load {
        let before = self.prev.and_then(|stats| stats.servers.iter().find(|earlier| earlier.id == server.id));
        self.load_since(server, before)
    }

    fn load_since(&self, server: &ServerStats, before: Option<&ServerStats>) -> Load {
        let requests_per_second = self.rate(server.requests_total, before.map(|earlier| earlier.requests_total));
        Load {
            sessions: server.sessions,
            requests_per_second,
            errors_per_second: self.rate(server.errors_total, before.map(|earlier| earlier.errors_total)),
            // HAProxy's mean does not decay: without requests it describes the past.
            response_time_ms: server.load.response_time_ms.filter(|_| requests_per_second > 0.0),
            ..server.load
        }
    }

    /// Returns the rate of a counter. A counter that decreased was reset, so its whole value counts as growth.
    fn rate(&self, now: u64, before: Option<u64>) -> f64 {
        let before = before.filter(|before| *before <= now).unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "a counter's growth in seconds is far below 2^52")]
        let growth = (now - before) as f64;
        growth / self.elapsed.as_secs_f64()
    }
}

/// Returns the value of each of [`SERIES`], if there is one. Rates require a previous sample, and averages over nothing
/// are omitted.
pub fn values(before: Option<&BalancerSample>, now: &BalancerSample) -> [Option<f64>; SERIES.len()] {
    let stats = &now.stats;
    let sessions: f64 = stats.servers.iter().map(|server| f64::from(server.sessions)).sum();
    let queued = f64::from(stats.queued);
    let rates = before.map(|before| Rates::between(before, now));
    let requests =
        rates.as_ref().map(|rates| rates.rate(stats.requests_total, rates.prev.map(|before| before.requests_total)));
    let (errors, response) = rates.map(|rates| errors_and_response(&rates, stats)).unzip();
    [requests, Some(sessions), Some(queued), errors, utilization(stats, sessions + queued), response.flatten()]
}

/// Returns `(Σ scur + qcur) / Σ maxconn` of the servers that accept traffic.
fn utilization(stats: &Stats, busy: f64) -> Option<f64> {
    let up = stats.servers.iter().filter(|server| server.healthy && server.status.starts_with("UP"));
    let slots: f64 = up.filter_map(|server| server.load.max_sessions).map(f64::from).sum();
    (slots > 0.0).then(|| busy / slots)
}

/// Returns the total error rate, and the mean response time weighted by requests.
fn errors_and_response(rates: &Rates<'_>, stats: &Stats) -> (f64, Option<f64>) {
    let before: std::collections::HashMap<_, _> =
        rates.prev.iter().flat_map(|stats| &stats.servers).map(|server| (server.id, server)).collect();
    let (mut errors, mut requests, mut weighted) = (0.0, 0.0, 0.0);
    for server in &stats.servers {
        let load = rates.load_since(server, before.get(&server.id).copied());
        errors += load.errors_per_second;
        requests += load.requests_per_second;
        weighted += load.response_time_ms.unwrap_or(0.0) * load.requests_per_second;
    }
    (errors, (requests > 0.0).then(|| weighted / requests))
}

/// Returns HAProxy's series with one sample each, for a caller without a time-series store.
pub fn series(before: &BalancerSample, now: &BalancerSample) -> Vec<Series> {
    let interval_ms = u64::try_from(Rates::between(before, now).elapsed().as_millis()).unwrap_or(u64::MAX);
    let values = SERIES.iter().zip(values(Some(before), now));
    values
        .filter_map(|((name, unit), value)| {
            Some(Series {
                name: (*name).to_owned(),
                unit: (*unit).to_owned(),
                labels: Vec::new(),
                interval_ms,
                stale: false,
                samples: vec![Sample { at: now.at, value: value? }],
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::DropletId;

    fn server(id: u64, sessions: u32, requests_total: u64, errors_total: u64) -> ServerStats {
        ServerStats {
            id: DropletId(id),
            healthy: true,
            check_passed: true,
            status: "UP, L7OK 200".to_owned(),
            sessions,
            load: Load { sessions, max_sessions: Some(100), response_time_ms: Some(20.0), ..Load::default() },
            requests_total,
            errors_total,
        }
    }

    fn queue() -> Stats {
        Stats { queued: 6, ..Stats::default() }
    }

    fn stats(at: u64, uptime_s: u64, requests_total: u64, servers: Vec<ServerStats>) -> BalancerSample {
        let stats = Stats { servers, requests_total, uptime_s, ..queue() };
        BalancerSample { at: Timestamp(at * 1000), stats }
    }

    #[test]
    fn fleet_series_are_computed_between_two_samples() {
        let before = stats(100, 50, 1000, vec![server(1, 9, 600, 0), server(2, 9, 400, 5)]);
        let mut slow = server(2, 10, 430, 25);
        slow.load.response_time_ms = Some(80.0);
        let now = stats(110, 60, 1120, vec![server(1, 30, 690, 0), slow]);

        let values = values(Some(&before), &now);

        assert_eq!(values, [Some(12.0), Some(40.0), Some(6.0), Some(2.0), Some(0.23), Some(35.0)]);
    }

    #[test]
    fn first_sample_has_states_without_rates() {
        assert_eq!(values(None, &stats(0, 9, 5, vec![])), [None, Some(0.0), Some(6.0), None, None, None]);
    }

    #[test]
    fn servers_without_traffic_add_no_capacity() {
        let mut draining = server(2, 30, 0, 0);
        draining.status = "DRAIN, L7OK 200".to_owned();
        let mut unhealthy = server(3, 0, 0, 0);
        (unhealthy.healthy, unhealthy.status) = (false, "UP 1/3, L7TOUT".to_owned());

        let values = values(None, &stats(0, 9, 0, vec![server(1, 14, 0, 0), draining, unhealthy]));

        assert_eq!(values[4], Some(0.5));
    }

    #[test]
    fn reload_limits_interval_to_uptime() {
        let before = stats(100, 500, 9000, vec![server(1, 0, 9000, 0)]);
        // The new process has counted more than the old one; its uptime reveals the reload.
        let now = stats(115, 5, 10_000, vec![server(1, 0, 10_000, 0)]);

        assert_eq!(values(Some(&before), &now)[0], Some(2000.0));
        assert_eq!(
            Rates::between(&before, &now).load(&now.stats.servers[0]).requests_per_second.to_bits(),
            2000.0_f64.to_bits()
        );
    }

    #[test]
    fn reload_within_a_second_is_detected_by_pid() {
        let with_pid = |mut stats: BalancerSample, pid| {
            stats.stats.process.pid = pid;
            stats
        };
        let before = with_pid(stats(100, 1, 500, vec![]), 17);
        let now = |pid| with_pid(stats(101, 1, 600, vec![]), pid);

        assert_eq!(values(Some(&before), &now(17))[0], Some(100.0));
        assert_eq!(values(Some(&before), &now(18))[0], Some(600.0));
    }

    #[test]
    fn reset_counter_counts_as_growth() {
        let before = stats(100, 500, 9000, vec![server(1, 0, 9000, 7)]);
        let now = stats(110, 510, 50, vec![server(1, 0, 50, 2)]);

        let values = values(Some(&before), &now);

        assert_eq!((values[0], values[3]), (Some(5.0), Some(0.2)));
    }

    #[test]
    fn response_time_without_requests_is_omitted() {
        let before = stats(100, 500, 90, vec![server(1, 1, 90, 0)]);
        let now = stats(110, 510, 90, vec![server(1, 1, 90, 0)]);

        assert_eq!(values(Some(&before), &now)[5], None);
    }
}
