//! Python toolchain: componentize-py, which embeds the interpreter in the component.

use std::fs;

use crate::build::tool::Tool;
use crate::build::{BuildError, Project, toolchain};

pub(super) fn tool(project: &Project) -> Result<Tool, BuildError> {
    let program = toolchain::in_environment(&project.directory, "componentize-py").ok_or(BuildError::MissingTool {
        tool: "componentize-py",
        hint: "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt".to_owned(),
    })?;
    let version = toolchain::run("componentize-py", toolchain::command(&program).arg("--version"))?;
    let project = project.clone();
    // componentize-py initializes the interpreter at build time in its own host, which provides the machine's clock and
    // random numbers but none of this environment, so PYTHONHASHSEED and SOURCE_DATE_EPOCH have no effect: the memory
    // differs from build to build, and so does the order of the WASI stub modules.
    // https://github.com/bytecodealliance/componentize-py/issues/247
    Ok(Tool::new(version, false, move || {
        let module = project.work_folder().join("componentize-py.wasm");
        let mut command = toolchain::command(program);
        command
            .current_dir(&project.directory)
            .args(["--quiet", "--wit-path", "wit", "--world", project.kind.world()])
            // Removes all WASI imports: any WASI call from Python traps.
            .args(["componentize", "--stub-wasi", "--python-path", ".", &project.entry_point, "--output"])
            .arg("build/componentize-py.wasm");
        toolchain::run("componentize-py", &mut command)?;
        let component = fs::read(&module).map_err(BuildError::file(&module))?;
        let _ = fs::remove_file(&module);
        Ok(component)
    }))
}
