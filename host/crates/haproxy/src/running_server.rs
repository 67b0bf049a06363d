//! The servers that a running worker reports (`show servers state`), their comparison with the desired ones, and the
//! state passed on to the next worker.
//!
//! Without that state, a server that is down would receive traffic for seconds after each reload. HAProxy lets a line
//! of the state file override the address in the configuration, so only unchanged servers have a line.
//!
//! A server receives no traffic if its weight is 0, in the file as in the worker. doproxy drains it as well, so that
//! its traffic ramps up slowly when it returns. Therefore, in a worker without an interrupted update, a drain or
//! maintenance of a server with a weight was ordered by an operator and is preserved.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::desired_server::DesiredServer;
use crate::table::{Row, Table};

/// An empty state file. Without its first line HAProxy logs a warning.
pub(super) const EMPTY_STATE: &str = "1\n";

/// Bits of `srv_admin_state` (`enum srv_admin` in HAProxy's `server-t.h`): forced, inherited, configured and
/// resolution-related maintenance; forced and inherited drains.
const FORCED_MAINTENANCE: u32 = 0x01;
const MAINTENANCE: u32 = 0x01 | 0x02 | 0x04 | 0x20 | 0x40;
const DRAIN: u32 = 0x08 | 0x10;

/// The treatment of drains and maintenance found in a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AdminStateMode {
    /// Preserves those set by an operator.
    Preserve,
    /// Overwrites them: they may stem from an interrupted update.
    Overwrite,
}

/// A server of the fleet's backend as the worker reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunningServer {
    pub(super) name: String,
    address: Option<IpAddr>,
    port: Option<u16>,
    weight: Option<u32>,
    admin: u32,
}

impl RunningServer {
    /// Parses all servers; `None` if the text does not have the expected format.
    pub(super) fn parse_all(state: &str) -> Option<Vec<Self>> {
        Some(Table::state(state)?.rows().map(|row| Self::from_row(&row)).collect())
    }

    fn from_row(row: &Row<'_>) -> Self {
        Self {
            name: row.text("srv_name").unwrap_or_default().to_owned(),
            address: row.number("srv_addr"),
            port: row.number("srv_port"),
            weight: row.number("srv_uweight"),
            admin: row.number("srv_admin_state").unwrap_or(0),
        }
    }

    /// Reports whether its address and port are those of `server`.
    pub(super) fn has_address_of(&self, server: &DesiredServer) -> bool {
        self.address == Some(server.ip) && self.port == Some(server.port)
    }

    /// Reports whether it matches `server`.
    pub(super) fn matches(&self, server: &DesiredServer, mode: AdminStateMode) -> bool {
        // Only zero versus non-zero weight matters: an operator may have given a server less than its share.
        let same = self.has_address_of(server) && self.weight.map(|weight| weight > 0) == Some(server.is_serving());
        let undisturbed = match mode {
            AdminStateMode::Preserve => true,
            // HAProxy does not check a server in maintenance, so it would never become healthy.
            AdminStateMode::Overwrite => {
                self.admin & if server.is_serving() { MAINTENANCE | DRAIN } else { MAINTENANCE } == 0
            }
        };
        same && undisturbed && !self.is_in_maintenance()
    }

    /// Reports whether the server was removed but could not be deleted yet.
    pub(super) fn is_in_maintenance(&self) -> bool {
        self.admin & FORCED_MAINTENANCE != 0 && self.weight == Some(0)
    }
}

/// Returns the first difference between the running and the desired servers; `None` if there is none. A removed server
/// that could not be deleted yet is not a difference.
pub(super) fn difference(running: &[RunningServer], desired: &[DesiredServer], mode: AdminStateMode) -> Option<String> {
    let mut missing: HashMap<&str, &DesiredServer> =
        desired.iter().map(|server| (server.name.as_str(), server)).collect();
    for there in running {
        match missing.remove(there.name.as_str()) {
            Some(server) if there.matches(server, mode) => {}
            Some(server) if there.matches(server, AdminStateMode::Preserve) => {
                return Some(format!("{} was taken out of service", there.name));
            }
            Some(_) => return Some(format!("{} has another address or weight", there.name)),
            None if there.is_in_maintenance() => {}
            None => return Some(format!("{} is present but should not be", there.name)),
        }
    }
    missing.keys().min().map(|name| format!("{name} is missing"))
}

