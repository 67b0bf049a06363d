//! The host's side of the process that compiles: it is started with an empty environment, fed, listened to, and ended
//! when its time is over. All of it runs in a thread that may block, so that it holds under a clock that stands still.

use std::io::{self, Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;

use nix::sys::signal::Signal;

use super::super::artifact::{self, CompiledComponent};
use crate::plugin::{Limit, Limits, LoadError, sanitize};

/// Most bytes of what the process says on stderr that are kept.
const MAX_STDERR_BYTES: u64 = 16 * 1024;

/// Compiles `component` by the subcommand of `program`.
pub(super) fn compile(program: &Path, component: &[u8], limits: &Limits) -> Result<CompiledComponent, LoadError> {
    let mut child = command(program, limits)
        .spawn()
        .map_err(|source| LoadError::SpawnCompiler { program: program.to_owned(), source })?;
    let ChildOutput { stdout: wrote, stderr: said, status } = exchange(&mut child, component, limits)?;
    for line in said.lines() {
        tracing::debug!("plugin compiler: {}", sanitize::sanitize_line(line, 500));
    }
    match wrote {
        StdoutResult::Frame(frame) => match artifact::read(frame) {
            Some(answer) => super::into_compiled(answer, limits),
            None => Err(exit_error(status, &said, limits)),
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
        // The token may stand in the environment, and where the user is at home.
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What came out of the process.
struct ChildOutput {
    stdout: StdoutResult,
    stderr: String,
    status: ExitStatus,
}

enum StdoutResult {
    /// All of it, up to its end.
    Frame(Vec<u8>),
    TimedOut,
    TooLarge,
}

/// Feeds the process and listens to it; in the end it is gone, whatever happened.
fn exchange(child: &mut Child, component: &[u8], limits: &Limits) -> io::Result<ChildOutput> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|threads| {
        let feeding = thread::Builder::new().spawn_scoped(threads, move || {
            // One that ends before it has read everything tells why itself.
            let _ = stdin.map(|mut stdin| stdin.write_all(component));
        });
        let listening = thread::Builder::new().spawn_scoped(threads, move || {
            let mut said = Vec::new();
            if let Some(mut stderr) = stderr {
                let _ = stderr.by_ref().take(MAX_STDERR_BYTES).read_to_end(&mut said);
                let _ = io::copy(&mut stderr, &mut io::sink());
            }
            String::from_utf8_lossy(&said).into_owned()
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
        // Where it closed its stdout by itself it is ending already, and this changes nothing.
        let ended = child.kill().and_then(|()| child.wait());
        let said = listening.map(|thread| thread.join().unwrap_or_default());
        feeding?;
        reading?;
        let wrote = match frame.transpose()? {
            None => StdoutResult::TimedOut,
            Some(frame) if frame.len() > most => StdoutResult::TooLarge,
            Some(frame) => StdoutResult::Frame(frame),
        };
        Ok(ChildOutput { stdout: wrote, stderr: said?, status: ended? })
    })
}

/// Why a process ended without an answer.
fn exit_error(status: ExitStatus, said: &str, limits: &Limits) -> LoadError {
    let signal = status.signal().and_then(|number| Signal::try_from(number).ok());
    if signal == Some(Signal::SIGXCPU) {
        return LoadError::CompileLimit(Limit::CompileCpuTime(limits.compile_cpu_time));
    }
    // The words of Rust's standard library, which ends a process that way.
    if signal == Some(Signal::SIGABRT) && said.contains("memory allocation of") {
        return LoadError::CompileLimit(Limit::CompileMemory(limits.compile_memory_bytes));
    }
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    LoadError::Compile(format!("the compiler broke off ({status}): {}", sanitize::sanitize_line(last, 300)))
}
