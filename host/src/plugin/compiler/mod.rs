//! Compiling components, which is the one thing that a plugin makes the host do before any limit of wasmtime holds: a
//! module of 300 KiB can cost half a minute or more than a gigabyte.
//!
//! So it happens in a process of its own. `process` starts it and waits for it, no longer than it may take; `child` is
//! what runs in it; `confine` is what it does to itself before it reads a byte.

mod child;
mod process;
mod sandbox;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use tokio::sync::Semaphore;

pub use child::compile_plugin;
pub use sandbox::SandboxLimits;

use super::artifact::{self, CompileOutcome, CompiledComponent};
use super::{Limit, Limits, LoadError, sanitize};

/// Makes machine code of components.
pub(super) struct Compiler {
    /// The program whose subcommand compiles; see [`super::PluginSettings::compiler`].
    program: Option<PathBuf>,
    /// One compilation at a time: it uses several processors by itself.
    permit: Arc<Semaphore>,
}

impl Compiler {
    pub(super) fn new(program: Option<PathBuf>) -> Self {
        Self { program, permit: Arc::new(Semaphore::new(1)) }
    }

    /// Compiles a component within the limits.
    pub(super) async fn compile(&self, bytes: Vec<u8>, limits: &Limits) -> Result<CompiledComponent, LoadError> {
        let late = || LoadError::CompileLimit(Limit::CompileTimeout(limits.compile_timeout));
        // One that takes too long must not keep the others waiting without a word.
        let turn = tokio::time::timeout(limits.compile_timeout, self.permit.clone().acquire_owned()).await;
        let permit = match turn {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(LoadError::Compile("the compiler is gone".to_owned())),
            Err(_) => return Err(late()),
        };
        let (program, limits) = (self.program.clone(), limits.clone());
        let compiling = tokio::task::spawn_blocking(move || match program {
            Some(program) => {
                let compiled = process::compile(&program, &bytes, &limits);
                drop(permit);
                compiled
            }
            None => compile_in_process(bytes, permit, &limits),
        });
        match compiling.await {
            Ok(compiled) => compiled,
            Err(error) => Err(LoadError::Compile(format!("compiling it broke off: {error}"))),
        }
    }
}

/// Compiles in a thread, which cannot be stopped: one that takes too long is left to itself, and its turn with it.
fn compile_in_process<T: Send + 'static>(
    bytes: Vec<u8>,
    turn: T,
    limits: &Limits,
) -> Result<CompiledComponent, LoadError> {
    let (done, waiting) = mpsc::sync_channel(1);
    thread::Builder::new().name("plugin-compiler".to_owned()).spawn(move || {
        let mut frame = Vec::new();
        let (kind, content) = child::precompile(&bytes);
        let written = artifact::write(&mut frame, kind, &content);
        drop(turn);
        // Nobody waits for one that took too long.
        let _ = done.send(written.map(|()| frame));
    })?;
    match waiting.recv_timeout(limits.compile_timeout) {
        Ok(frame) => match artifact::read(frame?) {
            Some(answer) => into_compiled(answer, limits),
            None => Err(LoadError::Compile("what was compiled is not whole".to_owned())),
        },
        Err(mpsc::RecvTimeoutError::Timeout) => {
            Err(LoadError::CompileLimit(Limit::CompileTimeout(limits.compile_timeout)))
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(LoadError::Compile("the compiler panicked over it".to_owned()))
        }
    }
}

/// What a compiler answered.
fn into_compiled(answer: CompileOutcome, limits: &Limits) -> Result<CompiledComponent, LoadError> {
    match answer {
        CompileOutcome::Code(compiled) => Ok(compiled),
        CompileOutcome::Error(reason) => Err(LoadError::Compile(sanitize::sanitize_line(&reason, 500))),
        CompileOutcome::OutOfMemory => Err(LoadError::CompileLimit(Limit::CompileMemory(limits.compile_memory_bytes))),
    }
}
