//! How a running worker becomes what the file says: by commands while it runs, or by a reload. A function of text.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::escape;
use super::layout::Layout;
use super::state::{Seen, Strictness};
use super::wanted::Wanted;

/// A version of HAProxy, as far as it counts here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u32, u32);

/// From here on servers can be added and checked without HAProxy's experimental mode.
const ADDS_SERVERS: Version = Version(2, 6);

/// From here on servers that are added have cookies.
const ADDS_COOKIES: Version = Version(3, 0);

impl Version {
    /// Reads `2.6.12-1+deb12u3` and `3.1-dev4`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        Some(Self(numbers.next()?.ok()?, numbers.next()?.ok()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// How the worker becomes what the file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By commands, in this order.
    AtRunTime(Vec<Step>),
    /// By a reload, for this reason.
    Reload(String),
}

/// A change of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// It comes, checked; with traffic when `serves`.
    Add {
        /// Its name.
        name: String,
        /// Its line in the file, from the address on.
        line: String,
        /// Whether it gets traffic at once: its health was seen before.
        serves: bool,
    },
    /// It gets traffic, slowly at first.
    Serve {
        /// Its name.
        name: String,
        /// Its weight.
        weight: u32,
    },
    /// It gets no new sessions, and is checked.
    Drain {
        /// Its name.
        name: String,
    },
    /// It goes. Sessions that it still has are shut down.
    Remove {
        /// Its name.
        name: String,
        /// What was removed before and could not be deleted; also what another takes the place of. Counts for nothing.
        is_leftover: bool,
    },
}

/// What is known of a worker, and what is wanted of it.
pub(super) struct Question<'a> {
    /// The worker's version.
    pub(super) version: Option<Version>,
    /// The configuration that the worker was made equal to, or why there is none.
    pub(super) taken: Result<&'a str, &'static str>,
    /// The configuration that it is to be equal to.
    pub(super) text: &'a str,
    /// The servers of that.
    pub(super) wanted: &'a [Wanted],
    /// What the worker says of its servers.
    pub(super) seen: Option<&'a [Seen]>,
    /// Whose drains and maintenances stay.
    pub(super) strictness: Strictness,
}

/// How the worker becomes what is wanted.
pub(super) fn way(question: &Question<'_>) -> Way {
    steps(question).map_or_else(Way::Reload, Way::AtRunTime)
}

fn steps(question: &Question<'_>) -> Result<Vec<Step>, String> {
    let Question { version, taken, text, wanted, seen, strictness } = question;
    let version = version.ok_or("HAProxy does not say its version")?;
    if version < ADDS_SERVERS {
        return Err(format!("HAProxy {version} cannot add servers at run time; {ADDS_SERVERS} can"));
    }
    let taken = Layout::of(taken.map_err(str::to_owned)?);
    let seen = seen.ok_or("the worker does not say which servers it has")?;
    let new = Layout::of(text);
    if let Some(difference) = taken.other_frame(&new) {
        return Err(difference);
    }
    let mut steps = Steps::default();
    let by_name: HashMap<&str, &Seen> = seen.iter().map(|server| (server.name.as_str(), server)).collect();
    for server in *wanted {
        let name = || server.name.clone();
        let line = new.server(&server.name).ok_or_else(|| format!("{} has no line", server.name))?;
        match (by_name.get(server.name.as_str()), taken.server(&server.name)) {
            (Some(there), Some(old)) => {
                if !old.same_but_for_weight(line) {
                    return Err(format!("the line of {} changed", server.name));
                }
                if !there.is_at(server) {
                    return Err(format!("{} has another address", server.name));
                }
                match (there.is(server, *strictness), server.serves()) {
                    (true, _) => {}
                    (false, true) => steps.serve.push(Step::Serve { name: name(), weight: line.weight() }),
                    (false, false) => steps.drain.push(Step::Drain { name: name() }),
                }
            }
            (there, _) => {
                // What a change left that was cut off may be made of any line.
                if there.is_some() {
                    steps.first.push(Step::Remove { name: name(), is_leftover: true });
                }
                if let Some(why) = new.keeps_from_adding(version >= ADDS_COOKIES) {
                    return Err(why);
                }
                let line =
                    line.to_add().map_err(|why| format!("{} cannot be added at run time: {why}", server.name))?;
                steps.add.push(Step::Add { name: name(), line, serves: server.serves() });
            }
        }
    }
    let names: HashSet<&str> = wanted.iter().map(|server| server.name.as_str()).collect();
    for server in seen.iter().filter(|server| !names.contains(server.name.as_str())) {
        if !escape::is_name(&server.name) {
            return Err("the worker has a server whose name is none".to_owned());
        }
        steps.remove.push(Step::Remove { name: server.name.clone(), is_leftover: server.is_leftover() });
    }
    Ok(steps.in_order())
}

