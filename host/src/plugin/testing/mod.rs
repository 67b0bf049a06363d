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
mod chance;
mod expect;
mod fixture;
mod generate;
pub mod junit;
mod properties;
mod run;
mod search;
mod shrink;
mod situation;
#[cfg(test)]
mod tests;
mod values;

pub use bless::bless;
pub use expect::{Came, ErrorWord, Expect, OutcomeWord};
pub use fixture::{Fixture, FixtureError, FixtureFile, RequestText, TickText};
pub use properties::{Property, Verdict};
pub use run::{Ran, Subject, TickRan, run};
pub use search::{Found, PropertyReport, Search, search, situations};
pub use situation::{DropletText, Situation};
