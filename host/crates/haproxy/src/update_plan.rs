//! Plans the update of a running worker: by runtime API commands or by a reload. Pure functions on text.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::desired_server::DesiredServer;
use crate::escape;
use crate::parsed_config::ParsedConfig;
use crate::running_server::{AdminStateMode, RunningServer};

/// A version of HAProxy, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u32, u32);

/// The first version that can add and check servers without HAProxy's experimental mode.
const MIN_ADD_SERVER: Version = Version(2, 6);

/// The first version that gives cookies to servers added at run time.
const MIN_DYNAMIC_COOKIES: Version = Version(3, 0);

impl Version {
    /// Parses `2.6.12-1+deb12u3` and `3.1-dev4`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        Some(Self(numbers.next()?.ok()?, numbers.next()?.ok()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// The method that brings the worker in line with the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum UpdateMethod {
    /// Runtime API commands, in this order.
    RuntimeApi(Vec<ServerOp>),
    /// A reload, for this reason.
    Reload(String),
}

/// An operation on one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServerOp {
    /// Adds the server with health checks; with traffic if `is_serving`.
    Add {
        /// The server's name.
        name: String,
        /// The server's line in the file, from the address on.
        line: String,
        /// `true` to send traffic immediately, because the server is already known to be healthy.
        is_serving: bool,
    },
    /// Sends traffic to the server, ramping up slowly.
    Serve {
        /// The server's name.
        name: String,
        /// The server's weight.
        weight: u32,
    },
    /// Stops new sessions to the server and keeps checking it.
    Drain {
        /// The server's name.
        name: String,
    },
    /// Removes the server. Its remaining sessions are shut down.
    Remove {
        /// The server's name.
        name: String,
        /// `true` if the server was removed earlier but could not be deleted, or if another server replaces it. Not
        /// counted.
        is_in_maintenance: bool,
    },
}

/// The observed state of a worker and its desired state.
pub(super) struct UpdateContext<'a> {
    /// The worker's version.
    pub(super) version: Option<Version>,
    /// The configuration that the worker has loaded, or the reason that it is unknown.
    pub(super) loaded: Result<&'a str, &'static str>,
    /// The desired configuration.
    pub(super) text: &'a str,
    /// The servers of the desired configuration.
    pub(super) desired: &'a [DesiredServer],
    /// The servers that the worker reports.
    pub(super) running: Option<&'a [RunningServer]>,
    /// The treatment of drains and maintenance found in the worker.
    pub(super) admin_mode: AdminStateMode,
}

/// Selects the method and the operations that bring the worker to the desired state.
pub(super) fn plan_update(question: &UpdateContext<'_>) -> UpdateMethod {
    plan_ops(question).map_or_else(UpdateMethod::Reload, UpdateMethod::RuntimeApi)
}

fn plan_ops(question: &UpdateContext<'_>) -> Result<Vec<ServerOp>, String> {
    let UpdateContext { version, loaded, text, desired, running, admin_mode: mode } = question;
    let version = version.ok_or("HAProxy does not report its version")?;
    if version < MIN_ADD_SERVER {
        return Err(format!("HAProxy {version} cannot add servers at run time; upgrade to {MIN_ADD_SERVER} or later"));
    }
    let loaded = ParsedConfig::parse(loaded.map_err(str::to_owned)?);
    let running = running.ok_or("the worker does not report its servers")?;
    let new = ParsedConfig::parse(text);
    if let Some(difference) = loaded.diff_static(&new) {
        return Err(difference);
    }
    let mut steps = ServerOps::default();
    let by_name: HashMap<&str, &RunningServer> = running.iter().map(|server| (server.name.as_str(), server)).collect();
    for server in *desired {
        let name = || server.name.clone();
        let line = new.server(&server.name).ok_or_else(|| format!("{} has no line", server.name))?;
        match (by_name.get(server.name.as_str()), loaded.server(&server.name)) {
            (Some(there), Some(old)) => {
                if !old.eq_ignoring_weight(line) {
                    return Err(format!("the line of {} changed", server.name));
                }
                if !there.has_address_of(server) {
                    return Err(format!("the address of {} changed", server.name));
                }
                match (there.matches(server, *mode), server.is_serving()) {
                    (true, _) => {}
                    (false, true) => steps.serve.push(ServerOp::Serve { name: name(), weight: line.weight() }),
                    (false, false) => steps.drain.push(ServerOp::Drain { name: name() }),
                }
            }
            (there, _) => {
                // An interrupted update may have created this server from any line.
                if there.is_some() {
                    steps.cleanup.push(ServerOp::Remove { name: name(), is_in_maintenance: true });
                }
                if let Some(why) = new.cannot_add_reason(version >= MIN_DYNAMIC_COOKIES) {
                    return Err(why);
                }
                let line = line
                    .add_server_args()
                    .map_err(|why| format!("{} cannot be added at run time: {why}", server.name))?;
                steps.add.push(ServerOp::Add { name: name(), line, is_serving: server.is_serving() });
            }
        }
    }
    let names: HashSet<&str> = desired.iter().map(|server| server.name.as_str()).collect();
    for server in running.iter().filter(|server| !names.contains(server.name.as_str())) {
        if !escape::is_name(&server.name) {
            return Err("the worker has a server with an invalid name".to_owned());
        }
        steps
            .remove
            .push(ServerOp::Remove { name: server.name.clone(), is_in_maintenance: server.is_in_maintenance() });
    }
    Ok(steps.into_ordered())
}

