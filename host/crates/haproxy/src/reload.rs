//! Reloads the running HAProxy and verifies that it has read its file.
//!
//! Reloads use the master's `reload` command and never a signal: of two signals in quick succession one is lost. From
//! HAProxy 2.7 on the response reports success; before that, the reload counter and the failure count in `show proc`
//! do. While the master re-executes itself, its socket refuses connections.

use std::path::Path;
use std::time::{Duration, SystemTime};

use doproxy_support::failpoint_async;
use tokio::time::Instant;

use crate::options::{Options, ReloadMethod};
use crate::reload_command;
use crate::reload_error::ReloadError;
use crate::runtime_api::{Backoff, Command, Socket, info_field};
use crate::socket_error::SocketError;
use crate::update_plan::Version;

/// The output of `show proc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Processes {
    master: u32,
    /// Number of reloads requested since the master was started.
    pub(super) reloads: u64,
    failed: u64,
    workers: Vec<u32>,
    /// Workers from before a reload that still have connections.
    pub(super) old_workers: Vec<u32>,
}

impl Processes {
    /// Parses `show proc` (management guide, section 9.4); `None` if the text does not have that format.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut found = Self { master: 0, reloads: 0, failed: 0, workers: Vec::new(), old_workers: Vec::new() };
        let mut old = false;
        for line in text.lines() {
            if let Some(title) = line.strip_prefix("# ") {
                old = title.starts_with("old");
                continue;
            }
            let mut words = line.split_ascii_whitespace();
            let Some(pid) = words.next().and_then(|pid| pid.parse().ok()) else { continue };
            match words.next() {
                Some("master") => {
                    found.master = pid;
                    found.reloads = words.next()?.parse().ok()?;
                    // `[failed: 1]`, from HAProxy 2.5 on.
                    found.failed = line
                        .split_once("[failed: ")
                        .and_then(|(_, rest)| rest.split_once(']')?.0.parse().ok())
                        .unwrap_or(0);
                }
                Some("worker") if old => found.old_workers.push(pid),
                Some("worker") => found.workers.push(pid),
                _ => {}
            }
        }
        (found.master != 0).then_some(found)
    }

    /// Reports whether a worker with the current configuration is running.
    pub(super) fn has_worker(&self) -> bool {
        !self.workers.is_empty()
    }

    /// Returns the result of a reload that was requested when the processes were `before`; `None` while it is in
    /// progress.
    fn outcome(&self, before: &Self) -> Option<Result<(), ReloadError>> {
        if self.master == before.master && self.reloads <= before.reloads {
            return None;
        }
        if self.failed > 0 {
            let why = "the new worker could not start, for example because an address is in use; check HAProxy's log";
            return Some(Err(ReloadError::Failed(why.into())));
        }
        self.workers.iter().any(|pid| !before.workers.contains(pid)).then_some(Ok(()))
    }
}

/// Checks that the processes can be asked to reload, before anything is changed.
pub(super) async fn check_reachable(options: &Options) -> Result<(), SocketError> {
    if let ReloadMethod::MasterSocket(path) = &options.reload {
        let until = Instant::now() + options.deadlines.response;
        query_processes(&Socket::new(path, options.deadlines.response), until).await?;
    }
    Ok(())
}

/// Requests a reload and waits until a worker that it started responds on the stats socket.
pub(super) async fn reload(options: &Options) -> Result<Worker, ReloadError> {
    let until = Instant::now() + options.deadlines.reload;
    let stats = Socket::new(&options.stats_socket, options.deadlines.response);
    let before = match &options.reload {
        ReloadMethod::MasterSocket(path) => {
            let master = Socket::new(path, options.deadlines.response);
            failpoint_async("reload by the master", reload_by_master(&master, until)).await?
        }
        ReloadMethod::Command(words) => {
            let before = PreviousWorkers::query(&stats).await;
            reload_by_command(words, options.deadlines.reload).await?;
            before
        }
    };
    failpoint_async("wait for the new worker", wait_for_new_worker(&before, &stats, until, options.deadlines.reload))
        .await
}

