//! Tests of the controller against a simulated cloud and load balancer, in virtual time.

mod create;
mod delete;
mod harness;
mod import;
mod interrupted;
mod production;
mod safety;
#[expect(clippy::large_futures, reason = "a test has one at a time")]
mod service;
