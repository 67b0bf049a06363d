//! Why there is no component, and what to do.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use doproxy_guest_build::GuestBuildError;

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no project.
    #[error(
        "{} is no plugin project: there is no Cargo.toml, pyproject.toml, package.json or plugin.toml; \
         `doproxy plugin new NAME --lang rust --kind policy` makes one",
        .0.display()
    )]
    NotAProject(PathBuf),
    /// The project does not say enough of itself.
    #[error("{}: {message}", .path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A program is missing.
    #[error("{tool} is not there; get it with:\n  {remedy}")]
    MissingTool {
        /// The program.
        tool: &'static str,
        /// The command that installs it.
        remedy: String,
    },
    /// A program did not do its work.
    #[error("{tool} failed ({status}):\n{output}")]
    ToolFailed {
        /// The program.
        tool: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        output: String,
    },
    /// The Rust build failed.
    #[error(transparent)]
    Rust(#[from] GuestBuildError),
    /// A file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What the toolchain made is no component of the contract.
    #[error("{what}: {reason}")]
    Component {
        /// What was to be done.
        what: &'static str,
        /// Why it cannot be.
        reason: String,
    },
}

impl BuildError {
    /// For a file.
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::File { path, source }
    }
}