/// Waits for the first responding worker that did not exist before.
async fn wait_for_new_worker(
    before: &PreviousWorkers,
    stats: &Socket,
    until: Instant,
    given: Duration,
) -> Result<Worker, ReloadError> {
    let mut backoff = Backoff::until(until);
    loop {
        match query_worker(stats).await {
            Ok(worker) if before.is_superseded_by(&worker) => return Ok(worker),
            now => {
                if !backoff.wait().await {
                    return Err(now.map_or_else(Into::into, |_| ReloadError::NoNewWorker(given)));
                }
            }
        }
    }
}

/// The state that a worker reports in one response.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) pid: u32,
    /// Whole seconds since it was started.
    uptime_s: u64,
    /// The start time, accurate to one second.
    pub(super) started: SystemTime,
    pub(super) version: Option<Version>,
    /// The reported servers. If the configuration was not written by doproxy, HAProxy reports that the backend does not
    /// exist.
    pub(super) state: Result<String, SocketError>,
}

#[cfg(test)]
impl Worker {
    /// Returns a worker without servers.
    pub(super) fn for_test(pid: u32, started: SystemTime) -> Self {
        Self { pid, uptime_s: 0, started, version: None, state: Ok(String::new()) }
    }
}

/// Queries the worker that responds on the stats socket.
pub(super) async fn query_worker(stats: &Socket) -> Result<Worker, SocketError> {
    let [facts, servers] = stats.query_each([Command::ShowInfo, Command::ShowServersState]).await?;
    let facts = facts?;
    let number = |key| info_field(&facts, key).and_then(|value| value.parse::<u64>().ok());
    let pid = number("Pid").and_then(|pid| u32::try_from(pid).ok());
    match (pid, number("Uptime_sec")) {
        (Some(pid), Some(uptime_s)) => Ok(Worker {
            pid,
            uptime_s,
            started: SystemTime::now().checked_sub(Duration::from_secs(uptime_s)).unwrap_or(SystemTime::UNIX_EPOCH),
            version: info_field(&facts, "Version").and_then(Version::parse),
            state: servers,
        }),
        _ => Err(stats.unexpected_response(Command::ShowInfo, &facts)),
    }
}

/// The criterion that distinguishes a worker started by a reload from previous ones.
#[derive(Debug)]
enum PreviousWorkers {
    /// The process IDs of the previous workers.
    Known(Vec<u32>),
    /// A worker existed but did not report its ID; the reload was requested at this time.
    Unresponsive(Instant),
}

impl PreviousWorkers {
    async fn query(stats: &Socket) -> Self {
        match query_worker(stats).await {
            Ok(worker) => Self::Known(vec![worker.pid]),
            // No worker is running.
            Err(SocketError::Unreachable { .. }) => Self::Known(Vec::new()),
            Err(_) => Self::Unresponsive(Instant::now()),
        }
    }

    fn is_superseded_by(&self, worker: &Worker) -> bool {
        match self {
            Self::Known(pids) => !pids.contains(&worker.pid),
            Self::Unresponsive(ordered) => worker.uptime_s <= ordered.elapsed().as_secs(),
        }
    }
}

/// Queries the processes, retrying while the master re-executes itself.
pub(super) async fn query_processes(master: &Socket, until: Instant) -> Result<Processes, SocketError> {
    let mut backoff = Backoff::until(until);
    loop {
        let response = master.query_master(Command::ShowProc).await;
        let read = response.and_then(|text| {
            Processes::parse(&text).ok_or_else(|| master.unexpected_response(Command::ShowProc, &text))
        });
        match read {
            Err(error) if !is_permanent(&error) && backoff.wait().await => {}
            read => return read,
        }
    }
}

/// Reports whether waiting cannot help: the socket does not exist or is not accessible.
fn is_permanent(error: &SocketError) -> bool {
    use std::io::ErrorKind::{NotFound, PermissionDenied};
    matches!(error, SocketError::Unreachable { source, .. } if matches!(source.kind(), NotFound | PermissionDenied))
}

