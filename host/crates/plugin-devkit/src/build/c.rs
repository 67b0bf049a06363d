//! C toolchain: clang and wasi-libc from `zig cc`, with the bindings in the starter project.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::build::tool::Tool;
use crate::build::{BuildError, Project, component, toolchain};

/// The Zig release that the starter is tested with.
const ZIG_PACKAGE: &str = "ziglang==0.17.1";

/// Limits the stack to 128 KiB instead of zig's 16 MiB: each call gets fresh guest memory, all of which the host must
/// zero.
const STACK_SIZE_FLAG: &str = "-Wl,-z,stack-size=131072";

pub(super) fn tool(project: &Project) -> Result<Tool, BuildError> {
    let zig = Zig::find(&project.directory).ok_or_else(|| BuildError::MissingTool {
        tool: "zig",
        hint: format!("python3 -m venv .venv && .venv/bin/pip install {ZIG_PACKAGE}"),
    })?;
    let version = format!("zig {}", toolchain::run("zig", zig.command().arg("version"))?);
    let project = project.clone();
    Ok(Tool::new(version, true, move || {
        let module = project.work_folder().join("zig.wasm");
        let mut command = zig.command();
        command
            .current_dir(&project.directory)
            .args(["cc", "-target", "wasm32-wasi", "-mexec-model=reactor", "-O2", STACK_SIZE_FLAG])
            .args(["-Wall", "-Wextra", "-I", "."])
            .args(sources(&project.directory)?)
            .args(["-o", "build/zig.wasm"]);
        toolchain::run("zig cc", &mut command)?;
        let core = fs::read(&module).map_err(BuildError::file(&module))?;
        let _ = fs::remove_file(&module);
        component::from_core_module(&core, &project.wit(), project.kind)
    }))
}

/// Returns the project's own sources and its bindings, in an order independent of the file system.
fn sources(directory: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let mut found = Vec::new();
    for folder in ["", "bindings"] {
        let path = directory.join(folder);
        for entry in fs::read_dir(&path).map_err(BuildError::file(&path))? {
            let name = PathBuf::from(entry.map_err(BuildError::file(&path))?.file_name());
            if name.extension().is_some_and(|ending| ending == "c") {
                found.push(Path::new(folder).join(name));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The zig program, or the Python package that contains it.
enum Zig {
    Program(PathBuf),
    Package(PathBuf),
}

impl Zig {
    fn find(directory: &Path) -> Option<Self> {
        // The package installs a launcher of this name, which locates the compiler.
        toolchain::in_environment(directory, "python-zig")
            .and_then(|path| Some(Self::Package(path.parent()?.join("python3"))))
            .or_else(|| toolchain::in_environment(directory, "zig").map(Self::Program))
    }

    fn command(&self) -> Command {
        match self {
            Self::Program(zig) => toolchain::command(zig),
            Self::Package(python) => {
                let mut command = toolchain::command(python);
                command.args(["-m", "ziglang"]);
                command
            }
        }
    }
}
