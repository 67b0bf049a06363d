//! Tests of the controller against a simulated cloud and load balancer, in virtual time.

mod create;
mod delete;
mod guard;
#[path = "../../../../tests/plugins/guests.rs"]
#[expect(dead_code, reason = "shared with the tests of plugins")]
mod guests;
mod import;
mod interrupted;
mod safety;
#[expect(clippy::large_futures, reason = "a test has one at a time")]
mod service;
mod world;