/// Steps by kind: what comes goes first, so that there is always somebody who serves.
#[derive(Default)]
struct Steps {
    first: Vec<Step>,
    add: Vec<Step>,
    serve: Vec<Step>,
    drain: Vec<Step>,
    remove: Vec<Step>,
}

impl Steps {
    fn in_order(self) -> Vec<Step> {
        [self.first, self.add, self.serve, self.drain, self.remove].concat()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::balancer::haproxy::fixtures::{server, server_that_is};
    use crate::balancer::haproxy::{HaProxy, Options};
    use crate::balancer::{Server, ServerState};

    fn text_of(servers: &[Server]) -> String {
        HaProxy::new(Options::new("/etc/haproxy/haproxy.cfg")).unwrap().render(servers).unwrap()
    }

    fn wanted(servers: &[Server]) -> Vec<Wanted> {
        Wanted::all(servers, 80).unwrap()
    }

    /// What a worker that has these servers says, with these administrative states of some.
    fn seen(servers: &[Server], admin: &[(u64, u32)]) -> Vec<Seen> {
        let mut state = String::from("1\n# srv_name srv_addr srv_port srv_admin_state srv_uweight\n");
        for server in wanted(servers) {
            let admin = admin.iter().find(|(id, _)| *id == server.id).map_or(0, |(_, admin)| *admin);
            state += &format!("{} {} {} {admin} {}\n", server.name, server.ip, server.port, server.weight);
        }
        Seen::all(&state).unwrap()
    }

    /// The way from a worker that has `old` to one that has `new`.
    fn from_to(old: &[Server], new: &[Server]) -> Way {
        way(&Question {
            version: Version::read("2.6.12"),
            taken: Ok(&text_of(old)),
            text: &text_of(new),
            wanted: &wanted(new),
            seen: Some(&seen(old, &[])),
            strictness: Strictness::Lenient,
        })
    }

    #[test]
    fn versions_are_read_and_compared() {
        let read = |text: &str| Version::read(text).unwrap();

        assert!(read("2.4.22-0ubuntu0.22.04.3") < ADDS_SERVERS && read("2.5.0") < ADDS_SERVERS);
        assert!(read("2.6.12-1+deb12u3") >= ADDS_SERVERS && read("3.1-dev4") >= ADDS_COOKIES);
        assert_eq!((Version::read("unknown"), Version::read("")), (None, None));
    }

    #[test]
    fn what_comes_goes_before_what_leaves() {
        let old =
            [server(1), server_that_is(ServerState::Warming, 2), server(3), server_that_is(ServerState::Draining, 4)];
        let new =
            [server_that_is(ServerState::Draining, 1), server(2), server(3), server_that_is(ServerState::Warming, 5)];

        let Way::AtRunTime(steps) = from_to(&old, &new) else { panic!("a reload") };

        insta::assert_debug_snapshot!(steps, @r#"
        [
            Add {
                name: "web-5",
                line: "10.0.0.5:80 id 5 check inter 2s fastinter 250ms downinter 250ms fall 3 rise 2 weight 0 maxconn 200 slowstart 10s observe layer4 error-limit 20 on-error mark-down",
                serves: false,
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
                is_leftover: false,
            },
        ]
        "#);
    }

    #[test]
    fn each_thing_that_needs_a_reload_is_its_reason() {
        let (one, text) = ([server(1)], text_of(&[server(1)]));
        let (wanted, there) = (wanted(&one), seen(&one, &[]));
        let good = || Question {
            version: Version::read("2.6.12"),
            taken: Ok(&text),
            text: &text,
            wanted: &wanted,
            seen: Some(&there),
            strictness: Strictness::Lenient,
        };
        let reason = |question: Question<'_>| match way(&question) {
            Way::Reload(reason) => reason,
            Way::AtRunTime(steps) => panic!("no reload: {steps:?}"),
        };
        let moved = text.replace("10.0.0.1:80", "10.0.0.9:80");

        assert_eq!(way(&good()), Way::AtRunTime(Vec::new()));
        insta::assert_snapshot!(reason(Question { version: Version::read("2.4.22"), ..good() }), @"HAProxy 2.4 cannot add servers at run time; 2.6 can");
        insta::assert_snapshot!(reason(Question { version: None, ..good() }), @"HAProxy does not say its version");
        insta::assert_snapshot!(reason(Question { taken: Err("nobody knows"), ..good() }), @"nobody knows");
        insta::assert_snapshot!(reason(Question { taken: Ok(&text.replace("bind *:80", "bind *:81")), ..good() }), @"`bind` in `frontend public` changed");
        insta::assert_snapshot!(reason(Question { taken: Ok(&moved), ..good() }), @"the line of web-1 changed");
        insta::assert_snapshot!(reason(Question { seen: None, ..good() }), @"the worker does not say which servers it has");
    }

    #[test]
    fn what_a_change_left_that_was_cut_off_is_made_right() {
        // Cut off while 1 was to be given traffic, while 2 was to be deleted, and after 3 was added.
        let (old, new) = ([server(1), server(2)], [server(1), server(2), server(3)]);
        let there = seen(&[server(1), server_that_is(ServerState::Draining, 2), server(3)], &[(1, 8), (2, 1), (3, 1)]);
        let (taken, text) = (text_of(&old), text_of(&new));

        let way = way(&Question {
            version: Version::read("2.6.12"),
            taken: Ok(&taken),
            text: &text,
            wanted: &wanted(&new),
            seen: Some(&there),
            strictness: Strictness::Exact,
        });

        let Way::AtRunTime(steps) = way else { panic!("{way:?}") };
        assert_eq!(steps[0], Step::Remove { name: "web-3".into(), is_leftover: true });
        assert!(matches!(&steps[1], Step::Add { name, serves: true, .. } if name == "web-3"), "{steps:?}");
        let serve = |name: &str| Step::Serve { name: name.into(), weight: 100 };
        assert_eq!(steps[2..], [serve("web-1"), serve("web-2")]);
    }

    fn fleet() -> impl Strategy<Value = Vec<Server>> {
        let states = vec![ServerState::Warming, ServerState::Serving, ServerState::Draining];
        prop::collection::btree_map(1..9_u64, prop::sample::select(states), 0..8)
            .prop_map(|fleet| fleet.into_iter().map(|(id, state)| server_that_is(state, id)).collect())
    }

    proptest! {
        #[test]
        fn the_steps_lead_from_any_servers_to_any_others(old in fleet(), new in fleet()) {
            let servers = |servers: &[Server]| -> BTreeMap<String, bool> {
                wanted(servers).iter().map(|server| (server.name.clone(), server.serves())).collect()
            };
            let mut worker = servers(&old);

            let Way::AtRunTime(steps) = from_to(&old, &new) else { panic!("a reload") };
            for step in steps {
                match step {
                    Step::Add { name, serves, .. } => prop_assert!(worker.insert(name, serves).is_none()),
                    Step::Serve { name, .. } => prop_assert_eq!(worker.insert(name, true), Some(false)),
                    Step::Drain { name } => prop_assert_eq!(worker.insert(name, false), Some(true)),
                    Step::Remove { name, is_leftover } => {
                        prop_assert!(!is_leftover && worker.remove(&name).is_some());
                    }
                }
            }

            prop_assert_eq!(worker, servers(&new));
        }
    }
}
