//! Builds a project in any supported language.

use std::fs;
use std::path::{Path, PathBuf};

use doproxy_plugin_registry::Digest;

use crate::build::{BuildError, Language, Project, c, embed_metadata, javascript, python, rust, strip, toolchain};

/// Directories that never contain build inputs.
const IGNORED_DIRECTORIES: [&str; 8] =
    ["build", "target", "node_modules", ".venv", "__pycache__", ".git", "fixtures", ".zig-cache"];

/// Maximum number of files in a project.
const MAX_FILES: usize = 20_000;

/// A built component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Path of the component.
    pub path: PathBuf,
    /// The toolchain and its version.
    pub toolchain: String,
    /// True if the same project and toolchain produce the same bytes.
    pub is_reproducible: bool,
    /// True if the existing component was up to date and no build was necessary.
    pub is_up_to_date: bool,
    /// The source revision.
    pub revision: Option<String>,
}

/// Builds `project` for the contract version `contract`. Takes from less than a second to a minute.
pub fn build(project: &Project, contract: &str) -> Result<Built, BuildError> {
    let tool = match project.language {
        Language::Rust => rust::tool(project)?,
        Language::Python => python::tool(project)?,
        Language::JavaScript => javascript::tool(project)?,
        Language::C => c::tool(project)?,
    };
    let revision = revision(&project.directory);
    let folder = project.work_folder();
    fs::create_dir_all(&folder).map_err(BuildError::file(&folder))?;
    let path = project.component();
    let mut built = Built {
        path: path.clone(),
        toolchain: tool.version.clone(),
        is_reproducible: tool.is_reproducible,
        is_up_to_date: true,
        revision: revision.clone(),
    };

    let note = path.with_extension("inputs");
    let inputs = |without: &[&str]| inputs_digest(project, &tool.version, revision.as_deref(), without);
    let note_of = |inputs: &str, component: &[u8]| format!("{inputs} {}\n", Digest::of(component).hex());
    if let (Ok(noted), Ok(component)) = (fs::read_to_string(&note), fs::read(&path))
        && noted == note_of(&inputs(&[])?, &component)
    {
        return Ok(built);
    }

    let before = inputs(&TOOLCHAIN_OUTPUTS)?;
    let component = (tool.build)()?;
    let component = strip::strip(&component).ok_or_else(|| BuildError::Component {
        what: "failed to read the toolchain's output",
        reason: "not WebAssembly".to_owned(),
    })?;
    let component = embed_metadata::with_metadata(&component, &project.metadata, revision.as_deref(), contract)?;
    fs::write(&path, &component).map_err(BuildError::file(&path))?;
    // A source changed during the build may be missing from the component, so do not mark it as up to date.
    if before == inputs(&TOOLCHAIN_OUTPUTS)? {
        fs::write(&note, note_of(&inputs(&[])?, &component)).map_err(BuildError::file(&note))?;
    }
    built.is_up_to_date = false;
    Ok(built)
}

/// Inputs that the first build may write.
const TOOLCHAIN_OUTPUTS: [&str; 1] = ["Cargo.lock"];

/// Returns a digest of everything that the component depends on, except for files named in `without`.
fn inputs_digest(
    project: &Project,
    toolchain: &str,
    revision: Option<&str>,
    without: &[&str],
) -> Result<String, BuildError> {
    let mut files = Vec::new();
    collect_files(&project.directory, &mut files)?;
    files.sort();
    let mut all = Vec::new();
    for text in [env!("CARGO_PKG_VERSION"), toolchain, revision.unwrap_or_default()] {
        all.extend_from_slice(text.as_bytes());
        all.push(0);
    }
    files.retain(|file| !file.file_name().and_then(|name| name.to_str()).is_some_and(|name| without.contains(&name)));
    for file in files {
        let bytes = fs::read(&file).map_err(BuildError::file(&file))?;
        let name = file.strip_prefix(&project.directory).unwrap_or(&file);
        all.extend_from_slice(name.as_os_str().as_encoded_bytes());
        all.push(0);
        all.extend_from_slice(Digest::of(&bytes).hex().as_bytes());
    }
    Ok(Digest::of(&all).hex())
}

fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), BuildError> {
    for entry in fs::read_dir(folder).map_err(BuildError::file(folder))? {
        let entry = entry.map_err(BuildError::file(folder))?;
        let kind = entry.file_type().map_err(BuildError::file(entry.path()))?;
        let is_source = entry.file_name().to_str().is_none_or(|name| !IGNORED_DIRECTORIES.contains(&name));
        if files.len() >= MAX_FILES {
            return Err(BuildError::Component {
                what: "the project is too large",
                reason: format!("more than {MAX_FILES} files"),
            });
        }
        if kind.is_dir() && is_source {
            collect_files(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Returns the checked-out commit, with the suffix `-dirty` if the directory has uncommitted changes; `None` outside a
/// repository.
fn revision(directory: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let mut command = toolchain::command("git");
        toolchain::run("git", command.current_dir(directory).args(arguments)).ok()
    };
    let commit = git(&["rev-parse", "HEAD"]).filter(|commit| !commit.is_empty())?;
    let is_clean = git(&["status", "--porcelain", "--", "."]).is_some_and(|changes| changes.is_empty());
    Some(if is_clean { commit } else { format!("{commit}-dirty") })
}
