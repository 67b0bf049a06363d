//! What can go wrong, each with its remedy.

use std::io;
use std::path::PathBuf;

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum GuestBuildError {
    /// The machine can build no WebAssembly.
    #[error(
        "no Rust toolchain here can build for wasm32-unknown-unknown{}\n\
         install one with: plugins/guest-build/install-toolchain.sh\n\
         or by hand with:  rustup target add wasm32-unknown-unknown\n\
         or on Debian:     apt-get install rustc-web cargo-web rust-web-src lld",
        if .lacking.is_empty() { String::new() } else { format!(":\n  - {}", .lacking.join("\n  - ")) }
    )]
    NoToolchain {
        /// What each way to one lacks.
        lacking: Vec<String>,
    },
    /// A program could not be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Cargo refused.
    #[error("building {} failed ({status}) with {toolchain}:\n{output}", .packages.join(", "))]
    Cargo {
        /// What was to be built.
        packages: Vec<String>,
        /// How cargo ended.
        status: std::process::ExitStatus,
        /// Which toolchain it was.
        toolchain: String,
        /// What it said.
        output: String,
    },
    /// Cargo was content, and yet the module is not where it should be.
    #[error("cannot read {path}: {source}; does the crate have crate-type = [\"cdylib\"]?")]
    Module {
        /// Where the module should be.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The module is no guest of the contract.
    #[error("{name} cannot be made a component: {reason}")]
    Component {
        /// The guest.
        name: String,
        /// What wit-component says.
        reason: String,
    },
}
