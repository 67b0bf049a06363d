//! What a running worker says of its servers (`show servers state`), compared with what it should have, and what
//! the next worker is told of it.
//!
//! Without that a server that is down would get traffic for seconds after each reload. HAProxy lets a line of the
//! state file override the address in the configuration, so only servers that stay as they are have a line.
//!
//! That a server gets no traffic is its weight: 0, in the file as in the worker. doproxy drains it besides, by which
//! it comes back slowly; so in a worker that nothing was cut off in, a drain or a maintenance of a server with a weight
//! is an operator's, and stays.

use std::collections::HashMap;
use std::net::IpAddr;

use super::table::{Row, Table};
use super::wanted::Wanted;

/// A state file that says nothing. Without its first line HAProxy warns.
pub(super) const EMPTY: &str = "1\n";

/// Bits of `srv_admin_state` (`enum srv_admin` in HAProxy's `server-t.h`): maintenance that was ordered, inherited,
/// configured, or comes of a name; drains that were ordered and inherited.
const ORDERED_MAINTENANCE: u32 = 0x01;
const MAINTENANCE: u32 = 0x01 | 0x02 | 0x04 | 0x20 | 0x40;
const DRAIN: u32 = 0x08 | 0x10;

/// Whose drains and maintenances a worker may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    /// An operator's stay.
    Lenient,
    /// Nobody's: they may be what a change left that was cut off.
    Exact,
}

/// A server of the fleet's backend as the worker has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) name: String,
    address: Option<IpAddr>,
    port: Option<u16>,
    weight: Option<u32>,
    admin: u32,
}

impl Seen {
    /// All servers; `None` where the text is none of that form.
    pub(super) fn all(state: &str) -> Option<Vec<Self>> {
        Some(Table::state(state)?.rows().map(|row| Self::read(&row)).collect())
    }

    fn read(row: &Row<'_>) -> Self {
        Self {
            name: row.text("srv_name").unwrap_or_default().to_owned(),
            address: row.number("srv_addr"),
            port: row.number("srv_port"),
            weight: row.number("srv_uweight"),
            admin: row.number("srv_admin_state").unwrap_or(0),
        }
    }

    /// Whether it is where `server` is.
    pub(super) fn is_at(&self, server: &Wanted) -> bool {
        self.address == Some(server.ip) && self.port == Some(server.port)
    }

    /// Whether it is `server`.
    pub(super) fn is(&self, server: &Wanted, strictness: Strictness) -> bool {
        // Of weights only whether there is one counts: an operator may have given a server less than its share.
        let same = self.is_at(server) && self.weight.map(|weight| weight > 0) == Some(server.serves());
        let undisturbed = match strictness {
            Strictness::Lenient => true,
            // One in maintenance is not checked, so it would never warm up.
            Strictness::Exact => self.admin & if server.serves() { MAINTENANCE | DRAIN } else { MAINTENANCE } == 0,
        };
        same && undisturbed && !self.is_leftover()
    }

    /// Whether it was removed, and could not be deleted yet.
    pub(super) fn is_leftover(&self) -> bool {
        self.admin & ORDERED_MAINTENANCE != 0 && self.weight == Some(0)
    }
}

/// In what the running servers differ from the wanted ones; `None` when in nothing. What was removed and could not be
/// deleted yet is no difference.
pub(super) fn difference(seen: &[Seen], wanted: &[Wanted], strictness: Strictness) -> Option<String> {
    let mut missing: HashMap<&str, &Wanted> = wanted.iter().map(|server| (server.name.as_str(), server)).collect();
    for there in seen {
        match missing.remove(there.name.as_str()) {
            Some(server) if there.is(server, strictness) => {}
            Some(server) if there.is(server, Strictness::Lenient) => {
                return Some(format!("{} was taken out of service", there.name));
            }
            Some(_) => return Some(format!("{} has another address or weight", there.name)),
            None if there.is_leftover() => {}
            None => return Some(format!("{} is there and should not be", there.name)),
        }
    }
    missing.keys().min().map(|name| format!("{name} is missing"))
}

