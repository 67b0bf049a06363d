//! Creates new projects: a starter of `templates/plugin`, a copy of the contract, and bindings for C.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use doproxy_core::domain::PluginKind as Kind;

use crate::build::Language;

/// The reason why a project cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// The name is invalid.
    #[error("{0:?} is not a valid plugin name; start with a letter and use 1 to 64 of a-z, 0-9 and -")]
    Name(String),
    /// The target path already exists.
    #[error("{} already exists; nothing was written", .0.display())]
    Exists(PathBuf),
    /// A file cannot be written.
    #[error("failed to write {}: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// A file of a starter: its path in the project, and its content.
type File = (&'static str, &'static str);

macro_rules! files {
    ($($path:literal from $source:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../templates/plugin/", $source)))),+]
    };
}

macro_rules! wit {
    ($($file:literal),+) => {
        &[$((concat!("wit/", $file), include_str!(concat!("../../../../wit/doproxy-plugin@0.1.0/", $file)))),+]
    };
}

/// Bindings for C, generated from the contract by the build script.
macro_rules! bindings {
    ($world:literal) => {
        &[
            ("bindings/component_type.c", bindings!($world, "_component_type.c")),
            (concat!("bindings/", $world, ".c"), bindings!($world, ".c")),
            (concat!("bindings/", $world, ".h"), bindings!($world, ".h")),
        ]
    };
    ($world:literal, $rest:literal) => {
        include_str!(concat!(env!("OUT_DIR"), "/bindings/", $world, $rest))
    };
}

/// The contract.
const WIT: &[File] = wit!["log.wit", "policy.wit", "types.wit", "user-data.wit", "worlds.wit"];

/// Files common to all projects.
const COMMON: &[File] = files![".gitignore" from "gitignore"];

const POLICY_FIXTURES: &[File] = files![
    "fixtures/grows.yaml" from "fixtures-policy/grows.yaml",
    "fixtures/holds_when_blind.yaml" from "fixtures-policy/holds_when_blind.yaml",
    "fixtures/shrinks_patiently.yaml" from "fixtures-policy/shrinks_patiently.yaml",
];

const USER_DATA_FIXTURES: &[File] = files![
    "fixtures/installs_nginx.yaml" from "fixtures-user-data/installs_nginx.yaml",
    "fixtures/refuses_a_package_twice.yaml" from "fixtures-user-data/refuses_a_package_twice.yaml",
];

/// Returns the files specific to a language and kind.
const fn starter(language: Language, kind: Kind) -> &'static [File] {
    match (language, kind) {
        (Language::Rust, Kind::ScalingPolicy) => files![
            "Cargo.toml" from "rust-policy/Cargo.toml",
            "Cargo.lock" from "rust-shared/Cargo.lock",
            "README.md" from "rust-policy/README.md",
            "src/lib.rs" from "rust-policy/src/lib.rs",
            "src/schema.json" from "rust-policy/src/schema.json",
        ],
        (Language::Rust, Kind::UserDataGenerator) => files![
            "Cargo.toml" from "rust-user-data/Cargo.toml",
            "Cargo.lock" from "rust-shared/Cargo.lock",
            "README.md" from "rust-user-data/README.md",
            "src/lib.rs" from "rust-user-data/src/lib.rs",
            "src/schema.json" from "rust-user-data/src/schema.json",
        ],
        (Language::Python, Kind::ScalingPolicy) => files![
            "README.md" from "python-policy/README.md",
            "policy.py" from "python-policy/policy.py",
            "pyproject.toml" from "python-policy/pyproject.toml",
            "requirements.txt" from "python-shared/requirements.txt",
        ],
        (Language::Python, Kind::UserDataGenerator) => files![
            "README.md" from "python-user-data/README.md",
            "pyproject.toml" from "python-user-data/pyproject.toml",
            "requirements.txt" from "python-shared/requirements.txt",
            "user_data.py" from "python-user-data/user_data.py",
        ],
        (Language::JavaScript, Kind::ScalingPolicy) => files![
            "README.md" from "js-policy/README.md",
            "package-lock.json" from "js-shared/package-lock.json",
            "package.json" from "js-policy/package.json",
            "policy.js" from "js-policy/policy.js",
        ],
        (Language::JavaScript, Kind::UserDataGenerator) => files![
            "README.md" from "js-user-data/README.md",
            "package-lock.json" from "js-shared/package-lock.json",
            "package.json" from "js-user-data/package.json",
            "user-data.js" from "js-user-data/user-data.js",
        ],
        (Language::C, Kind::ScalingPolicy) => files![
            "README.md" from "c-policy/README.md",
            "json.c" from "c-shared/json.c",
            "json.h" from "c-shared/json.h",
            "plugin.toml" from "c-policy/plugin.toml",
            "policy.c" from "c-policy/policy.c",
        ],
        (Language::C, Kind::UserDataGenerator) => files![
            "README.md" from "c-user-data/README.md",
            "json.c" from "c-shared/json.c",
            "json.h" from "c-shared/json.h",
            "plugin.toml" from "c-user-data/plugin.toml",
            "user_data.c" from "c-user-data/user_data.c",
        ],
    }
}

/// Returns the bindings generated from the contract for a language and kind.
const fn generated_bindings(language: Language, kind: Kind) -> &'static [File] {
    match (language, kind) {
        (Language::C, Kind::ScalingPolicy) => bindings!("scaling_policy"),
        (Language::C, Kind::UserDataGenerator) => bindings!("user_data_generator"),
        (Language::Rust | Language::Python | Language::JavaScript, _) => &[],
    }
}

/// Writes a new project into `directory`, which must not exist. Returns the written files, sorted by name.
pub fn scaffold(directory: &Path, name: &str, language: Language, kind: Kind) -> Result<Vec<PathBuf>, ScaffoldError> {
    if !is_name(name) {
        return Err(ScaffoldError::Name(name.to_owned()));
    }
    if directory.symlink_metadata().is_ok() {
        return Err(ScaffoldError::Exists(directory.to_owned()));
    }
    let fixtures = match kind {
        Kind::ScalingPolicy => POLICY_FIXTURES,
        Kind::UserDataGenerator => USER_DATA_FIXTURES,
    };
    let mut written = Vec::new();
    for (path, text) in
        [starter(language, kind), generated_bindings(language, kind), fixtures, COMMON, WIT].into_iter().flatten()
    {
        write(&directory.join(path), &text.replace("{{name}}", name))?;
        written.push(PathBuf::from(path));
    }
    written.sort();
    Ok(written)
}

fn write(path: &Path, text: &str) -> Result<(), ScaffoldError> {
    let failed = |source| ScaffoldError::Write { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = fs::File::create_new(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

/// Validates a name by the rules of the contract and of every language's package manager.
fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.ends_with(|last: char| last != '-')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

#[cfg(test)]
mod tests;
