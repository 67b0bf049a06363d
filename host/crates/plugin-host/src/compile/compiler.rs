//! The compiler, in a separate process or in this one.

use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;

use doproxy_support::sanitize;
use tokio::sync::Semaphore;

use crate::compile::artifact::{CompileOutcome, CompiledComponent};
use crate::compile::{artifact, child, process};
use crate::error::{Limit, LoadError};
use crate::limits::Limits;

/// Compiles components to machine code.
pub(crate) struct Compiler {
    /// The program with the compile subcommand; see `PluginSettings::compiler`.
    program: Option<PathBuf>,
    /// Limits compilation to one component at a time, because each compilation uses several processors.
    permit: Arc<Semaphore>,
}

impl Compiler {
    pub(crate) fn new(program: Option<PathBuf>) -> Self {
        Self { program, permit: Arc::new(Semaphore::new(1)) }
    }

    /// Compiles a component within the limits.
    pub(crate) async fn compile(&self, bytes: Vec<u8>, limits: &Limits) -> Result<CompiledComponent, LoadError> {
        let late = || LoadError::CompileLimit(Limit::CompileTimeout(limits.compile_timeout));
        // Bound the wait too, so that a slow compilation does not block the others without an error.
        let turn = tokio::time::timeout(limits.compile_timeout, self.permit.clone().acquire_owned()).await;
        let permit = match turn {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(LoadError::Compile("the compiler task is gone".to_owned())),
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
            Err(error) => Err(LoadError::Compile(format!("compilation was aborted: {error}"))),
        }
    }
}

/// Compiles in a thread, which cannot be stopped: after a timeout the thread continues in the background and keeps its
/// permit.
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
        // After a timeout, no receiver is left.
        let _ = done.send(written.map(|()| frame));
    })?;
    match waiting.recv_timeout(limits.compile_timeout) {
        Ok(frame) => match artifact::read(frame?) {
            Some(result) => into_compiled(result, limits),
            None => Err(LoadError::Compile("the compiled code is incomplete".to_owned())),
        },
        Err(mpsc::RecvTimeoutError::Timeout) => {
            Err(LoadError::CompileLimit(Limit::CompileTimeout(limits.compile_timeout)))
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(LoadError::Compile("the compiler panicked".to_owned())),
    }
}

/// Converts the outcome of a compilation.
pub(super) fn into_compiled(result: CompileOutcome, limits: &Limits) -> Result<CompiledComponent, LoadError> {
    match result {
        CompileOutcome::Code(compiled) => Ok(compiled),
        CompileOutcome::Error(reason) => Err(LoadError::Compile(sanitize::sanitize_line(&reason, 500))),
        CompileOutcome::OutOfMemory => Err(LoadError::CompileLimit(Limit::CompileMemory(limits.compile_memory_bytes))),
    }
}
