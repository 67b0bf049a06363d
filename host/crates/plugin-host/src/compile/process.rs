//! The host side of the compiler process: starts it with an empty environment, writes the component to it, reads the
//! result, and kills it after the timeout. Everything runs in a blocking thread, so the timeout applies even with a
//! stopped clock.

use std::io::{self, Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;

use doproxy_support::sanitize;
use nix::sys::signal::Signal;

use crate::compile::artifact::CompiledComponent;
use crate::compile::{artifact, compiler};
use crate::error::{Limit, LoadError};
use crate::limits::Limits;

/// Maximum number of bytes kept from the process's stderr.
const MAX_STDERR_BYTES: u64 = 16 * 1024;

/// Compiles `component` with the subcommand of `program`.
pub(super) fn compile(program: &Path, component: &[u8], limits: &Limits) -> Result<CompiledComponent, LoadError> {
    let mut child = command(program, limits)
        .spawn()
        .map_err(|source| LoadError::SpawnCompiler { program: program.to_owned(), source })?;
    let ChildOutput { stdout: wrote, stderr: output, status } = exchange(&mut child, component, limits)?;
    for line in output.lines() {
        tracing::debug!("plugin compiler: {}", sanitize::sanitize_line(line, 500));
    }
    match wrote {
        StdoutResult::Frame(frame) => match artifact::read(frame) {
            Some(answer) => compiler::into_compiled(answer, limits),
            None => Err(exit_error(status, &output, limits)),
        },
        StdoutResult::TimedOut => Err(LoadError::CompileLimit(Limit::CompileTimeout(limits.compile_timeout))),
        StdoutResult::TooLarge => Err(LoadError::CompileLimit(Limit::Artifact(limits.artifact_bytes()))),
    }
}

fn command(program: &Path, limits: &Limits) -> Command {
    let seconds = limits.compile_cpu_time.as_secs() + u64::from(limits.compile_cpu_time.subsec_nanos() > 0);
    let mut command = Command::new(program);
    command
        .arg0("doproxy")
        .arg("compile-plugin")
        .arg(format!("--cpu-seconds={seconds}"))
        .arg(format!("--memory-bytes={}", limits.compile_memory_bytes))
        // The token may be in the environment or in the user's home directory.
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The output of the process.
struct ChildOutput {
    stdout: StdoutResult,
    stderr: String,
    status: ExitStatus,
}

enum StdoutResult {
    /// The complete output, up to the end of the stream.
    Frame(Vec<u8>),
    TimedOut,
    TooLarge,
}

/// Writes the component to the process and reads its output. The process has always terminated on return.
fn exchange(child: &mut Child, component: &[u8], limits: &Limits) -> io::Result<ChildOutput> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|threads| {
        let feeding = thread::Builder::new().spawn_scoped(threads, move || {
            // A process that exits without reading all input reports the reason itself.
            let _ = stdin.map(|mut stdin| stdin.write_all(component));
        });
        let listening = thread::Builder::new().spawn_scoped(threads, move || {
            let mut output = Vec::new();
            if let Some(mut stderr) = stderr {
                let _ = stderr.by_ref().take(MAX_STDERR_BYTES).read_to_end(&mut output);
                let _ = io::copy(&mut stderr, &mut io::sink());
            }
            String::from_utf8_lossy(&output).into_owned()
        });
        let most = limits.artifact_bytes().saturating_add(artifact::HEADER_LEN);
        let (done, waiting) = mpsc::sync_channel(1);
        let reading = thread::Builder::new().spawn_scoped(threads, move || {
            let mut frame = Vec::new();
            let one_more = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
            let read = stdout.map_or(Ok(0), |stdout| stdout.take(one_more).read_to_end(&mut frame));
            let _ = done.send(read.map(|_| frame));
        });
        let frame = waiting.recv_timeout(limits.compile_timeout).ok();
        // If the process closed its stdout, it is exiting already, and killing it has no effect.
        let ended = child.kill().and_then(|()| child.wait());
        let output = listening.map(|thread| thread.join().unwrap_or_default());
        feeding?;
        reading?;
        let wrote = match frame.transpose()? {
            None => StdoutResult::TimedOut,
            Some(frame) if frame.len() > most => StdoutResult::TooLarge,
            Some(frame) => StdoutResult::Frame(frame),
        };
        Ok(ChildOutput { stdout: wrote, stderr: output?, status: ended? })
    })
}

/// Returns the reason why a process exited without a result.
fn exit_error(status: ExitStatus, output: &str, limits: &Limits) -> LoadError {
    let signal = status.signal().and_then(|number| Signal::try_from(number).ok());
    if signal == Some(Signal::SIGXCPU) {
        return LoadError::CompileLimit(Limit::CompileCpuTime(limits.compile_cpu_time));
    }
    // The message of Rust's standard library when it aborts.
    if signal == Some(Signal::SIGABRT) && output.contains("memory allocation of") {
        return LoadError::CompileLimit(Limit::CompileMemory(limits.compile_memory_bytes));
    }
    let last = output.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no output");
    LoadError::Compile(format!("the compiler failed ({status}): {}", sanitize::sanitize_line(last, 300)))
}
