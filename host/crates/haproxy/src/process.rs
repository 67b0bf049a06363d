//! An HAProxy process managed by doproxy, for the demo and for tests. In production HAProxy has its own service.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doproxy_support::sync::lock;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::error::HaProxyError;
use crate::reload::query_processes;
use crate::reload_command::clean_output;
use crate::runtime_api::{Backoff, Socket};
use crate::socket_error::SocketError;

/// Time limit for starting and for stopping.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of lines of standard error kept for an error message.
const MAX_STDERR_LINES: usize = 50;

/// A running HAProxy: a master and its workers. They are stopped on drop.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts HAProxy in master-worker mode with its master socket at `master_socket`, and waits until the socket
    /// responds.
    pub async fn start(binary: &Path, config_file: &Path, master_socket: &Path) -> Result<Self, HaProxyError> {
        let mut listen = master_socket.as_os_str().to_owned();
        listen.push(",mode,600");
        let mut command = Command::new(binary);
        command.arg("-W").arg("-S").arg(listen).arg("-f").arg(config_file);
        // The API token must not reach other processes.
        command.env_remove("DIGITALOCEAN_TOKEN").env_remove("DIGITALOCEAN_ACCESS_TOKEN");
        // A separate process group, so that Ctrl-C reaches only doproxy, which stops HAProxy itself.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let child = command.spawn().map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => HaProxyError::BinaryMissing(binary.to_owned()),
            _ => HaProxyError::Run { program: binary.display().to_string(), source },
        })?;
        let mut process = Self { child };
        let last_words = Arc::new(Mutex::new(VecDeque::new()));
        let listener =
            process.child.stderr.take().map(|pipe| tokio::spawn(collect_stderr(pipe, Arc::clone(&last_words))));
        let until = Instant::now() + TIMEOUT;
        let mut backoff = Backoff::until(until);
        loop {
            if let Ok(Some(status)) = process.child.try_wait() {
                if let Some(listener) = listener {
                    // The task ends with the pipe.
                    let _ = listener.await;
                }
                let words: Vec<String> = lock(&last_words).drain(..).collect();
                return Err(HaProxyError::ProcessExited {
                    binary: PathBuf::from(binary),
                    status: status.to_string(),
                    output: clean_output(&words.join("\n")),
                });
            }
            match query_processes(&Socket::new(master_socket, TIMEOUT), Instant::now()).await {
                Ok(processes) if processes.has_worker() => return Ok(process),
                response => {
                    if !backoff.wait().await {
                        let after = TIMEOUT;
                        let starting = SocketError::TimedOut {
                            path: master_socket.to_owned(),
                            command: "show proc".into(),
                            after,
                        };
                        return Err(response.err().unwrap_or(starting).into());
                    }
                }
            }
        }
    }

    /// Returns the process ID of the master; `None` once it has exited.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Stops HAProxy: sends SIGTERM, and kills it if it does not exit in time.
    pub async fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        if tokio::time::timeout(TIMEOUT, self.child.wait()).await.is_err() {
            // The only possible error is that it has just exited.
            let _ = self.child.kill().await;
        }
    }

    fn signal(&self, signal: Signal) {
        // The ID stays valid until the child is reaped, so it cannot belong to another process.
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::SIGTERM);
        let until = std::time::Instant::now() + Duration::from_secs(2);
        while matches!(self.child.try_wait(), Ok(None)) {
            if std::time::Instant::now() >= until {
                // The workers exit when they detect that the master has.
                let _ = self.child.start_kill();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Keeps the last lines of HAProxy's standard error, so that the pipe never fills up.
async fn collect_stderr(pipe: impl AsyncRead + Unpin, last_words: Arc<Mutex<VecDeque<String>>>) {
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::debug!(target: "haproxy", "{line}");
        let mut kept = lock(&last_words);
        if kept.len() == MAX_STDERR_LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    }
}
