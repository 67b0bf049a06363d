//! The search: with all guards nothing goes wrong, without any one of them something does.

use std::collections::HashMap;
use std::io::Write;

use stateright::{Checker, Model};

use super::*;

/// No way through the model is longer.
const MAX_EVENTS: usize = 60;

/// Goes through all worlds, and answers how many there are.
fn search_with_all_guards() -> usize {
    let checker = Protocol::default().checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    checker.unique_state_count()
}

#[test]
fn with_all_guards_nothing_ever_goes_wrong() {
    assert!(search_with_all_guards() > 10_000, "the model has lost most of what can happen");
}

/// So that every way through the model ends, and what is so "in the end" comes about on each.
#[test]
fn no_way_through_the_model_goes_in_a_circle() {
    /// Whether a world is on the present way, and not only on one of before.
    type OnCurrentPath = bool;
    let protocol = Protocol::default();
    let mut known: HashMap<SystemState, OnCurrentPath> = HashMap::new();
    let mut way: Vec<(SystemState, Vec<SystemState>)> =
        protocol.init_states().into_iter().map(|start| (start.clone(), protocol.next_states(&start))).collect();

    while let Some((world, ahead)) = way.last_mut() {
        let Some(next) = ahead.pop() else {
            known.insert(world.clone(), false);
            way.pop();
            continue;
        };
        if let Some(on_the_way) = known.get(&next) {
            assert!(!on_the_way, "a circle leads back to {next:#?}");
            continue;
        }
        known.insert(next.clone(), true);
        let further = protocol.next_states(&next);
        way.push((next, further));
    }
}

/// What goes wrong without a guard on the shortest way on which anything does.
fn violation_without(guard: Guard) -> String {
    let protocol = Protocol { without: Some(guard) };
    for events in 1..MAX_EVENTS {
        // The search counts worlds, of which there is one more than events, and looks at fewer than it is told.
        let checker = protocol.checker().target_max_depth(events + 2).spawn_bfs().join();
        let failures = properties::all().into_iter().filter(|property| property.expectation.discovery_is_failure());
        let found = failures.map(|property| property.name).find(|name| checker.discovery(name).is_some());
        if let Some(property) = found {
            return format!("{guard:<40} {property}: {events} events");
        }
    }
    panic!("without the rule \"{guard}\" nothing goes wrong")
}

#[test]
fn without_any_one_guard_something_goes_wrong() {
    let found: Vec<String> = Guard::ALL.into_iter().map(violation_without).collect();

    insta::assert_snapshot!(found.join("\n"), @"
    write the intent before the request      what we made is in the journal: 5 events
    write that it is sent before it is       an operation makes one droplet: 11 events
    look for the name before sending again   an operation makes one droplet: 13 events
    wait out the grace before sending again  an operation makes one droplet: 11 events
    count the grace by one's own clock       an operation makes one droplet: 12 events
    never use a name twice                   what we took we made: 7 events
    take over only what bears the tag        what we took we made: 7 events
    delete only what bears the tag           only what is ours is deleted: 12 events
    delete twins                             in the end nothing is billed that nobody knows: 11 events
    spare the one that was taken             what is wanted stays: 11 events
    believe a 404 only once it was shown     what the journal calls gone is gone: 10 events
    delete until 404                         what the journal calls gone is gone: 11 events
    hold the write lock                      an operation makes one droplet: 11 events
    ");
    let (states, guards) = (search_with_all_guards(), Guard::ALL.len());
    // Past the test runner, which keeps what passing tests print.
    writeln!(std::io::stdout(), "model: {states} states with all guards; each of {guards} guards removed is found")
        .unwrap();
}
