//! Runs other programs with bounded time and output, and kills them together with their child processes.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process;

/// Maximum number of bytes kept of each output stream of a program.
pub(crate) const MAX_OUTPUT_BYTES: usize = 64 << 10;

/// Time to wait for remaining output after a program has exited: a process that it left behind may hold the pipes open
/// forever.
const OUTPUT_GRACE: Duration = Duration::from_millis(200);

/// The result of a finished program.
#[derive(Debug)]
pub struct Output {
    /// The exit status.
    pub status: ExitStatus,
    /// The beginning of its standard output.
    pub stdout: Vec<u8>,
    /// The beginning of its standard error.
    pub stderr: Vec<u8>,
}

/// The reason that a program did not finish.
#[derive(Debug)]
pub enum RunError {
    /// It could not be started or waited for.
    Io(io::Error),
    /// It exceeded its time limit and was killed with all its child processes.
    TimedOut,
}

/// Runs a program in `folder` with empty standard input, and kills it if it runs longer than `deadline` or if the
/// future is dropped.
pub async fn run(
    program: &Path,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    folder: Option<&Path>,
    deadline: Duration,
) -> Result<Output, RunError> {
    let mut command = process::Command::new(program);
    // The API token must not reach other processes; systemd passes it through the last variable.
    for variable in ["DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN", "CREDENTIALS_DIRECTORY"] {
        command.env_remove(variable);
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    // A separate process group, so that child processes are killed as well.
    command.process_group(0);
    let mut child = command.spawn().map_err(RunError::Io)?;
    let group = ProcessGroup(child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw));
    let ended = tokio::time::timeout(deadline, collect_output(&mut child)).await.map_err(|_| RunError::TimedOut);
    group.release_if(ended.is_ok());
    ended?.map_err(RunError::Io)
}

/// A running program and its child processes, which are killed on drop, even if the future that waits for them is
/// cancelled.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    /// Processes left behind by a program that exited by itself are intentional.
    fn release_if(mut self, has_ended: bool) {
        if has_ended {
            self.0 = None;
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // The ID stays valid until the child is reaped, so it cannot belong to another process.
        if let Some(group) = self.0 {
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

async fn collect_output(child: &mut process::Child) -> io::Result<Output> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut lines, mut errors) = (Vec::new(), Vec::new());
    let status = {
        let reading = async { tokio::join!(read_prefix(stdout, &mut lines), read_prefix(stderr, &mut errors)) };
        tokio::pin!(reading);
        tokio::select! {
            _ = &mut reading => child.wait().await?,
            status = child.wait() => {
                // Output received after this time is dropped.
                let _ = tokio::time::timeout(OUTPUT_GRACE, reading).await;
                status?
            }
        }
    };
    Ok(Output { status, stdout: lines, stderr: errors })
}

/// Reads the beginning of `pipe` and discards the rest, so that the writer never blocks.
async fn read_prefix(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut piece = vec![0; 8 << 10];
    // A pipe that cannot be read is at its end.
    while let Ok(read @ 1..) = pipe.read(&mut piece).await {
        let room = MAX_OUTPUT_BYTES.saturating_sub(kept.len());
        kept.extend_from_slice(&piece[..read.min(room)]);
    }
}
