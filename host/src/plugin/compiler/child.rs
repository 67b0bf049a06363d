//! What runs in the process that compiles: one component from stdin, its machine code to stdout.

use std::io::{self, Read, Write};

use super::super::artifact::{self, FrameKind};
use super::super::engine;
use super::SandboxLimits;

/// Most threads that compile. Each takes address space, which is limited, and processors that serve the site.
const MAX_THREADS: usize = 4;

/// Reads a component, compiles it and writes a frame that holds the code, or why there is none. What it may use is
/// taken from the process first and for good, so nothing else can be done in it afterwards.
///
/// What is enforced is told on stderr, a line that the plugin host logs at level `debug`.
pub fn compile_plugin(
    confinement: &SandboxLimits,
    mut component: impl Read,
    answer: impl Write,
    mut log: impl Write,
) -> io::Result<()> {
    // How many processors there are stands in files that cannot be read afterwards.
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

/// Machine code for the engine that plugins run on, or what is wrong.
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
