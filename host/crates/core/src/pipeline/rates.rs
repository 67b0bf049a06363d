//! The load of a fleet: rates and states of each server and of the whole fleet, computed once per tick from HAProxy's
//! counters at two times.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::{DropletId, Load, Timestamp};
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

/// The load of one server.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerLoad {
    /// The droplet.
    pub id: DropletId,
    /// Reports whether the server is healthy.
    pub healthy: bool,
    /// The load.
    pub load: Load,
}

/// The load of a fleet at one time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FleetLoad {
    /// The time of the sample.
    pub at: Timestamp,
    /// The load of each server.
    pub servers: Vec<ServerLoad>,
    /// The value of each of [`SERIES`], if there is one. Rates require a previous sample, and averages over nothing are
    /// omitted.
    pub values: [Option<f64>; SERIES.len()],
}

impl FleetLoad {
    /// Computes the load from a sample and the previous one. Without a previous sample, the rates of servers cover the
    /// time since HAProxy's process started.
    pub fn new(prev: Option<&BalancerSample>, sample: &BalancerSample) -> Self {
        let rates = Rates::between(prev, sample);
        let stats = &sample.stats;
        let server = |server: &ServerStats| ServerLoad {
            id: server.id,
            healthy: server.healthy,
            load: rates.server_load(server),
        };
        let servers: Vec<ServerLoad> = stats.servers.iter().map(server).collect();
        let sessions: f64 = servers.iter().map(|server| f64::from(server.load.sessions)).sum();
        let queued = f64::from(stats.queued);
        let utilization = utilization(stats, sessions + queued);
        let values = if prev.is_none() {
            [None, Some(sessions), Some(queued), None, utilization, None]
        } else {
            let requests = rates.rate(stats.requests_total, rates.prev.map(|before| before.requests_total));
            let (errors, response_time) = errors_and_response_time(&servers);
            [Some(requests), Some(sessions), Some(queued), Some(errors), utilization, response_time]
        };
        Self { at: sample.at, servers, values }
    }
}

/// The interval between two samples, over which counters are converted to rates.
#[derive(Debug)]
struct Rates<'a> {
    elapsed: Duration,
    prev: Option<&'a Stats>,
    prev_servers: HashMap<DropletId, &'a ServerStats>,
}

impl<'a> Rates<'a> {
    fn between(prev: Option<&'a BalancerSample>, now: &BalancerSample) -> Self {
        let uptime = Duration::from_secs(now.stats.uptime_s.max(1));
        let same_process = prev.filter(|prev| is_same_process(prev, now));
        let prev = same_process.map(|prev| &prev.stats);
        Self {
            elapsed: same_process.map_or(uptime, |prev| now.at.since(prev.at)),
            prev,
            prev_servers: prev.iter().flat_map(|stats| &stats.servers).map(|server| (server.id, server)).collect(),
        }
    }

