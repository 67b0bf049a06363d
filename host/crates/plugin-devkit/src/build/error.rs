//! Build errors, with remedies.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use doproxy_guest_build::GuestBuildError;

/// The reason why a build failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The directory is not a plugin project.
    #[error(
        "{} is not a plugin project: no Cargo.toml, pyproject.toml, package.json or plugin.toml found; \
         create one with `doproxy plugin new NAME --lang rust --kind policy`",
        .0.display()
    )]
    NotAProject(PathBuf),
    /// The manifest is incomplete or invalid.
    #[error("{}: {message}", .path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// The problem.
        message: String,
    },
    /// A required program is missing.
    #[error("{tool} not found; install it with:\n  {hint}")]
    MissingTool {
        /// The program.
        tool: &'static str,
        /// The installation command.
        hint: String,
    },
    /// A program failed.
    #[error("{tool} failed ({status}):\n{output}")]
    ToolFailed {
        /// The program.
        tool: String,
        /// The exit status.
        status: ExitStatus,
        /// The program's output.
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
        /// The cause.
        source: io::Error,
    },
    /// The toolchain's output cannot be converted to a component of the contract.
    #[error("{what}: {reason}")]
    Component {
        /// The step that failed.
        what: &'static str,
        /// The cause.
        reason: String,
    },
}

impl BuildError {
    /// Returns a converter from I/O errors on `path`.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::File { path, source }
    }
}
