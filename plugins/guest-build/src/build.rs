//! From crates to components.

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

/// What to build, and where.
#[derive(Debug, Clone, Copy)]
pub struct GuestBuild<'a> {
    /// A directory within the workspace or crate of the guests.
    pub directory: &'a Path,
    /// The names of their packages; each must have `crate-type = ["cdylib"]`.
    pub packages: &'a [&'a str],
    /// The cargo profile to build with.
    pub profile: &'a str,
    /// Where cargo puts its work. Not the outer cargo's own: that is locked while a build script runs.
    pub target_dir: &'a Path,
}

impl GuestBuild<'_> {
    /// Builds all the guests, in the order of their names in [`Self::packages`].
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

/// Where cargo puts what it builds with a profile: the built-in ones are older than their names.
fn profile_dir(profile: &str) -> &str {
    match profile {
        "dev" | "test" => "debug",
        "bench" => "release",
        other => other,
    }
}

/// Makes a component of a core module that wit-bindgen wrote its contract into. `name` is for errors.
pub fn componentize(name: &str, module: &[u8]) -> Result<Vec<u8>, GuestBuildError> {
    let failed = |reason: String| GuestBuildError::Component { name: name.to_owned(), reason };
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(wit_component::ComponentEncoder::encode)
        .map_err(|error| failed(format!("{error:#}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_build_says_what_the_compiler_said() {
        let Ok(toolchain) = Toolchain::find() else { panic!("run plugins/guest-build/install-toolchain.sh first") };
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("src")).unwrap();
        let manifest = "[package]\nname = \"broken\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n";
        fs::write(directory.path().join("Cargo.toml"), manifest).unwrap();
        fs::write(directory.path().join("src/lib.rs"), "this is no Rust").unwrap();
        let target_dir = directory.path().join("target");
        let build =
            GuestBuild { directory: directory.path(), packages: &["broken"], profile: "dev", target_dir: &target_dir };

        let error = build.run(&toolchain).unwrap_err();

        let message = error.to_string();
        assert!(message.starts_with("building broken failed"), "{message}");
        assert!(message.contains("src/lib.rs:1"), "{message}");
    }

    #[test]
    fn what_is_built_with_a_profile_is_looked_for_where_cargo_puts_it() {
        for (profile, directory) in [("dev", "debug"), ("test", "debug"), ("bench", "release"), ("guest", "guest")] {
            assert_eq!(profile_dir(profile), directory);
        }
    }

    #[test]
    fn a_module_without_a_contract_in_it_is_no_component() {
        let error = componentize("nothing", b"\0asm\x01\0\0\0").map(|component| component.len());

        // An empty module makes an empty component: it is the plugin host that refuses it, for its world.
        assert!(error.is_ok(), "{error:?}");
        let error = componentize("garbage", b"not wasm").unwrap_err();
        assert!(error.to_string().starts_with("garbage cannot be made a component: "), "{error}");
    }
}
