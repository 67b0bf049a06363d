//! Tools for plugin authors: scaffolding, builds, fixtures and property tests.

mod build;
mod project;
pub mod scaffold;
pub mod test;

pub use build::built::{Built, build};
pub use build::error::BuildError;
pub use project::{Language, Project};
pub use test::expectation::{Actual, CallErrorKind, OutcomeKind};
pub use test::fixture::{FixtureFile, RequestFixture, to_yaml};
pub use test::junit::Case;
pub use test::observation_builder::ObservationFixture;
pub use test::runner::{FixtureRun, Subject, TickRun, run};
pub use test::search::{PropertyReport, Search, observations};
