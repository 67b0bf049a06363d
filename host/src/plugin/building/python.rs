//! Python: componentize-py, which puts the interpreter into the component.

use std::fs;

use super::tool::Tool;
use super::{BuildError, Project, toolchain};

pub(super) fn tool(project: &Project) -> Result<Tool, BuildError> {
    let program = toolchain::in_environment(&project.directory, "componentize-py").ok_or(BuildError::MissingTool {
        tool: "componentize-py",
        remedy: "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt".to_owned(),
    })?;
    let version = toolchain::run("componentize-py", toolchain::command(&program).arg("--version"))?;
    let project = project.clone();
    // Its interpreter is started at build time, by a host of its own that gives it the machine's clock and random numbers
    // and none of this environment, so PYTHONHASHSEED and SOURCE_DATE_EPOCH change nothing: its memory differs from build
    // to build, and so does the order of the modules that stand for WASI.
    // https://github.com/bytecodealliance/componentize-py/issues/247
    Ok(Tool::new(version, false, move || {
        let module = project.work_folder().join("componentize-py.wasm");
        let mut command = toolchain::command(program);
        command
            .current_dir(&project.directory)
            .args(["--quiet", "--wit-path", "wit", "--world", project.kind.world()])
            // No WASI is left in it: what Python would ask of the world is answered by a trap.
            .args(["componentize", "--stub-wasi", "--python-path", ".", &project.entry_point, "--output"])
            .arg("build/componentize-py.wasm");
        toolchain::run("componentize-py", &mut command)?;
        let component = fs::read(&module).map_err(BuildError::file(&module))?;
        let _ = fs::remove_file(&module);
        Ok(component)
    }))
}
