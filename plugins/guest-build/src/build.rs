//! Compiles crates into components.

use std::fs;
use std::path::Path;

use wit_component::ComponentEncoder;

use crate::{GuestBuildError, Toolchain};

/// A built guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// The name of its package.
    pub name: String,
    /// The component.
    pub component: Vec<u8>,
}

/// The guests to build and the build directories.
#[derive(Debug, Clone, Copy)]
pub struct GuestBuild<'a> {
    /// A directory within the workspace or crate of the guests.
    pub directory: &'a Path,
    /// The names of their packages; each must have `crate-type = ["cdylib"]`.
    pub packages: &'a [&'a str],
    /// The cargo profile to build with.
    pub profile: &'a str,
    /// Cargo's target directory. It must not be the outer cargo's own, which is locked while a build script runs.
    pub target_dir: &'a Path,
}

impl GuestBuild<'_> {
    /// Builds all guests and returns them in the order of [`Self::packages`].
    pub fn run(&self, toolchain: &Toolchain) -> Result<Vec<Guest>, GuestBuildError> {
        let mut cargo = toolchain.cargo_build();
        cargo.current_dir(self.directory).arg("--profile").arg(self.profile).arg("--target-dir").arg(self.target_dir);
        for package in self.packages {
            cargo.args(["--package", package]);
        }
        let output =
            cargo.output().map_err(|source| GuestBuildError::Start { program: cargo.get_program().into(), source })?;
        if !output.status.success() {
            return Err(GuestBuildError::Cargo {
                packages: self.packages.iter().map(ToString::to_string).collect(),
                status: output.status,
                toolchain: toolchain.to_string(),
                output: String::from_utf8_lossy(&output.stderr).into_owned(),
            });
        }
        let modules = self.target_dir.join("wasm32-unknown-unknown").join(profile_dir(self.profile));
        self.packages
            .iter()
            .map(|package| {
                let path = modules.join(package.replace('-', "_")).with_extension("wasm");
                let module = fs::read(&path).map_err(|source| GuestBuildError::Module { path, source })?;
                Ok(Guest { name: (*package).to_owned(), component: componentize(package, &module)? })
            })
            .collect()
    }
}

/// Returns cargo's output directory for a profile: those of the built-in profiles have historical names.
fn profile_dir(profile: &str) -> &str {
    match profile {
        "dev" | "test" => "debug",
        "bench" => "release",
        other => other,
    }
}

/// Converts a core module with embedded wit-bindgen metadata into a component. `name` is for errors.
pub fn componentize(name: &str, module: &[u8]) -> Result<Vec<u8>, GuestBuildError> {
    let failed = |reason: String| GuestBuildError::Component { name: name.to_owned(), reason };
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| failed(format!("{error:#}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_build_reports_compiler_output() {
        let Ok(toolchain) = Toolchain::find() else { panic!("run plugins/guest-build/install-toolchain.sh first") };
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("src")).unwrap();
        let manifest = "[package]\nname = \"broken\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n";
        fs::write(directory.path().join("Cargo.toml"), manifest).unwrap();
        fs::write(directory.path().join("src/lib.rs"), "not valid Rust").unwrap();
        let target_dir = directory.path().join("target");
        let build =
            GuestBuild { directory: directory.path(), packages: &["broken"], profile: "dev", target_dir: &target_dir };

        let error = build.run(&toolchain).unwrap_err();

        let message = error.to_string();
        assert!(message.starts_with("failed to build broken"), "{message}");
        assert!(message.contains("src/lib.rs:1"), "{message}");
    }

    #[test]
    fn profile_maps_to_cargos_output_directory() {
        for (profile, directory) in [("dev", "debug"), ("test", "debug"), ("bench", "release"), ("guest", "guest")] {
            assert_eq!(profile_dir(profile), directory);
        }
    }

    #[test]
    fn invalid_module_is_rejected() {
        let error = componentize("nothing", b"\0asm\x01\0\0\0").map(|component| component.len());

        // An empty module produces an empty component; the plugin host rejects that because of its world.
        assert!(error.is_ok(), "{error:?}");
        let error = componentize("garbage", b"not wasm").unwrap_err();
        assert!(error.to_string().starts_with("failed to make a component of garbage: "), "{error}");
    }
}