/// The state file for the next worker, which will have `wanted`.
pub(super) fn carried_over(state: &str, wanted: &[Wanted], strictness: Strictness) -> String {
    let Some(table) = Table::state(state) else { return EMPTY.to_owned() };
    let wanted: HashMap<&str, &Wanted> = wanted.iter().map(|server| (server.name.as_str(), server)).collect();
    let mut lines = state.lines().filter(|line| !line.is_empty());
    let mut text: String = lines.by_ref().take(2).flat_map(|line| [line, "\n"]).collect();
    for (line, row) in lines.zip(table.rows()) {
        let there = Seen::read(&row);
        let same = wanted.get(there.name.as_str()).is_some_and(|server| there.is(server, strictness));
        if same {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancer::ServerState;
    use crate::balancer::haproxy::fixtures::{server, server_that_is};

    const RUNNING: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_port\n\
                           3 droplets 7 web-7 10.0.0.7 0 0 100 80\n3 droplets 8 web-8 10.0.0.8 2 8 0 80";

    fn wanted(second: ServerState) -> Vec<Wanted> {
        Wanted::all(&[server(7), server_that_is(second, 8)], 80).unwrap()
    }

    fn differs(state: &str, wanted: &[Wanted], strictness: Strictness) -> Option<String> {
        difference(&Seen::all(state).unwrap(), wanted, strictness)
    }

    #[test]
    fn a_running_process_is_told_from_another() {
        let differs = |state: &str, wanted: &[Wanted]| differs(state, wanted, Strictness::Exact);
        assert_eq!(differs(RUNNING, &wanted(ServerState::Draining)), None);

        insta::assert_snapshot!(differs(RUNNING, &wanted(ServerState::Serving)).unwrap(), @"web-8 has another address or weight");
        insta::assert_snapshot!(differs(RUNNING, &wanted(ServerState::Draining)[..1]).unwrap(), @"web-8 is there and should not be");
        insta::assert_snapshot!(differs(&RUNNING.replace("0.7", "0.9"), &wanted(ServerState::Draining)).unwrap(), @"web-7 has another address or weight");
        insta::assert_snapshot!(differs(RUNNING.split_once("\n3 ").unwrap().0, &wanted(ServerState::Draining)).unwrap(), @"web-7 is missing");
        assert_eq!(Seen::all(""), None);
    }

    #[test]
    fn what_an_operator_took_out_of_service_stays_so_unless_a_change_was_cut_off() {
        for admin in ["1", "8"] {
            let running = RUNNING.replace("0.7 0 0 100", &format!("0.7 0 {admin} 100"));

            assert_eq!(differs(&running, &wanted(ServerState::Draining), Strictness::Lenient), None);
            insta::allow_duplicates! {
                insta::assert_snapshot!(differs(&running, &wanted(ServerState::Draining), Strictness::Exact).unwrap(), @"web-7 was taken out of service");
            }
            assert!(carried_over(&running, &wanted(ServerState::Draining), Strictness::Lenient).contains(" web-7 "));
            assert!(!carried_over(&running, &wanted(ServerState::Draining), Strictness::Exact).contains(" web-7 "));
        }
    }

    #[test]
    fn what_was_removed_and_could_not_be_deleted_is_no_difference_and_not_carried_over() {
        let running = RUNNING.replace("0.8 2 8 0", "0.8 2 1 0");

        assert_eq!(differs(&running, &wanted(ServerState::Draining)[..1], Strictness::Exact), None);
        assert!(differs(&running, &wanted(ServerState::Serving), Strictness::Lenient).is_some());
        assert!(!carried_over(&running, &wanted(ServerState::Serving), Strictness::Lenient).contains(" web-8 "));
    }

    #[test]
    fn only_servers_that_stay_as_they_are_have_their_state_carried_over() {
        let carried = carried_over(RUNNING, &wanted(ServerState::Serving), Strictness::Exact);

        assert!(carried.contains(" web-7 ") && !carried.contains(" web-8 "), "{carried}");
        assert!(carried.starts_with("1\n# be_id ") && carried.ends_with('\n'), "{carried}");
        assert_eq!(carried_over("", &[], Strictness::Exact), EMPTY);
    }
}
