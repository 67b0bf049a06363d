//! Plugins in every language with their real toolchains: the starters of `doproxy plugin new`, the same policy in four
//! languages, and an example with more rules.
//!
//! `tests/prerequisites.sh plugin-toolchains` installs the toolchains below the target directory.

mod examples;
mod identical;
mod reproducible;
mod starters;
mod toolchains;
