//! Project manifests: language, kind of plugin, and authors.

use std::fs;
use std::path::{Path, PathBuf};

use doproxy_core::domain::PluginKind;
use serde::Deserialize;
use strum::VariantArray as _;

use crate::build::BuildError;

/// The languages with a starter, in the order in which their manifests are looked up. Components can be written in
/// other languages too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display, strum::VariantArray)]
pub enum Language {
    /// `Cargo.toml`.
    Rust,
    /// `pyproject.toml`.
    Python,
    /// `package.json`.
    JavaScript,
    /// `plugin.toml`.
    C,
}

impl Language {
    /// Returns the file name of the manifest for this language.
    pub const fn manifest(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::Python => "pyproject.toml",
            Self::JavaScript => "package.json",
            Self::C => "plugin.toml",
        }
    }
}

/// The metadata to embed in the component.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackageMetadata {
    /// The name.
    pub name: String,
    /// The version.
    pub version: String,
    /// A description.
    pub description: Option<String>,
    /// The authors.
    pub authors: Vec<String>,
    /// The license, as an SPDX expression.
    pub license: Option<String>,
}

/// A plugin project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The project directory.
    pub directory: PathBuf,
    /// The language.
    pub language: Language,
    /// The kind of plugin.
    pub kind: PluginKind,
    /// The metadata from the manifest.
    pub metadata: PackageMetadata,
    /// The entry point: Python's module or JavaScript's file; empty for other languages.
    pub(super) entry_point: String,
}

impl Project {
    /// Reads the manifest in a directory.
    pub fn read(directory: &Path) -> Result<Self, BuildError> {
        let language =
            Language::VARIANTS.iter().copied().find(|language| directory.join(language.manifest()).is_file());
        let language = language.ok_or_else(|| BuildError::NotAProject(directory.to_owned()))?;
        let path = directory.join(language.manifest());
        let text = fs::read_to_string(&path).map_err(BuildError::file(&path))?;
        let invalid = |message: String| BuildError::Manifest { path: path.clone(), message };
        let read = match language {
            Language::Rust => read_cargo(&text, directory),
            Language::Python => read_pyproject(&text),
            Language::JavaScript => read_package_json(&text),
            Language::C => read_plugin_toml(&text),
        };
        let (about, DoproxyTable { kind, module }, main) = read.map_err(invalid)?;
        let kind = match kind.as_deref() {
            Some("policy") => PluginKind::ScalingPolicy,
            Some("user-data") => PluginKind::UserDataGenerator,
            Some(other) => return Err(invalid(format!("unknown kind {other:?}; use policy or user-data"))),
            None => {
                return Err(invalid(format!("missing kind of plugin; add {}", kind_hint(language))));
            }
        };
        if !is_file_name(&about.name) {
            return Err(invalid(format!("the name {:?} may contain only letters, digits, `-` and `_`", about.name)));
        }
        let entry = module.or(main).unwrap_or_default();
        Ok(Self { directory: directory.to_owned(), language, kind, metadata: about, entry_point: entry })
    }

    /// Returns the output path of the component.
    pub fn component(&self) -> PathBuf {
        self.work_folder().join(format!("{}.wasm", self.metadata.name))
    }

    /// Returns the directory for all build outputs.
    pub(super) fn work_folder(&self) -> PathBuf {
        self.directory.join("build")
    }

    /// Returns the directory of the project's copy of the contract.
    pub(super) fn wit(&self) -> PathBuf {
        self.directory.join("wit")
    }
}

/// Returns the manifest entry that specifies the kind of plugin.
const fn kind_hint(language: Language) -> &'static str {
    match language {
        Language::Rust => "[package.metadata.doproxy] with kind = \"policy\"",
        Language::Python => "[tool.doproxy] with kind = \"policy\"",
        Language::JavaScript => "\"doproxy\": { \"kind\": \"policy\" }",
        Language::C => "kind = \"policy\" to [plugin]",
    }
}

/// Reports whether a name can be used as a file name.
fn is_file_name(name: &str) -> bool {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (1..=64).contains(&name.len()) && name.chars().all(is_fit)
}

/// The table of settings specific to doproxy.
#[derive(Debug, Default, Deserialize)]
struct DoproxyTable {
    kind: Option<String>,
    module: Option<String>,
}

type ManifestFields = Result<(PackageMetadata, DoproxyTable, Option<String>), String>;

fn read_cargo(text: &str, directory: &Path) -> ManifestFields {
    #[derive(Deserialize)]
    struct Manifest {
        package: Package,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: Option<String>,
        description: Option<String>,
        #[serde(default)]
        authors: Vec<String>,
        license: Option<String>,
        #[serde(default)]
        metadata: Metadata,
    }
    #[derive(Default, Deserialize)]
    struct Metadata {
        #[serde(default)]
        doproxy: DoproxyTable,
    }
    let mut table: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
    inherit_workspace_fields(&mut table, directory)?;
    let manifest: Manifest = table.try_into().map_err(|error: toml::de::Error| error.to_string())?;
    let Package { name, version, description, authors, license, metadata } = manifest.package;
    let about = PackageMetadata { name, version: version.unwrap_or_default(), description, authors, license };
    Ok((about, metadata.doproxy, None))
}

