//! Model checking: with all guards no invariant is violated, without any one of them one is.

use std::collections::HashMap;
use std::io::Write;

use stateright::{Checker, Model};

use super::*;

/// No path through the model is longer.
const MAX_EVENTS: usize = 60;

/// Searches the whole state space, and returns the number of states.
fn search_with_all_guards() -> usize {
    let checker = Protocol::default().checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    checker.unique_state_count()
}

#[test]
fn all_guards_prevent_every_violation() {
    assert!(search_with_all_guards() > 10_000, "the model has lost most of its states");
}

/// An acyclic model guarantees that every path ends, so that the "finally" properties are checked on each.
#[test]
fn model_has_no_cycles() {
    /// `true` if a state is on the current path, and not only on an earlier one.
    type OnCurrentPath = bool;
    let protocol = Protocol::default();
    let mut known: HashMap<SystemState, OnCurrentPath> = HashMap::new();
    let mut way: Vec<(SystemState, Vec<SystemState>)> =
        protocol.init_states().into_iter().map(|start| (start.clone(), protocol.next_states(&start))).collect();

    while let Some((state, ahead)) = way.last_mut() {
        let Some(next) = ahead.pop() else {
            known.insert(state.clone(), false);
            way.pop();
            continue;
        };
        if let Some(on_the_way) = known.get(&next) {
            assert!(!on_the_way, "a cycle leads back to {next:#?}");
            continue;
        }
        known.insert(next.clone(), true);
        let further = protocol.next_states(&next);
        way.push((next, further));
    }
}

/// Returns the violation on the shortest path that has one, with a guard disabled.
fn violation_without(guard: Guard) -> String {
    let protocol = Protocol { without: Some(guard) };
    for events in 1..MAX_EVENTS {
        // The search counts states, of which there is one more than events, and explores one level less than its depth.
        let checker = protocol.checker().target_max_depth(events + 2).spawn_bfs().join();
        let failures = properties::all().into_iter().filter(|property| property.expectation.discovery_is_failure());
        let found = failures.map(|property| property.name).find(|name| checker.discovery(name).is_some());
        if let Some(property) = found {
            return format!("{guard:<40} {property}: {events} events");
        }
    }
    panic!("no violation without the guard \"{guard}\"")
}

#[test]
fn each_guard_is_necessary() {
    let found: Vec<String> = Guard::ALL.into_iter().map(violation_without).collect();

    insta::assert_snapshot!(found.join("\n"), @"
    journal the intent before the request    created droplets are in the journal: 5 events
    mark the request before it is sent       an operation creates one droplet: 11 events
    look up the name before a retry          an operation creates one droplet: 13 events
    wait for the grace period before a retry an operation creates one droplet: 11 events
    measure the grace with the own clock     an operation creates one droplet: 12 events
    never reuse a name                       adopted droplets were created by us: 7 events
    adopt only droplets with the tag         adopted droplets were created by us: 7 events
    delete only droplets with the tag        only our droplets are deleted: 12 events
    delete duplicates                        finally every billed droplet is known: 11 events
    keep the adopted droplet                 serving droplets are kept: 11 events
    trust a 404 only after a listing         droplets closed in the journal are deleted: 10 events
    delete until 404                         droplets closed in the journal are deleted: 11 events
    hold the write lock                      an operation creates one droplet: 11 events
    ");
    let (states, guards) = (search_with_all_guards(), Guard::ALL.len());
    // Bypasses the test harness, which captures the output of passing tests.
    writeln!(std::io::stdout(), "model: {states} states with all guards; each of {guards} guards removed is found")
        .unwrap();
}
