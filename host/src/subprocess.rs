//! Running other programs: bounded in time and in what is kept of their words, and killed with all that they started.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process;

/// How much of a program's output is kept, of each kind.
pub(crate) const MAX_OUTPUT_BYTES: usize = 64 << 10;

/// How long what a program said is waited for after its end: a program that it left behind may hold the pipes open for
/// ever.
const OUTPUT_GRACE: Duration = Duration::from_millis(200);

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    /// The beginning of its standard output.
    pub(crate) stdout: Vec<u8>,
    /// The beginning of its standard error.
    pub(crate) stderr: Vec<u8>,
}

/// Why there is no end to speak of.
#[derive(Debug)]
pub(crate) enum RunError {
    /// It cannot be started or waited for.
    Io(io::Error),
    /// It took too long, and was killed with all that it had started.
    TimedOut,
}

/// Runs a program in `folder`, with an empty standard input, and kills it when it takes longer than `deadline` or when
/// nobody waits for it any more.
pub(crate) async fn run(
    program: &Path,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    folder: Option<&Path>,
    deadline: Duration,
) -> Result<Output, RunError> {
    let mut command = process::Command::new(program);
    // The API token is nobody's but ours; the last is where systemd puts it.
    for variable in ["DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN", "CREDENTIALS_DIRECTORY"] {
        command.env_remove(variable);
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    // In a group of its own, so that what it started is killed with it.
    command.process_group(0);
    let mut child = command.spawn().map_err(RunError::Io)?;
    let group = ProcessGroup(child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw));
    let ended = tokio::time::timeout(deadline, collect_output(&mut child)).await.map_err(|_| RunError::TimedOut);
    group.release_if(ended.is_ok());
    ended?.map_err(RunError::Io)
}

/// A program that runs, with all that it has started: they are killed with this value, also when nobody waits for
/// them any more.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    /// What a program left behind that ended by itself is meant to be there.
    fn release_if(mut self, has_ended: bool) {
        if has_ended {
            self.0 = None;
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // The id is there until the child was waited for, so it can be nobody else's.
        if let Some(group) = self.0 {
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

async fn collect_output(child: &mut process::Child) -> io::Result<Output> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let status = {
        let reading = async { tokio::join!(read_prefix(stdout, &mut said), read_prefix(stderr, &mut complained)) };
        tokio::pin!(reading);
        tokio::select! {
            _ = &mut reading => child.wait().await?,
            status = child.wait() => {
                // What was read until then is what there is.
                let _ = tokio::time::timeout(OUTPUT_GRACE, reading).await;
                status?
            }
        }
    };
    Ok(Output { status, stdout: said, stderr: complained })
}

/// Keeps the beginning of what `pipe` gives; the rest is read and dropped, so that the writer does not wait for ever.
async fn read_prefix(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut piece = vec![0; 8 << 10];
    // A pipe that cannot be read says nothing more.
    while let Ok(read @ 1..) = pipe.read(&mut piece).await {
        let room = MAX_OUTPUT_BYTES.saturating_sub(kept.len());
        kept.extend_from_slice(&piece[..read.min(room)]);
    }
}