/// Replaces each `FIELD.workspace = true` of `[package]` with the value from the workspace, as cargo does.
fn inherit_workspace_fields(manifest: &mut toml::Table, directory: &Path) -> Result<(), String> {
    let is_inherited = |value: &toml::Value| value.get("workspace").and_then(toml::Value::as_bool) == Some(true);
    let Some(package) = manifest.get_mut("package").and_then(toml::Value::as_table_mut) else { return Ok(()) };
    if !package.values().any(is_inherited) {
        return Ok(());
    }
    let shared = workspace_package(directory);
    for (field, value) in package.iter_mut().filter(|(_, value)| is_inherited(value)) {
        let found = shared.as_ref().and_then(|shared| shared.get(field));
        *value = found.cloned().ok_or_else(|| {
            format!(
                "{field}.workspace is true, but no Cargo.toml in a parent directory sets {field} in [workspace.package]"
            )
        })?;
    }
    Ok(())
}

/// Returns `[workspace.package]` of the workspace that contains a directory.
fn workspace_package(directory: &Path) -> Option<toml::Table> {
    let directory = directory.canonicalize().ok()?;
    directory.ancestors().find_map(|above| {
        let manifest: toml::Table = toml::from_str(&fs::read_to_string(above.join("Cargo.toml")).ok()?).ok()?;
        let workspace = manifest.get("workspace")?;
        Some(workspace.get("package").and_then(toml::Value::as_table).cloned().unwrap_or_default())
    })
}

fn read_pyproject(text: &str) -> ManifestFields {
    #[derive(Deserialize)]
    struct Manifest {
        project: Package,
        #[serde(default)]
        tool: Tool,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: Option<String>,
        description: Option<String>,
        #[serde(default)]
        authors: Vec<Author>,
        // A string or, in older projects, a table.
        license: Option<toml::Value>,
    }
    #[derive(Deserialize)]
    struct Author {
        name: Option<String>,
        email: Option<String>,
    }
    #[derive(Default, Deserialize)]
    struct Tool {
        #[serde(default)]
        doproxy: DoproxyTable,
    }
    let Manifest { project, tool } = toml::from_str::<Manifest>(text).map_err(|error| error.to_string())?;
    if tool.doproxy.module.is_none() {
        return Err("missing entry point; add module = \"NAME\" to [tool.doproxy]".to_owned());
    }
    let author = |author: Author| match (author.name, author.email) {
        (Some(name), Some(email)) => format!("{name} <{email}>"),
        (name, email) => name.or(email).unwrap_or_default(),
    };
    let license = project.license.and_then(|license| {
        license.as_str().or_else(|| license.get("text").and_then(toml::Value::as_str)).map(ToOwned::to_owned)
    });
    let about = PackageMetadata {
        name: project.name,
        version: project.version.unwrap_or_default(),
        description: project.description,
        authors: project.authors.into_iter().map(author).collect(),
        license,
    };
    Ok((about, tool.doproxy, None))
}

fn read_package_json(text: &str) -> ManifestFields {
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: Option<String>,
        description: Option<String>,
        // A string or an object.
        author: Option<serde_json::Value>,
        license: Option<String>,
        main: Option<String>,
        #[serde(default)]
        doproxy: DoproxyTable,
    }
    let Package { name, version, description, author, license, main, doproxy } =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    if main.is_none() {
        return Err("missing entry point; add \"main\": \"FILE.js\"".to_owned());
    }
    let author = author.and_then(|author| {
        author.as_str().or_else(|| author.get("name").and_then(serde_json::Value::as_str)).map(ToOwned::to_owned)
    });
    let about = PackageMetadata {
        // Strip the npm scope.
        name: name.rsplit('/').next().unwrap_or_default().to_owned(),
        version: version.unwrap_or_default(),
        description,
        authors: author.into_iter().collect(),
        license,
    };
    Ok((about, doproxy, main))
}

fn read_plugin_toml(text: &str) -> ManifestFields {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Manifest {
        plugin: Plugin,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Plugin {
        name: String,
        version: String,
        description: Option<String>,
        #[serde(default)]
        authors: Vec<String>,
        license: Option<String>,
        kind: Option<String>,
    }
    let Plugin { name, version, description, authors, license, kind } =
        toml::from_str::<Manifest>(text).map_err(|error| error.to_string())?.plugin;
    Ok((PackageMetadata { name, version, description, authors, license }, DoproxyTable { kind, module: None }, None))
}

#[cfg(test)]
mod tests;
