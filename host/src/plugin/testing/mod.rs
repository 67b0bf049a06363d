//! Testing plugins: fixtures that say what is to come out, and properties that hold for whatever goes in.
//!
//! The rooms: `values` are the small things that a person writes (times, states), `fixture` is a whole file,
//! `situation` what stands under `observation:` and how a real observation is made of it, `expect` what is to come out;
//! `run` goes through fixtures and `bless` writes into them what came out. `chance` and `generate` make situations
//! without end, `properties` is what must hold in each, `shrink` makes a failing one small, `search` puts these
//! together. `junit` is a report for machines.
//!
//! Everything runs the real component in the real host. What is printed is for `cli` to say.

mod bless;
mod expectation;
mod fixture;
mod generator;
pub mod junit;
mod observation_builder;
mod properties;
mod rng;
mod runner;
mod search;
mod shrink;
#[cfg(test)]
mod tests;
mod values;

pub use bless::bless;
pub use expectation::{Actual, CallErrorKind, Expectation, OutcomeKind};
pub use fixture::{Fixture, FixtureError, FixtureFile, RequestFixture, TickFixture};
pub use observation_builder::{DropletFixture, ObservationFixture};
pub use properties::{Property, PropertyOutcome};
pub use runner::{FixtureRun, Subject, TickRun, run};
pub use search::{Counterexample, PropertyReport, Search, observations, search};
