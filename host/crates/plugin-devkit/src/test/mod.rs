//! Plugin tests: fixtures with expected results, and properties that hold for any input.
//!
//! Modules: `values` contains the small values in fixtures (times, states), `fixture` the whole file,
//! `observation_builder` the content of `observation:` and its conversion to a real observation, `expectation` the
//! expected results; `runner` runs fixtures and `bless` updates their expectations. `rng` and `generator` produce
//! random observations, `properties` must hold for each of them, `shrink` minimizes a failing one, and `search`
//! combines these. `junit` writes a machine-readable report.
//!
//! All tests run the real component in the real host. Console output is the responsibility of the CLI.

pub mod bless;
pub(crate) mod expectation;
pub(crate) mod fixture;
mod generator;
pub mod junit;
pub(crate) mod observation_builder;
mod properties;
mod rng;
pub(crate) mod runner;
pub mod search;
mod shrink;
#[cfg(test)]
mod tests;
mod values;

pub use crate::test::bless::bless;
pub use crate::test::expectation::{Actual, CallErrorKind, Expectation, OutcomeKind};
pub use crate::test::fixture::{Fixture, FixtureError, FixtureFile, RequestFixture, TickFixture};
pub use crate::test::observation_builder::{DropletFixture, ObservationFixture};
pub use crate::test::properties::{Property, PropertyOutcome};
pub use crate::test::runner::{FixtureRun, Subject, TickRun, run};
pub use crate::test::search::{Counterexample, PropertyReport, Search, observations, search};
