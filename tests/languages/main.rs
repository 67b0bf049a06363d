//! Plugins in every language, with their real toolchains: the starters of `doproxy plugin new`, the same policy four
//! times, and the author's guide as it is written.
//!
//! `tests/prerequisites.sh plugin-toolchains` installs the toolchains below the target directory.

mod guide;
mod identical;
#[path = "../registry/registry.rs"]
#[expect(dead_code, reason = "it is made for the other suite")]
mod registry;
mod reproducible;
#[path = "../end_to_end/stage.rs"]
#[expect(dead_code, reason = "it is made for the other suite")]
mod stage;
mod starters;
mod workshop;
