//! Toolchain programs: locating and running them.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::build::BuildError;

/// Locates a program in the project's own virtual environment, in the active one, or on the path.
pub(super) fn in_environment(directory: &Path, program: &str) -> Option<PathBuf> {
    let own = directory.join(".venv/bin");
    let active = env::var_os("VIRTUAL_ENV").map(|folder| PathBuf::from(folder).join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    [Some(own), active].into_iter().flatten().chain(env::split_paths(&path)).find_map(|folder| {
        let candidate = folder.join(program);
        candidate.is_file().then(|| std::path::absolute(&candidate).unwrap_or(candidate))
    })
}

/// Creates a command whose environment lacks variables that a build must not see: tokens and other secrets of the user.
pub(super) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_none_or(is_secret)) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Reports whether a variable may contain a secret.
fn is_secret(name: &str) -> bool {
    const ENDINGS: [&str; 5] = ["TOKEN", "SECRET", "PASSWORD", "PASSPHRASE", "_KEY"];
    let name = name.to_ascii_uppercase();
    ENDINGS.iter().any(|ending| name.ends_with(ending)) || name.starts_with("DIGITALOCEAN_")
}

/// Runs a command to completion, and returns its output.
pub(super) fn run(tool: &str, command: &mut Command) -> Result<String, BuildError> {
    let output = command.output().map_err(BuildError::file(PathBuf::from(command.get_program())))?;
    let message = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(message(&output.stdout));
    }
    let both = [message(&output.stdout), message(&output.stderr)];
    Err(BuildError::ToolFailed {
        tool: tool.to_owned(),
        status: output.status,
        output: both.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n"),
    })
}

#[cfg(test)]
mod tests;
