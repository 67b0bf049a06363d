//! HAProxy's answers, and what its configuration is made of, for the fuzzer.

#![expect(clippy::missing_panics_doc, reason = "to panic is how a fuzz target says what it found")]

use std::net::IpAddr;

use super::layout::Layout;
use super::reload::Processes;
use super::state::{Seen, Strictness};
use super::wanted::Wanted;
use super::{HaProxy, Options, RunAs, state, stats};
use crate::balancer::{Server, ServerState};
use crate::model::{DropletId, DropletName, FleetName};

/// An answer of HAProxy's sockets is read as each thing that it could be, without harm.
pub fn haproxy_answers(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (first, second) = text.split_once("\n\n").unwrap_or((&text, &text));
    if let Some(stats) = stats::read("Uptime_sec: 7", first, &[second.to_owned()]) {
        assert!(stats.servers.iter().all(|server| !server.status.contains(char::is_control)), "{stats:?}");
    }
    let _ = stats::read(first, second, &[]);
    let _ = Processes::read(&text);
    assert_eq!(Layout::of(&text).other_frame(&Layout::of(&text)), None);
    let wanted = Wanted::all(&[plain(7), plain(8)], 80).unwrap_or_default();
    let carried = state::carried_over(&text, &wanted, Strictness::Lenient);
    assert!(carried.starts_with("1\n"), "{carried:?}");
    // Whatever was carried over differs in nothing but servers that are missing.
    if carried != state::EMPTY {
        let difference = Seen::all(&carried)
            .and_then(|seen| state::difference(&seen, &wanted, Strictness::Lenient))
            .unwrap_or_default();
        assert!(
            difference.is_empty() || difference.ends_with("is missing") || difference.ends_with("should not be"),
            "{difference}"
        );
    }
}

/// Whatever names, paths and addresses are made of, the file has the lines that it would have with plain ones.
pub fn template_context(bytes: &[u8]) {
    let Some((servers, rendered)) = rendered(bytes) else { return };
    let mut options = Options::new("/etc/haproxy/haproxy.cfg");
    options.metrics = Some("127.0.0.1:9".to_owned());
    let plain: Vec<Server> =
        servers.iter().map(|server| Server { state: server.state, ..plain(server.id.0) }).collect();
    let expected = HaProxy::new(options).and_then(|haproxy| haproxy.render(&plain)).unwrap_or_default();
    assert_eq!(keywords(&rendered), keywords(&expected), "{rendered}");
    assert!(!rendered.contains(|c: char| c.is_control() && c != '\n'), "{rendered:?}");
}

/// The servers and the file that bytes stand for; `None` where they are refused.
fn rendered(bytes: &[u8]) -> Option<(Vec<Server>, String)> {
    let text = String::from_utf8_lossy(bytes);
    let mut words = text.split('\u{1}');
    let mut word = || words.next().unwrap_or_default();
    let mut options = Options::new("/etc/haproxy/haproxy.cfg");
    options.fleet = FleetName::parse(word()).ok();
    options.bind = vec![word().to_owned()];
    word().clone_into(&mut options.health_path);
    options.stats_socket = word().into();
    options.state_file = word().into();
    options.log = Some(word().into());
    options.metrics = Some(word().to_owned());
    options.run_as = Some(RunAs { user: word().into(), group: word().into(), chroot: Some(word().into()) });
    let states = [ServerState::Warming, ServerState::Serving, ServerState::Draining];
    let servers: Vec<Server> = states
        .into_iter()
        .zip(1..)
        .map_while(|(state, id)| {
            let hostname = DropletName::parse(word()).ok()?;
            let address: IpAddr = word().parse().ok()?;
            Some(Server { id: DropletId(id), hostname, address, state })
        })
        .collect();
    let rendered = HaProxy::new(options).and_then(|haproxy| haproxy.render(&servers)).ok()?;
    Some((servers, rendered))
}

fn plain(id: u64) -> Server {
    let hostname = DropletName::parse(format!("www-{id}-abcdef"));
    let hostname = hostname.unwrap_or_else(|error| panic!("{error}"));
    Server { id: DropletId(id), hostname, address: [10, 0, 0, 1].into(), state: ServerState::Serving }
}

/// How each line begins, and how many words it has.
fn keywords(text: &str) -> Vec<(&str, usize)> {
    text.lines()
        .map(|line| {
            // What is behind a # is for people.
            let said = line.split('#').next().unwrap_or_default();
            let mut words = said.split_ascii_whitespace();
            (words.next().unwrap_or_default(), words.count())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_case_is_rendered_and_so_has_something_to_compare() {
        let (servers, text) = rendered(include_bytes!("../../../../tests/fuzz/corpus/template_context/plain")).unwrap();

        assert_eq!(servers.len(), 3);
        assert!(text.contains("fd00::7") && text.contains("/health"), "{text}");
    }
}