/// Operations by kind: additions come first, so that there is always a serving server.
#[derive(Default)]
struct ServerOps {
    cleanup: Vec<ServerOp>,
    add: Vec<ServerOp>,
    serve: Vec<ServerOp>,
    drain: Vec<ServerOp>,
    remove: Vec<ServerOp>,
}

impl ServerOps {
    fn into_ordered(self) -> Vec<ServerOp> {
        [self.cleanup, self.add, self.serve, self.drain, self.remove].concat()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use doproxy_core::seams::{Server, ServerState};
    use proptest::prelude::*;

    use super::*;
    use crate::haproxy::HaProxy;
    use crate::options::Options;
    use crate::test_support::{server, server_in_state};

    fn text_of(servers: &[Server]) -> String {
        HaProxy::new(Options::new("/etc/haproxy/haproxy.cfg")).unwrap().render(servers).unwrap()
    }

    fn desired(servers: &[Server]) -> Vec<DesiredServer> {
        DesiredServer::from_servers(servers, 80).unwrap()
    }

    /// Returns the state that a worker with these servers reports, with these administrative states for some.
    fn running(servers: &[Server], admin: &[(u64, u32)]) -> Vec<RunningServer> {
        let mut state = String::from("1\n# srv_name srv_addr srv_port srv_admin_state srv_uweight\n");
        for server in desired(servers) {
            let admin = admin.iter().find(|(id, _)| *id == server.id).map_or(0, |(_, admin)| *admin);
            state += &format!("{} {} {} {admin} {}\n", server.name, server.ip, server.port, server.weight);
        }
        RunningServer::parse_all(&state).unwrap()
    }

    /// Plans the update of a worker from `old` to `new`.
    fn plan_between(old: &[Server], new: &[Server]) -> UpdateMethod {
        plan_update(&UpdateContext {
            version: Version::parse("2.6.12"),
            loaded: Ok(&text_of(old)),
            text: &text_of(new),
            desired: &desired(new),
            running: Some(&running(old, &[])),
            admin_mode: AdminStateMode::Preserve,
        })
    }

    #[test]
    fn versions_are_parsed_and_compared() {
        let read = |text: &str| Version::parse(text).unwrap();

        assert!(read("2.4.22-0ubuntu0.22.04.3") < MIN_ADD_SERVER && read("2.5.0") < MIN_ADD_SERVER);
        assert!(read("2.6.12-1+deb12u3") >= MIN_ADD_SERVER && read("3.1-dev4") >= MIN_DYNAMIC_COOKIES);
        assert_eq!((Version::parse("unknown"), Version::parse("")), (None, None));
    }

    #[test]
    fn additions_precede_removals() {
        let old =
            [server(1), server_in_state(ServerState::Warming, 2), server(3), server_in_state(ServerState::Draining, 4)];
        let new =
            [server_in_state(ServerState::Draining, 1), server(2), server(3), server_in_state(ServerState::Warming, 5)];

        let UpdateMethod::RuntimeApi(steps) = plan_between(&old, &new) else { panic!("a reload") };

        insta::assert_debug_snapshot!(steps, @r#"
        [
            Add {
                name: "web-5",
                line: "10.0.0.5:80 id 5 check inter 2s fastinter 250ms downinter 250ms fall 3 rise 2 weight 0 maxconn 200 slowstart 10s observe layer4 error-limit 20 on-error mark-down",
                is_serving: false,
            },
            Serve {
                name: "web-2",
                weight: 100,
            },
            Drain {
                name: "web-1",
            },
            Remove {
                name: "web-4",
                is_in_maintenance: false,
            },
        ]
        "#);
    }

    #[test]
    fn each_cause_of_a_reload_is_reported() {
        let (one, text) = ([server(1)], text_of(&[server(1)]));
        let (target, there) = (desired(&one), running(&one, &[]));
        let good = || UpdateContext {
            version: Version::parse("2.6.12"),
            loaded: Ok(&text),
            text: &text,
            desired: &target,
            running: Some(&there),
            admin_mode: AdminStateMode::Preserve,
        };
        let reason = |question: UpdateContext<'_>| match plan_update(&question) {
            UpdateMethod::Reload(reason) => reason,
            UpdateMethod::RuntimeApi(steps) => panic!("no reload: {steps:?}"),
        };
        let moved = text.replace("10.0.0.1:80", "10.0.0.9:80");

        assert_eq!(plan_update(&good()), UpdateMethod::RuntimeApi(Vec::new()));
        insta::assert_snapshot!(reason(UpdateContext { version: Version::parse("2.4.22"), ..good() }), @"HAProxy 2.4 cannot add servers at run time; upgrade to 2.6 or later");
        insta::assert_snapshot!(reason(UpdateContext { version: None, ..good() }), @"HAProxy does not report its version");
        insta::assert_snapshot!(reason(UpdateContext { loaded: Err("unknown configuration"), ..good() }), @"unknown configuration");
        insta::assert_snapshot!(reason(UpdateContext { loaded: Ok(&text.replace("bind *:80", "bind *:81")), ..good() }), @"`bind` in `frontend public` changed");
        insta::assert_snapshot!(reason(UpdateContext { loaded: Ok(&moved), ..good() }), @"the line of web-1 changed");
        insta::assert_snapshot!(reason(UpdateContext { running: None, ..good() }), @"the worker does not report its servers");
    }

    #[test]
    fn interrupted_update_is_completed() {
        // Interrupted while server 1 was about to receive traffic, while server 2 was about to be deleted, and after
        // server 3 was added.
        let (old, new) = ([server(1), server(2)], [server(1), server(2), server(3)]);
        let there =
            running(&[server(1), server_in_state(ServerState::Draining, 2), server(3)], &[(1, 8), (2, 1), (3, 1)]);
        let (loaded, text) = (text_of(&old), text_of(&new));

        let way = plan_update(&UpdateContext {
            version: Version::parse("2.6.12"),
            loaded: Ok(&loaded),
            text: &text,
            desired: &desired(&new),
            running: Some(&there),
            admin_mode: AdminStateMode::Overwrite,
        });

        let UpdateMethod::RuntimeApi(steps) = way else { panic!("{way:?}") };
        assert_eq!(steps[0], ServerOp::Remove { name: "web-3".into(), is_in_maintenance: true });
        assert!(matches!(&steps[1], ServerOp::Add { name, is_serving: true, .. } if name == "web-3"), "{steps:?}");
        let serve = |name: &str| ServerOp::Serve { name: name.into(), weight: 100 };
        assert_eq!(steps[2..], [serve("web-1"), serve("web-2")]);
    }

    fn fleet() -> impl Strategy<Value = Vec<Server>> {
        let states = vec![ServerState::Warming, ServerState::Serving, ServerState::Draining];
        prop::collection::btree_map(1..9_u64, prop::sample::select(states), 0..8)
            .prop_map(|fleet| fleet.into_iter().map(|(id, state)| server_in_state(state, id)).collect())
    }

    proptest! {
        #[test]
        fn operations_lead_from_any_servers_to_any_others(old in fleet(), new in fleet()) {
            let servers = |servers: &[Server]| -> BTreeMap<String, bool> {
                desired(servers).iter().map(|server| (server.name.clone(), server.is_serving())).collect()
            };
            let mut worker = servers(&old);

            let UpdateMethod::RuntimeApi(steps) = plan_between(&old, &new) else { panic!("a reload") };
            for step in steps {
                match step {
                    ServerOp::Add { name, is_serving, .. } => prop_assert!(worker.insert(name, is_serving).is_none()),
                    ServerOp::Serve { name, .. } => prop_assert_eq!(worker.insert(name, true), Some(false)),
                    ServerOp::Drain { name } => prop_assert_eq!(worker.insert(name, false), Some(true)),
                    ServerOp::Remove { name, is_in_maintenance } => {
                        prop_assert!(!is_in_maintenance && worker.remove(&name).is_some());
                    }
                }
            }

            prop_assert_eq!(worker, servers(&new));
        }
    }
}
