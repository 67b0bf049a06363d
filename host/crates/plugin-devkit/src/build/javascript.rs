//! JavaScript toolchain: the npm package componentize-js, which embeds the engine in the component.

use std::fs;
use std::path::{Path, PathBuf};

use crate::build::tool::Tool;
use crate::build::{BuildError, Project, js_determinism, toolchain};

const SCRIPT: &str = include_str!("componentize.mjs");

const PACKAGE: &str = "node_modules/@bytecodealliance/componentize-js/package.json";

/// Path of the engine, relative to the package's manifest.
const ENGINE: &str = "lib/starlingmonkey_embedding.wasm";

pub(super) fn tool(project: &Project) -> Result<Tool, BuildError> {
    let node = toolchain::in_environment(&project.directory, "node")
        .ok_or(BuildError::MissingTool { tool: "node", hint: "apt-get install nodejs npm".to_owned() })?;
    let package = package(&project.directory)
        .ok_or(BuildError::MissingTool { tool: "@bytecodealliance/componentize-js", hint: "npm ci".to_owned() })?;
    let version = fs::read_to_string(&package).map_err(BuildError::file(&package))?;
    let version: serde_json::Value = serde_json::from_str(&version).unwrap_or_default();
    let version = format!("componentize-js {}", version.get("version").and_then(|it| it.as_str()).unwrap_or("?"));
    let project = project.clone();
    // The engine is initialized at build time, and its memory becomes part of the component, so it must not observe
    // anything that differs between builds. Releases that keep the engine elsewhere use it unmodified.
    let engine = package.with_file_name(ENGINE);
    let is_settled = engine.is_file();
    Ok(Tool::new(version, is_settled, move || {
        // Node resolves packages relative to the script.
        let script = project.work_folder().join("componentize.mjs");
        let module = project.work_folder().join("componentize-js.wasm");
        fs::write(&script, SCRIPT).map_err(BuildError::file(&script))?;
        let mut command = toolchain::command(node);
        command.current_dir(&project.directory).args(["build/componentize.mjs", &project.entry_point, "wit"]);
        command.args([project.kind.world(), "build/componentize-js.wasm"]);
        let own = project.work_folder().join("engine.wasm");
        if is_settled {
            let as_it_is = fs::read(&engine).map_err(BuildError::file(&engine))?;
            let determinized = js_determinism::determinize(&as_it_is).map_err(|error| BuildError::Component {
                what: "failed to patch the engine of componentize-js",
                reason: error.to_string(),
            })?;
            fs::write(&own, determinized).map_err(BuildError::file(&own))?;
            command.arg("build/engine.wasm");
        }
        toolchain::run("componentize-js", &mut command)?;
        let component = fs::read(&module).map_err(BuildError::file(&module))?;
        let _ = fs::remove_file(&module);
        let _ = fs::remove_file(&script);
        let _ = fs::remove_file(&own);
        Ok(component)
    }))
}

/// Locates the package as Node does: in the directory or one of its parents.
fn package(directory: &Path) -> Option<PathBuf> {
    let directory = std::path::absolute(directory).ok()?;
    directory.ancestors().map(|folder| folder.join(PACKAGE)).find(|path| path.is_file())
}