/// Returns the state file for the next worker, which will have the servers `desired`.
pub(super) fn state_for_next_worker(state: &str, desired: &[DesiredServer], mode: AdminStateMode) -> String {
    let Some(table) = Table::state(state) else { return EMPTY_STATE.to_owned() };
    let desired: HashMap<&str, &DesiredServer> = desired.iter().map(|server| (server.name.as_str(), server)).collect();
    let mut lines = state.lines().filter(|line| !line.is_empty());
    let mut text: String = lines.by_ref().take(2).flat_map(|line| [line, "\n"]).collect();
    for (line, row) in lines.zip(table.rows()) {
        let there = RunningServer::from_row(&row);
        let same = desired.get(there.name.as_str()).is_some_and(|server| there.matches(server, mode));
        if same {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use doproxy_core::seams::ServerState;

    use super::*;
    use crate::test_support::{server, server_in_state};

    const RUNNING: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_port\n\
                           3 droplets 7 web-7 10.0.0.7 0 0 100 80\n3 droplets 8 web-8 10.0.0.8 2 8 0 80";

    fn desired(second: ServerState) -> Vec<DesiredServer> {
        DesiredServer::from_servers(&[server(7), server_in_state(second, 8)], 80).unwrap()
    }

    fn difference_to(state: &str, desired: &[DesiredServer], mode: AdminStateMode) -> Option<String> {
        difference(&RunningServer::parse_all(state).unwrap(), desired, mode)
    }

    #[test]
    fn differing_process_is_detected() {
        let differs = |state: &str, desired: &[DesiredServer]| difference_to(state, desired, AdminStateMode::Overwrite);
        assert_eq!(differs(RUNNING, &desired(ServerState::Draining)), None);

        insta::assert_snapshot!(differs(RUNNING, &desired(ServerState::Serving)).unwrap(), @"web-8 has another address or weight");
        insta::assert_snapshot!(differs(RUNNING, &desired(ServerState::Draining)[..1]).unwrap(), @"web-8 is present but should not be");
        insta::assert_snapshot!(differs(&RUNNING.replace("0.7", "0.9"), &desired(ServerState::Draining)).unwrap(), @"web-7 has another address or weight");
        insta::assert_snapshot!(differs(RUNNING.split_once("\n3 ").unwrap().0, &desired(ServerState::Draining)).unwrap(), @"web-7 is missing");
        assert_eq!(RunningServer::parse_all(""), None);
    }

    #[test]
    fn operator_maintenance_is_preserved_unless_update_was_interrupted() {
        for admin in ["1", "8"] {
            let running = RUNNING.replace("0.7 0 0 100", &format!("0.7 0 {admin} 100"));

            assert_eq!(difference_to(&running, &desired(ServerState::Draining), AdminStateMode::Preserve), None);
            insta::allow_duplicates! {
                insta::assert_snapshot!(difference_to(&running, &desired(ServerState::Draining), AdminStateMode::Overwrite).unwrap(), @"web-7 was taken out of service");
            }
            assert!(
                state_for_next_worker(&running, &desired(ServerState::Draining), AdminStateMode::Preserve)
                    .contains(" web-7 ")
            );
            assert!(
                !state_for_next_worker(&running, &desired(ServerState::Draining), AdminStateMode::Overwrite)
                    .contains(" web-7 ")
            );
        }
    }

    #[test]
    fn undeletable_server_is_ignored_and_not_carried_over() {
        let running = RUNNING.replace("0.8 2 8 0", "0.8 2 1 0");

        assert_eq!(difference_to(&running, &desired(ServerState::Draining)[..1], AdminStateMode::Overwrite), None);
        assert!(difference_to(&running, &desired(ServerState::Serving), AdminStateMode::Preserve).is_some());
        assert!(
            !state_for_next_worker(&running, &desired(ServerState::Serving), AdminStateMode::Preserve)
                .contains(" web-8 ")
        );
    }

    #[test]
    fn only_unchanged_servers_are_carried_over() {
        let carried = state_for_next_worker(RUNNING, &desired(ServerState::Serving), AdminStateMode::Overwrite);

        assert!(carried.contains(" web-7 ") && !carried.contains(" web-8 "), "{carried}");
        assert!(carried.starts_with("1\n# be_id ") && carried.ends_with('\n'), "{carried}");
        assert_eq!(state_for_next_worker("", &[], AdminStateMode::Overwrite), EMPTY_STATE);
    }
}
