//! The pure core: domain types, the seams to the outside, and the tick as one pipeline of pure functions.
//!
//! No I/O, no async runtime, no WebAssembly. `domain` has the plain data, `seams` the traits that adapters implement, `pipeline`
//! the way from an observation to a plan.

pub mod domain;
pub mod pipeline;
pub mod seams;
