//! Detects a toolchain that builds for `wasm32-unknown-unknown`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fmt};

use crate::GuestBuildError;

const TARGET: &str = "wasm32-unknown-unknown";

/// 128 KiB of stack instead of 1 MiB: a guest gets fresh memory for every call, and the host clears all of it.
const STACK_FLAG: &str = "-Clink-arg=-zstack-size=131072";
const RUSTFLAGS_VAR: &str = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS";

/// Installation paths of Debian's packages `rustc-web`, `cargo-web` and `rust-web-src`.
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_LIBRARY: &str = "/usr/lib/rustlib/src/rust/library";

/// A toolchain that builds for `wasm32-unknown-unknown`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Toolchain {
    /// The default toolchain, with the target's standard library installed.
    Installed {
        /// Its cargo.
        cargo: PathBuf,
        /// Its compiler: the one that was found to have the target.
        rustc: PathBuf,
    },
    /// Debian's toolchain, which ships only the source of the target's standard library: it is built along with the
    /// guests.
    Debian {
        /// A linker for WebAssembly as recent as the compiler.
        linker: PathBuf,
    },
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Installed { cargo, .. } => write!(f, "{}", cargo.display()),
            Self::Debian { linker } => write!(f, "{DEBIAN_CARGO} -Zbuild-std, linked by {}", linker.display()),
        }
    }
}

impl Toolchain {
    /// Finds a toolchain: the default one with the target installed, otherwise Debian's.
    ///
    /// The default toolchain is the one in `CARGO` and `RUSTC` (cargo sets them for build scripts), otherwise the one
    /// on the path.
    pub fn find() -> Result<Self, GuestBuildError> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
        let mut lacking = Vec::new();

        let usual = Sysroot::query(Path::new(&rustc));
        match &usual {
            Some(sysroot) if sysroot.library_dir(TARGET).is_dir() => {
                return Ok(Self::Installed { cargo: cargo.into(), rustc: rustc.into() });
            }
            Some(sysroot) => lacking.push(format!("{} does not exist", sysroot.library_dir(TARGET).display())),
            None => lacking.push(format!("{} did not print its sysroot", Path::new(&rustc).display())),
        }

        let before = lacking.len();
        lacking.extend(
            [DEBIAN_CARGO, DEBIAN_RUSTC, DEBIAN_LIBRARY]
                .into_iter()
                .filter(|path| !Path::new(path).exists())
                .map(|path| format!("{path} does not exist")),
        );
        match linker(usual.as_ref()) {
            Some(linker) if lacking.len() == before => return Ok(Self::Debian { linker }),
            Some(_) => {}
            None => lacking.push("neither rust-lld nor wasm-ld was found".to_owned()),
        }
        Err(GuestBuildError::NoToolchain { lacking })
    }

    /// Returns a `cargo build` command for the target, in an environment without the caller's own flags.
    pub(crate) fn cargo_build(&self) -> Command {
        let mut command = match self {
            Self::Installed { cargo, .. } => Command::new(cargo),
            Self::Debian { .. } => Command::new(DEBIAN_CARGO),
        };
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_outer_build_variable)) {
            command.env_remove(name);
        }
        command.args(["build", "--target", TARGET]);
        match self {
            // The outer build's `RUSTC` was removed with the other variables, and the path may contain another
            // compiler.
            Self::Installed { rustc, .. } => {
                command.env("RUSTC", rustc).env(RUSTFLAGS_VAR, format!("{STACK_FLAG}{}", remap_flag()))
            }
            Self::Debian { linker } => command
                .arg("-Zbuild-std=std,panic_abort")
                // Debian's compiler is a stable release, but only nightly may build std.
                .env("RUSTC_BOOTSTRAP", "1")
                // Otherwise cargo would use a rustc from the path, which may be another one.
                .env("RUSTC", DEBIAN_RUSTC)
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                .env(RUSTFLAGS_VAR, format!("-Clinker-flavor=wasm-ld {STACK_FLAG}{}", remap_flag())),
        };
        command
    }
}

