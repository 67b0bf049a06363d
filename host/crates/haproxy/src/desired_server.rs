//! The desired servers in HAProxy's terms.

use std::collections::HashSet;
use std::net::IpAddr;

use doproxy_core::domain::DropletId;
use doproxy_core::seams::{Server, ServerState};
use serde::Serialize;

use crate::error::HaProxyError;
use crate::escape;

/// The weight of a server that receives traffic. Not 1, to leave room below it for slow start and percentages.
const SERVING_WEIGHT: u32 = 100;

/// The prefix of a server's name, followed by the droplet's ID.
const NAME_PREFIX: &str = "web-";

/// The largest number that HAProxy accepts for the `id` keyword.
const MAX_NUMBER: u64 = i32::MAX as u64;

/// A server line. It exposes only six fields to templates: Tera then looks them up without hashing, which matters with
/// thousands of servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct DesiredServer {
    pub(super) name: String,
    #[serde(skip)]
    pub(super) id: u64,
    pub(super) hostname: String,
    #[serde(skip)]
    pub(super) ip: IpAddr,
    /// The address as HAProxy expects it before `:port`: IPv6 in brackets.
    pub(super) address: String,
    #[serde(skip)]
    pub(super) port: u16,
    pub(super) state: &'static str,
    pub(super) weight: u32,
    /// The number for the `id` keyword, without which an empty backend with `balance random` starves its second server
    /// (HAProxy issue 3413).
    pub(super) n: u64,
}

impl DesiredServer {
    /// Returns the servers ordered by droplet ID, so that the order of the input does not matter.
    pub(super) fn from_servers(servers: &[Server], port: u16) -> Result<Vec<Self>, HaProxyError> {
        let mut sorted: Vec<&Server> = servers.iter().collect();
        sorted.sort_by_key(|server| server.id);
        let mut used = HashSet::with_capacity(sorted.len());
        let mut lines: Vec<Self> = Vec::with_capacity(sorted.len());
        for server in sorted {
            if lines.last().is_some_and(|line| line.id == server.id.0) {
                return Err(HaProxyError::DuplicateServer(server.id));
            }
            if !escape::is_host(server.address) {
                return Err(HaProxyError::InvalidAddress { id: server.id, address: server.address });
            }
            lines.push(Self::new(server, port, server_number(server.id, &mut used)));
        }
        Ok(lines)
    }

    fn new(server: &Server, port: u16, n: u64) -> Self {
        let (state, weight) = match server.state {
            ServerState::Warming => ("warming", 0),
            ServerState::Serving => ("serving", SERVING_WEIGHT),
            ServerState::Draining => ("draining", 0),
        };
        Self {
            name: format!("{NAME_PREFIX}{}", server.id),
            id: server.id.0,
            hostname: server.hostname.to_string(),
            ip: server.address,
            address: match server.address {
                IpAddr::V4(v4) => v4.to_string(),
                IpAddr::V6(v6) => format!("[{v6}]"),
            },
            port,
            state,
            weight,
            n,
        }
    }

    /// Reports whether the server receives new sessions.
    pub(super) fn is_serving(&self) -> bool {
        self.weight > 0
    }
}

/// Returns a number that stays with the droplet: its ID modulo HAProxy's maximum, or the next free number.
fn server_number(id: DropletId, used: &mut HashSet<u64>) -> u64 {
    let mut n = (id.0 % MAX_NUMBER).max(1);
    while !used.insert(n) {
        n = n % MAX_NUMBER + 1;
    }
    n
}

/// Returns the droplet of a server's name; `None` for a server that doproxy does not manage.
pub(super) fn droplet_of(name: &str) -> Option<DropletId> {
    let id: u64 = name.strip_prefix(NAME_PREFIX)?.parse().ok()?;
    // `web-007` and `web-+7` would parse, but doproxy never creates them.
    (name.len() == NAME_PREFIX.len() + id.checked_ilog10().unwrap_or(0) as usize + 1).then_some(DropletId(id))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::test_support::server;

    proptest! {
        #[test]
        fn server_name_maps_back_to_its_droplet(id in any::<u64>()) {
            prop_assert_eq!(droplet_of(&format!("web-{id}")), Some(DropletId(id)));
        }

        #[test]
        fn numbers_are_distinct_and_in_range(ids in prop::collection::hash_set(any::<u64>(), 0..50), low in 0..5_u64) {
            let mut servers: Vec<Server> = ids.iter().map(|id| server(*id)).collect();
            servers.extend((0..low).map(|k| server(u64::from(i32::MAX as u32) * k + 1)).filter(|s| !ids.contains(&s.id.0)));

            let lines = DesiredServer::from_servers(&servers, 80).unwrap();

            let numbers: HashSet<u64> = lines.iter().map(|line| line.n).collect();
            prop_assert_eq!(numbers.len(), servers.len());
            prop_assert!(numbers.iter().all(|n| (1..=MAX_NUMBER).contains(n)));
        }
    }

    #[test]
    fn foreign_server_names_are_rejected() {
        for name in ["web-", "web-007", "web-+7", "web-7a", "Web-7", "web-18446744073709551616", "BACKEND"] {
            assert_eq!(droplet_of(name), None, "{name}");
        }
        assert_eq!(droplet_of("web-0"), Some(DropletId(0)));
    }

    #[test]
    fn duplicate_droplet_is_rejected() {
        assert!(matches!(
            DesiredServer::from_servers(&[server(7), server(8), server(7)], 80),
            Err(HaProxyError::DuplicateServer(DropletId(7)))
        ));
    }
}
