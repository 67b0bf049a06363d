//! The compiler process: reads one component from stdin, writes its machine code to stdout.

use std::io::{self, Read, Write};

use crate::compile::artifact::FrameKind;
use crate::compile::{SandboxLimits, artifact};
use crate::engine;

/// Maximum number of compiler threads. Each uses address space, which is limited, and CPU time needed by the site.
const MAX_THREADS: usize = 4;

/// Reads a component, compiles it and writes a frame that contains the code or the error. First sandboxes the process
/// permanently, so it cannot be used for anything else afterwards.
///
/// Writes the enforced restrictions to `log` (stderr); the plugin host logs this line at level `debug`.
pub fn compile_plugin(
    confinement: &SandboxLimits,
    mut component: impl Read,
    answer: impl Write,
    mut log: impl Write,
) -> io::Result<()> {
    // The number of processors is read from files that are inaccessible in the sandbox.
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    let enforced = confinement.enforce()?;
    writeln!(log, "{enforced}")?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    component.read_to_end(&mut bytes)?;
    let (kind, content) = precompile(&bytes);
    drop(bytes);
    artifact::write(answer, kind, &content)
}

/// Compiles a component for the engine that runs plugins; returns machine code or an error.
pub(super) fn precompile(component: &[u8]) -> (FrameKind, Vec<u8>) {
    match engine::compiler_engine().and_then(|engine| engine.precompile_component(component)) {
        Ok(code) => (FrameKind::Code, code),
        Err(error) if is_out_of_memory(&error) => (FrameKind::OutOfMemory, Vec::new()),
        Err(error) => (FrameKind::Error, format!("{error:#}").into_bytes()),
    }
}

fn is_out_of_memory(error: &wasmtime::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref().is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::OutOfMemory))
}
