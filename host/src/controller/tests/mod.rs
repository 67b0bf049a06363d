//! The controller in a simulated world, in virtual time.

mod create;
mod delete;
mod guard;
#[path = "../../../../tests/plugins/guests.rs"]
#[expect(dead_code, reason = "shared with the tests of plugins")]
mod guests;
mod import;
mod interrupted;
mod safety;
mod service;
mod world;