/// Returns the flag that removes the path of cargo's registry from the output, so that the same crate produces the same
/// bytes on every machine. Flags are separated by spaces, so a path that contains a space is not remapped.
fn remap_flag() -> String {
    let home = env::var_os("CARGO_HOME").or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cargo").into()));
    match home.as_ref().and_then(|home| home.to_str()) {
        Some(home) if !home.contains(char::is_whitespace) => format!(" --remap-path-prefix={home}=/cargo"),
        _ => String::new(),
    }
}

/// Reports whether an environment variable belongs to the outer build. Variables for cargo's registry and network
/// access are kept.
fn is_outer_build_variable(name: &str) -> bool {
    const KEPT: [&str; 4] = ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR"];
    const PREFIXES: [&str; 4] = ["CARGO", "RUSTC", "RUSTDOC", "DEP_"];
    const NAMES: [&str; 8] = ["RUSTFLAGS", "TARGET", "HOST", "OUT_DIR", "PROFILE", "OPT_LEVEL", "DEBUG", "NUM_JOBS"];
    // A build needs no tokens, and the guests' dependencies run code during it.
    name.ends_with("_TOKEN")
        || NAMES.contains(&name)
        || (PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && !KEPT.iter().any(|kept| name.starts_with(kept)))
}

/// A compiler's sysroot, the directory of its libraries.
struct Sysroot(PathBuf);

impl Sysroot {
    fn query(rustc: &Path) -> Option<Self> {
        let output = Command::new(rustc).args(["--print", "sysroot"]).output().ok()?;
        let path = String::from_utf8(output.stdout).ok()?;
        (output.status.success() && !path.trim().is_empty()).then(|| Self(PathBuf::from(path.trim())))
    }

    fn library_dir(&self, target: &str) -> PathBuf {
        self.0.join("lib/rustlib").join(target).join("lib")
    }

    /// Returns the toolchain's `rust-lld` for the host machine.
    fn rust_lld(&self) -> Option<PathBuf> {
        let mut hosts: Vec<PathBuf> =
            self.0.join("lib/rustlib").read_dir().ok()?.flatten().map(|entry| entry.path()).collect();
        hosts.sort();
        hosts.into_iter().map(|host| host.join("bin/rust-lld")).find(|path| path.is_file())
    }
}

/// Finds a linker for the output of Debian's compiler. The default toolchain's `rust-lld` is as recent; a
/// distribution's own `lld` may be older and is the last resort.
fn linker(usual: Option<&Sysroot>) -> Option<PathBuf> {
    let debian = Sysroot::query(Path::new(DEBIAN_RUSTC));
    let rust_lld = usual.and_then(Sysroot::rust_lld).or_else(|| debian.as_ref().and_then(Sysroot::rust_lld));
    rust_lld.or_else(|| {
        let directories = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&directories).map(|directory| directory.join("wasm-ld")).find(|path| path.is_file())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outer_build_variables_are_removed() {
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "RUSTC", "RUSTC_WRAPPER", "OUT_DIR"] {
            assert!(is_outer_build_variable(name), "{name}");
        }
        for name in ["PATH", "HOME", "CARGO_HOME", "CARGO_NET_OFFLINE", "RUSTUP_TOOLCHAIN", "HTTPS_PROXY"] {
            assert!(!is_outer_build_variable(name), "{name}");
        }
    }

    #[test]
    fn guests_use_the_compiler_with_the_target() {
        let toolchain = Toolchain::Installed { cargo: "/opt/cargo".into(), rustc: "/opt/rustc".into() };

        let command = toolchain.cargo_build();

        let rustc = command.get_envs().find(|(name, _)| *name == "RUSTC").and_then(|(_, value)| value);
        assert_eq!(rustc, Some("/opt/rustc".as_ref()));
    }

    #[test]
    fn missing_toolchain_error_includes_remedy() {
        let error = GuestBuildError::NoToolchain { lacking: vec!["/usr/bin/cargo does not exist".to_owned()] };

        let message = error.to_string();

        assert!(message.contains("/usr/bin/cargo does not exist"), "{message}");
        assert!(message.contains("install-toolchain.sh"), "{message}");
    }
}
