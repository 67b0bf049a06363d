//! An in-memory load balancer: it applies every update immediately and reports the configured status of each server.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use doproxy_core::domain::{DropletId, Load};
use doproxy_core::seams::{ApplyResult, LoadBalancer, Server, ServerStats, Stats};
use doproxy_support::sync::lock;

/// A simulated load balancer. Clones share state.
#[derive(Debug, Clone, Default)]
pub struct SimulatedBalancer(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    servers: Vec<Server>,
    all_unhealthy: bool,
    sessions: HashMap<DropletId, u32>,
    requests: u64,
    uptime: Duration,
}

impl SimulatedBalancer {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// Returns the current servers.
    pub fn servers(&self) -> Vec<Server> {
        self.state().servers.clone()
    }

    /// Makes every health check fail (`true`) or pass (`false`) until the next call.
    pub fn set_all_unhealthy(&self, all_sick: bool) {
        self.state().all_unhealthy = all_sick;
    }

    /// Adds `requests` that arrived within `time` to the counters.
    pub fn record_requests(&self, requests: u64, time: Duration) {
        let mut state = self.state();
        state.requests += requests;
        state.uptime += time;
    }

    /// Sets the session count of a droplet. It also applies while the droplet drains.
    pub fn set_sessions(&self, id: DropletId, sessions: u32) {
        self.state().sessions.insert(id, sessions);
    }
}

impl LoadBalancer for SimulatedBalancer {
    type Error = Infallible;

    async fn apply(&self, servers: &[Server]) -> Result<ApplyResult, Infallible> {
        let mut state = self.state();
        if state.servers == servers {
            return Ok(ApplyResult::Unchanged);
        }
        let had = |id| state.servers.iter().find(|server| server.id == id);
        let added = servers.iter().filter(|server| had(server.id).is_none()).count();
        let changed = servers.iter().filter(|server| had(server.id).is_some_and(|old| old != *server)).count();
        let removed = state.servers.len() + added - servers.len();
        state.servers = servers.to_vec();
        Ok(ApplyResult::Dynamic { added, removed, changed })
    }

    async fn stats(&self) -> Result<Stats, Infallible> {
        let state = self.state();
        let servers = state.servers.iter().map(|server| {
            let healthy = !state.all_unhealthy;
            let sessions = state.sessions.get(&server.id).copied().unwrap_or_default();
            ServerStats {
                id: server.id,
                healthy,
                check_passed: healthy,
                status: if healthy { "UP, L7OK" } else { "DOWN, L4CON" }.to_owned(),
                sessions,
                load: Load { sessions, ..Load::default() },
                requests_total: 0,
                errors_total: 0,
            }
        });
        Ok(Stats {
            servers: servers.collect(),
            requests_total: state.requests,
            uptime_s: state.uptime.as_secs(),
            ..Stats::default()
        })
    }
}
