//! Plugins in every language with their real toolchains: the starters of `doproxy plugin new`, the same policy in four
//! languages, and the plugin author's guide, unmodified.
//!
//! `tests/prerequisites.sh plugin-toolchains` installs the toolchains below the target directory.

mod guide;
mod identical;
mod reproducible;
mod starters;
mod toolchains;
