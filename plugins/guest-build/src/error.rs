//! The errors of a build, each with its remedy.

use std::io;
use std::path::PathBuf;

/// An error of a guest build.
#[derive(Debug, thiserror::Error)]
pub enum GuestBuildError {
    /// The machine has no toolchain for WebAssembly.
    #[error(
        "no Rust toolchain for wasm32-unknown-unknown found{}\n\
         install one with: plugins/guest-build/install-toolchain.sh\n\
         or manually with: rustup target add wasm32-unknown-unknown\n\
         or on Debian:     apt-get install rustc-web cargo-web rust-web-src lld",
        if .lacking.is_empty() { String::new() } else { format!(":\n  - {}", .lacking.join("\n  - ")) }
    )]
    NoToolchain {
        /// The missing parts of each candidate toolchain.
        lacking: Vec<String>,
    },
    /// A program could not be started.
    #[error("failed to start {program}: {source}")]
    Start {
        /// The program.
        program: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Cargo failed.
    #[error("failed to build {} ({status}) with {toolchain}:\n{output}", .packages.join(", "))]
    Cargo {
        /// The packages to build.
        packages: Vec<String>,
        /// Cargo's exit status.
        status: std::process::ExitStatus,
        /// The toolchain used.
        toolchain: String,
        /// Cargo's output.
        output: String,
    },
    /// Cargo succeeded, but the module is missing or unreadable.
    #[error("failed to read {path}: {source}; make sure that the crate has crate-type = [\"cdylib\"]")]
    Module {
        /// The expected path of the module.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The module does not implement the contract.
    #[error("failed to make a component of {name}: {reason}")]
    Component {
        /// The guest.
        name: String,
        /// The error of wit-component.
        reason: String,
    },
}
