//! Compiles the first-party plugins into components and writes the list that `src/lib.rs` includes.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, process};

use doproxy_guest_build::{GuestBuild, Toolchain};

/// The packages, by their `builtin:` names.
const GUESTS: [&str; 11] = [
    "adaptive",
    "cloud-init",
    "file",
    "fixed",
    "hold",
    "nginx-hello",
    "predictive",
    "queueing",
    "schedule",
    "step",
    "target-tracking",
];

/// The SDK crates they share.
const SDKS: [&str; 3] = ["doproxy-user-data-sdk", "doproxy-plugin-sdk", "doproxy-policy-sdk"];

fn main() {
    if let Err(error) = build() {
        eprintln!("failed to build the first-party plugins: {error}");
        process::exit(1);
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let manifest_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo sets CARGO_MANIFEST_DIR")?);
    let workspace = manifest_dir.ancestors().nth(2).ok_or("this crate must be in plugins/ of the workspace")?;

    // The guests use the workspace's profile and dependency versions.
    for watched in ["Cargo.toml", "Cargo.lock", "wit"] {
        println!("cargo::rerun-if-changed={}", workspace.join(watched).display());
    }
    let plugins = workspace.join("plugins");
    let guests = GUESTS.iter().map(|guest| plugins.join("builtin").join(guest));
    let sdks = SDKS.iter().map(|sdk| plugins.join("sdk").join(sdk));
    for package in guests.chain(sdks) {
        for watched in ["Cargo.toml", "src"] {
            println!("cargo::rerun-if-changed={}", package.join(watched).display());
        }
    }

    let target_dir = guests_target_dir(&out_dir);
    let build = GuestBuild { directory: workspace, packages: &GUESTS, profile: "guest", target_dir: &target_dir };
    // A fuzz build calls no plugin, and its toolchain may lack the plugins' target.
    let is_fuzzed = env::var_os("CARGO_CFG_FUZZING").is_some();
    let guests = if is_fuzzed { Vec::new() } else { build.run(&Toolchain::find()?)? };

    let mut list = String::from("/// Every first-party plugin, by name.\npub const ALL: &[Embedded] = &[\n");
    for guest in guests {
        let file = format!("{}.wasm", guest.name);
        fs::write(out_dir.join(&file), &guest.component)?;
        let name = &guest.name;
        writeln!(
            list,
            "    Embedded {{ name: {name:?}, component: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{file}\")) }},"
        )?;
    }
    list.push_str("];\n");
    fs::write(out_dir.join("embedded.rs"), list)?;
    Ok(())
}

/// Returns a directory next to the outer build's, shared by all its profiles; cargo marks the outer one.
fn guests_target_dir(out_dir: &Path) -> PathBuf {
    out_dir.ancestors().find(|path| path.join("CACHEDIR.TAG").is_file()).unwrap_or(out_dir).join("guests")
}