    fn server_load(&self, server: &ServerStats) -> Load {
        let before = self.prev_servers.get(&server.id);
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

/// Reports whether two samples have the counters of the same process. Counters restart at zero when HAProxy is restarted
/// or reloaded: a new process responds, and its history is only its own uptime, which is then shorter than expected. The
/// uptime is in whole seconds. A process ID may be reused, and is 0 if it is unknown.
fn is_same_process(prev: &BalancerSample, now: &BalancerSample) -> bool {
    let elapsed = now.at.since(prev.at);
    let (old, new) = (prev.stats.process.pid, now.stats.process.pid);
    now.at > prev.at
        && (old == new || old == 0 || new == 0)
        && now.stats.uptime_s.saturating_add(1) >= prev.stats.uptime_s.saturating_add(elapsed.as_secs())
}

/// Returns `(Σ scur + qcur) / Σ maxconn` of the servers that accept traffic.
fn utilization(stats: &Stats, busy: f64) -> Option<f64> {
    let up = stats.servers.iter().filter(|server| server.healthy && server.status.starts_with("UP"));
    let slots: f64 = up.filter_map(|server| server.load.max_sessions).map(f64::from).sum();
    (slots > 0.0).then(|| busy / slots)
}

/// Returns the total error rate, and the mean response time weighted by requests.
fn errors_and_response_time(servers: &[ServerLoad]) -> (f64, Option<f64>) {
    let (mut errors, mut requests, mut weighted) = (0.0, 0.0, 0.0);
    for ServerLoad { load, .. } in servers {
        errors += load.errors_per_second;
        requests += load.requests_per_second;
        weighted += load.response_time_ms.unwrap_or(0.0) * load.requests_per_second;
    }
    (errors, (requests > 0.0).then(|| weighted / requests))
}

#[cfg(test)]
mod tests {
    use super::*;

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

        let values = FleetLoad::new(Some(&before), &now).values;

        assert_eq!(values, [Some(12.0), Some(40.0), Some(6.0), Some(2.0), Some(0.23), Some(35.0)]);
    }

    #[test]
    fn first_sample_has_states_without_rates() {
        let load = FleetLoad::new(None, &stats(0, 9, 5, vec![]));

        assert_eq!(load.values, [None, Some(0.0), Some(6.0), None, None, None]);
    }

    #[test]
    fn first_server_rates_cover_the_uptime() {
        let load = FleetLoad::new(None, &stats(0, 10, 50, vec![server(1, 0, 50, 20)])).servers[0].load;

        assert_eq!((load.requests_per_second, load.errors_per_second), (5.0, 2.0));
    }

    #[test]
    fn servers_without_traffic_add_no_capacity() {
        let mut draining = server(2, 30, 0, 0);
        draining.status = "DRAIN, L7OK 200".to_owned();
        let mut unhealthy = server(3, 0, 0, 0);
        (unhealthy.healthy, unhealthy.status) = (false, "UP 1/3, L7TOUT".to_owned());

        let values = FleetLoad::new(None, &stats(0, 9, 0, vec![server(1, 14, 0, 0), draining, unhealthy])).values;

        assert_eq!(values[4], Some(0.5));
    }

    #[test]
    fn reload_limits_interval_to_uptime() {
        let before = stats(100, 500, 9000, vec![server(1, 0, 9000, 0)]);
        // The new process has counted more than the old one; its uptime reveals the reload.
        let now = stats(115, 5, 10_000, vec![server(1, 0, 10_000, 0)]);

        let load = FleetLoad::new(Some(&before), &now);

        assert_eq!(load.values[0], Some(2000.0));
        assert_eq!(load.servers[0].load.requests_per_second.to_bits(), 2000.0_f64.to_bits());
    }

    #[test]
    fn reload_within_a_second_is_detected_by_pid() {
        let with_pid = |mut stats: BalancerSample, pid| {
            stats.stats.process.pid = pid;
            stats
        };
        let before = with_pid(stats(100, 1, 500, vec![]), 17);
        let now = |pid| with_pid(stats(101, 1, 600, vec![]), pid);

        let requests = |now| FleetLoad::new(Some(&before), &now).values[0];

        assert_eq!(requests(now(17)), Some(100.0));
        assert_eq!(requests(now(18)), Some(600.0));
    }

    #[test]
    fn reset_counter_counts_as_growth() {
        let before = stats(100, 500, 9000, vec![server(1, 0, 9000, 7)]);
        let now = stats(110, 510, 50, vec![server(1, 0, 50, 2)]);

        let values = FleetLoad::new(Some(&before), &now).values;

        assert_eq!((values[0], values[3]), (Some(5.0), Some(0.2)));
    }

    #[test]
    fn response_time_without_requests_is_omitted() {
        let before = stats(100, 500, 90, vec![server(1, 1, 90, 0)]);
        let now = stats(110, 510, 90, vec![server(1, 1, 90, 0)]);

        assert_eq!(FleetLoad::new(Some(&before), &now).values[5], None);
    }
}
