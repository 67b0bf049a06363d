//! What a running worker says of its servers (`show servers state`), compared with what it should have, and what
//! the next worker is told of it.
//!
//! Without that a server that is down would get traffic for seconds after each reload. HAProxy lets a line of the
//! state file override the address in the configuration, so only servers that stay as they are have a line.

use std::collections::HashMap;

use super::table::{Row, Table};
use super::wanted::Wanted;

/// A state file that says nothing. Without its first line HAProxy warns.
pub(super) const EMPTY: &str = "1\n";

/// In what the running servers differ from the wanted ones; `None` when in nothing.
pub(super) fn difference(state: &str, wanted: &[Wanted]) -> Option<String> {
    let Some(table) = Table::state(state) else { return Some("its state cannot be read".into()) };
    let mut missing: HashMap<&str, &Wanted> = wanted.iter().map(|server| (server.name.as_str(), server)).collect();
    for row in table.rows() {
        let name = row.text("srv_name").unwrap_or_default();
        match missing.remove(name) {
            Some(server) if is(&row, server) => {}
            Some(_) => return Some(format!("{name} has another address or weight")),
            None => return Some(format!("{name} is there and should not be")),
        }
    }
    missing.keys().min().map(|name| format!("{name} is missing"))
}

/// The state file for the next worker, which will have `wanted`.
pub(super) fn carried_over(state: &str, wanted: &[Wanted]) -> String {
    let Some(table) = Table::state(state) else { return EMPTY.to_owned() };
    let wanted: HashMap<&str, &Wanted> = wanted.iter().map(|server| (server.name.as_str(), server)).collect();
    let mut lines = state.lines().filter(|line| !line.is_empty());
    let mut text: String = lines.by_ref().take(2).flat_map(|line| [line, "\n"]).collect();
    for (line, row) in lines.zip(table.rows()) {
        let same = row.text("srv_name").and_then(|name| wanted.get(name)).is_some_and(|server| is(&row, server));
        if same {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

fn is(row: &Row<'_>, server: &Wanted) -> bool {
    row.number("srv_addr") == Some(server.ip)
        && row.number("srv_port") == Some(server.port)
        // Of weights only that counts: an operator may have given a server less than its share.
        && row.number::<u32>("srv_uweight").map(|weight| weight > 0) == Some(server.serves())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancer::ServerState;
    use crate::balancer::haproxy::fixtures::{server, server_that_is};

    const RUNNING: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_uweight srv_port\n\
                           3 droplets 7 web-7 10.0.0.7 0 100 80\n3 droplets 8 web-8 10.0.0.8 2 0 80";

    fn wanted(second: ServerState) -> Vec<Wanted> {
        Wanted::all(&[server(7), server_that_is(second, 8)], 80).unwrap()
    }

    #[test]
    fn a_running_process_is_told_from_another() {
        assert_eq!(difference(RUNNING, &wanted(ServerState::Draining)), None);

        insta::assert_snapshot!(difference(RUNNING, &wanted(ServerState::Serving)).unwrap(), @"web-8 has another address or weight");
        insta::assert_snapshot!(difference(RUNNING, &wanted(ServerState::Draining)[..1]).unwrap(), @"web-8 is there and should not be");
        insta::assert_snapshot!(difference(&RUNNING.replace("0.7", "0.9"), &wanted(ServerState::Draining)).unwrap(), @"web-7 has another address or weight");
        insta::assert_snapshot!(difference(RUNNING.split_once("\n3 ").unwrap().0, &wanted(ServerState::Draining)).unwrap(), @"web-7 is missing");
        insta::assert_snapshot!(difference("", &[]).unwrap(), @"its state cannot be read");
    }

    #[test]
    fn only_servers_that_stay_as_they_are_have_their_state_carried_over() {
        let carried = carried_over(RUNNING, &wanted(ServerState::Serving));

        assert!(carried.contains(" web-7 ") && !carried.contains(" web-8 "), "{carried}");
        assert!(carried.starts_with("1\n# be_id ") && carried.ends_with('\n'), "{carried}");
        assert_eq!(carried_over("", &[]), EMPTY);
    }
}
