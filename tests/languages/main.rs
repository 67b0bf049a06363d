//! Plugins in every language with their real toolchains: the starters of `doproxy plugin new`, the same policy in four
//! languages, and the plugin author's guide, unmodified.
//!
//! `tests/prerequisites.sh plugin-toolchains` installs the toolchains below the target directory.

mod guide;
mod identical;
#[path = "../registry/registry.rs"]
#[expect(dead_code, reason = "shared with another suite")]
mod registry;
mod reproducible;
#[path = "../end_to_end/stage.rs"]
#[expect(dead_code, reason = "shared with another suite")]
mod stage;
mod starters;
mod workshop;
