//! Fuzz targets for HAProxy's responses and for the inputs of its configuration.

#![expect(clippy::missing_panics_doc, reason = "a fuzz target reports findings by panicking")]

use std::net::IpAddr;

use doproxy_core::domain::{DropletId, DropletName, FleetName};
use doproxy_core::seams::{Server, ServerState};

use crate::desired_server::DesiredServer;
use crate::haproxy::HaProxy;
use crate::options::{Options, RunAs};
use crate::parsed_config::ParsedConfig;
use crate::reload::Processes;
use crate::running_server::{AdminStateMode, RunningServer};
use crate::{running_server, stats};

/// Parses a response from HAProxy's sockets as every supported kind and verifies that none causes harm.
pub fn haproxy_answers(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (first, second) = text.split_once("\n\n").unwrap_or((&text, &text));
    if let Some(stats) = stats::parse("Uptime_sec: 7", first, &[second.to_owned()]) {
        assert!(stats.servers.iter().all(|server| !server.status.contains(char::is_control)), "{stats:?}");
    }
    let _ = stats::parse(first, second, &[]);
    let _ = Processes::parse(&text);
    assert_eq!(ParsedConfig::parse(&text).diff_static(&ParsedConfig::parse(&text)), None);
    let desired = DesiredServer::from_servers(&[plain(7), plain(8)], 80).unwrap_or_default();
    let carried = running_server::state_for_next_worker(&text, &desired, AdminStateMode::Preserve);
    assert!(carried.starts_with("1\n"), "{carried:?}");
    // The carried-over state may differ only by missing servers.
    if carried != running_server::EMPTY_STATE {
        let difference = RunningServer::parse_all(&carried)
            .and_then(|running| running_server::difference(&running, &desired, AdminStateMode::Preserve))
            .unwrap_or_default();
        assert!(
            difference.is_empty() || difference.ends_with("is missing") || difference.ends_with("should not be"),
            "{difference}"
        );
    }
}

/// Verifies that the file has the same lines as with plain values, regardless of the names, paths and addresses in it.
pub fn template_context(bytes: &[u8]) {
    let Some((servers, rendered)) = rendered(bytes) else { return };
    let mut options = Options::new("/etc/haproxy/haproxy.cfg");
    options.prometheus_bind = Some("127.0.0.1:9".to_owned());
    let plain: Vec<Server> =
        servers.iter().map(|server| Server { state: server.state, ..plain(server.id.0) }).collect();
    let expected = HaProxy::new(options).and_then(|haproxy| haproxy.render(&plain)).unwrap_or_default();
    assert_eq!(keywords(&rendered), keywords(&expected), "{rendered}");
    assert!(!rendered.contains(|c: char| c.is_control() && c != '\n'), "{rendered:?}");
}

/// Returns the servers and the rendered file that the bytes encode; `None` if they are rejected.
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
    options.prometheus_bind = Some(word().to_owned());
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

/// Returns the first word of each line and the number of words that follow.
fn keywords(text: &str) -> Vec<(&str, usize)> {
    text.lines()
        .map(|line| {
            // Text after `#` is a comment.
            let code = line.split('#').next().unwrap_or_default();
            let mut words = code.split_ascii_whitespace();
            (words.next().unwrap_or_default(), words.count())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use doproxy_test_support::fuzzing;

    use super::*;

    const TARGETS: [fuzzing::Target; 2] =
        [("haproxy_answers", haproxy_answers), ("template_context", template_context)];

    #[test]
    fn every_corpus_input_is_handled() {
        fuzzing::run_corpora(&TARGETS);
    }

    #[test]
    fn arbitrary_inputs_are_handled() {
        fuzzing::run_arbitrary_inputs(&TARGETS);
    }

    #[test]
    fn plain_case_renders() {
        let (servers, text) = rendered(include_bytes!("../../../../tests/fuzz/corpus/template_context/plain")).unwrap();

        assert_eq!(servers.len(), 3);
        assert!(text.contains("fd00::7") && text.contains("/health"), "{text}");
    }
}
