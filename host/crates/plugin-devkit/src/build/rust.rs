//! Rust toolchain: cargo with the target `wasm32-unknown-unknown`, which imports no WASI.

use std::env;
use std::path::PathBuf;

use doproxy_guest_build::{GuestBuild, Toolchain};

use crate::build::tool::Tool;
use crate::build::{BuildError, Project};

pub(super) fn tool(project: &Project) -> Result<Tool, BuildError> {
    let toolchain = Toolchain::find()?;
    let version = toolchain.to_string();
    let (project, name) = (project.clone(), project.metadata.name.clone());
    Ok(Tool::new(version, true, move || {
        let build = GuestBuild {
            directory: &project.directory,
            packages: &[&name],
            profile: "release",
            target_dir: &target_dir(&project),
        };
        let mut guests = build.run(&toolchain)?;
        Ok(guests.pop().map(|guest| guest.component).unwrap_or_default())
    }))
}

/// Returns the target directory that cargo itself would use.
fn target_dir(project: &Project) -> PathBuf {
    let own = project.directory.join("target");
    let own = std::path::absolute(&own).unwrap_or(own);
    env::var_os("CARGO_TARGET_DIR").map_or(own, PathBuf::from)
}
