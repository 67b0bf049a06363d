//! The documentation as a test: the shell blocks of its pages run as written, its links lead somewhere, and its picture
//! of the crates is the one that Cargo sees.
//!
//! CONTRIBUTING.md, "Shell blocks in the documentation", describes the format of the blocks.

mod layers;
mod links;
mod output;
mod page;
mod pages;
mod session;

use std::path::{Path, PathBuf};

/// Returns the path of a file or folder of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