/// Reloads via the master and returns the previous workers.
async fn reload_by_master(master: &Socket, until: Instant) -> Result<PreviousWorkers, ReloadError> {
    let before = query_processes(master, until).await?;
    let workers = || PreviousWorkers::Known(before.workers.iter().chain(&before.old_workers).copied().collect());
    let left = until.saturating_duration_since(Instant::now());
    match master.with_timeout(left).query_master(Command::Reload).await {
        Ok(response) if response.starts_with("Success=1") => return Ok(workers()),
        Ok(response) if response.starts_with("Success=0") => {
            let log = response.split_once("--\n").map_or("", |(_, log)| log);
            return Err(ReloadError::Failed(reload_command::clean_output(log)));
        }
        // HAProxy 2.6 sends no response, and may reset the connection while it re-executes itself.
        Ok(_) | Err(SocketError::Unreachable { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let mut backoff = Backoff::until(until);
    loop {
        let now = query_processes(master, until).await?;
        if let Some(outcome) = now.outcome(&before) {
            return outcome.map(|()| workers());
        }
        if !backoff.wait().await {
            return Err(ReloadError::NoNewWorker(backoff.total()));
        }
    }
}

async fn reload_by_command(words: &[String], deadline: Duration) -> Result<(), ReloadError> {
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let (program, arguments) = (Path::new(program), arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let ended = reload_command::run(program, &arguments, deadline)
        .await
        .map_err(|error| ReloadError::Other(Box::new(error)))?;
    if ended.status.success() {
        return Ok(());
    }
    Err(ReloadError::Command {
        command: reload_command::command_line(program, &arguments),
        status: ended.status.to_string(),
        output: reload_command::clean_output(&ended.output),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_processes(reloads: &str, workers: &str) -> Processes {
        let head = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n";
        Processes::parse(&format!("{head}10 master {reloads} 0d00h02m07s 2.6.12\n# workers\n{workers}# programs\n\n"))
            .unwrap()
    }

    #[test]
    fn processes_are_parsed_with_their_age() {
        let processes = parse_processes("5 [failed: 2]", "12 worker 0 0d 2.6\n# old workers\n11 worker 1 0d 2.6\n");

        assert_eq!(
            processes,
            Processes { master: 10, reloads: 5, failed: 2, workers: vec![12], old_workers: vec![11] }
        );
        assert_eq!(Processes::parse("Unknown command"), None);
    }

    fn worker_with_uptime(uptime_s: u64) -> Worker {
        Worker { uptime_s, ..Worker::for_test(11, SystemTime::UNIX_EPOCH) }
    }

    #[tokio::test(start_paused = true)]
    async fn slow_previous_worker_is_not_mistaken_for_new_one() {
        let (_dir, socket) = unresponsive_socket();
        let before = PreviousWorkers::query(&socket).await;
        tokio::time::advance(Duration::from_secs(3)).await;

        assert!(!before.is_superseded_by(&worker_with_uptime(10)));
        assert!(before.is_superseded_by(&worker_with_uptime(2)));
    }

    #[tokio::test]
    async fn any_worker_is_new_if_none_was_running() {
        let before = PreviousWorkers::query(&Socket::new(Path::new("/nowhere/sock"), Duration::from_secs(5))).await;

        assert!(before.is_superseded_by(&worker_with_uptime(10)));
    }

    /// Returns a socket that never responds.
    fn unresponsive_socket() -> (impl Sized, Socket) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        ((dir, listener), Socket::new(&path, Duration::from_secs(5)))
    }

    #[test]
    fn reload_succeeds_when_counter_moved_and_worker_is_new() {
        let before = parse_processes("0 [failed: 0]", "11 worker 0 0d 2.6\n");

        let under_way = parse_processes("0 [failed: 0]", "11 worker 0 0d 2.6\n").outcome(&before);
        let worked = parse_processes("1 [failed: 0]", "12 worker 0 0d 2.6\n# old workers\n11 worker 1 0d 2.6\n")
            .outcome(&before);
        let failed = parse_processes("1 [failed: 1]", "11 worker 1 0d 2.6\n").outcome(&before);

        assert!(under_way.is_none());
        assert!(matches!(worked, Some(Ok(()))));
        assert!(matches!(failed, Some(Err(ReloadError::Failed(_)))));
    }
}
