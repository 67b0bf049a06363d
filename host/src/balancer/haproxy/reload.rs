//! Getting the running HAProxy to read its file, and knowing that it did.
//!
//! The master's own `reload` is used and never a signal: of two signals in quick succession one is lost. From 2.7 on
//! its answer says whether it worked; before, the reload counter and the failures in `show proc` do. While the
//! master executes itself anew, its socket refuses connections.

use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::command;
use super::error::{ReloadError, SocketError};
use super::plan::Version;
use super::runtime::{Backoff, Command, Socket, fact};
use super::{HaProxyError, Options, Reload};
use crate::crash::around_async;

/// What `show proc` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Processes {
    master: u32,
    /// How often the master was told to reload since it was started.
    pub(super) reloads: u64,
    failed: u64,
    workers: Vec<u32>,
    /// Workers of before a reload, which still have connections.
    pub(super) old_workers: Vec<u32>,
}

impl Processes {
    /// Reads `show proc` (management guide, section 9.4); `None` where the text is none.
    pub(super) fn read(text: &str) -> Option<Self> {
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
                    // `[failed: 1]`, from 2.5 on.
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

    /// Whether there is a worker of the present configuration.
    pub(super) fn is_up(&self) -> bool {
        !self.workers.is_empty()
    }

    /// What became of a reload that was ordered when the processes were `before`; `None` while it is under way.
    fn outcome(&self, before: &Self) -> Option<Result<(), ReloadError>> {
        if self.master == before.master && self.reloads <= before.reloads {
            return None;
        }
        if self.failed > 0 {
            let why = "the new worker could not start, for example since an address is in use; HAProxy's log says more";
            return Some(Err(ReloadError::Failed(why.into())));
        }
        self.workers.iter().any(|pid| !before.workers.contains(pid)).then_some(Ok(()))
    }
}

/// Whether the processes can be asked to reload at all: what to find out before anything is changed.
pub(super) async fn is_possible(options: &Options) -> Result<(), SocketError> {
    if let Reload::MasterSocket(path) = &options.reload {
        let until = Instant::now() + options.deadlines.answer;
        processes(&Socket::new(path, options.deadlines.answer), until).await?;
    }
    Ok(())
}

/// Orders a reload, and waits until a worker answers on the stats socket that was started by it.
pub(super) async fn reload(options: &Options) -> Result<Worker, ReloadError> {
    let until = Instant::now() + options.deadlines.reload;
    let stats = Socket::new(&options.stats_socket, options.deadlines.answer);
    let before = match &options.reload {
        Reload::MasterSocket(path) => {
            let master = Socket::new(path, options.deadlines.answer);
            around_async("reload by the master", by_master(&master, until)).await?
        }
        Reload::Command(words) => {
            let before = Before::ask(&stats).await;
            by_command(words, options.deadlines.reload).await?;
            before
        }
    };
    around_async("wait for the new worker", first_after(&before, &stats, until, options.deadlines.reload)).await
}

/// The first worker that answers and was not there before.
async fn first_after(before: &Before, stats: &Socket, until: Instant, given: Duration) -> Result<Worker, ReloadError> {
    let mut backoff = Backoff::until(until);
    loop {
        match worker(stats).await {
            Ok(worker) if before.is_over_with(&worker) => return Ok(worker),
            now => {
                if !backoff.wait().await {
                    return Err(now.map_or_else(Into::into, |_| ReloadError::NoNewWorker(given)));
                }
            }
        }
    }
}

/// What a worker says of itself, all at one time.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) pid: u32,
    /// The whole seconds since it was started.
    uptime_s: u64,
    /// When it was started, give or take a second.
    pub(super) started: SystemTime,
    pub(super) version: Option<Version>,
    /// Its servers. HAProxy says that there is no such backend where its configuration is not one of ours.
    pub(super) state: Result<String, SocketError>,
}

#[cfg(test)]
impl Worker {
    /// A worker without servers.
    pub(super) fn that_is(pid: u32, started: SystemTime) -> Self {
        Self { pid, uptime_s: 0, started, version: None, state: Ok(String::new()) }
    }
}

/// The worker that answers on the stats socket.
pub(super) async fn worker(stats: &Socket) -> Result<Worker, SocketError> {
    let [facts, servers] = stats.ask_each([Command::ShowInfo, Command::ShowServersState]).await?;
    let facts = facts?;
    let number = |key| fact(&facts, key).and_then(|value| value.parse::<u64>().ok());
    let pid = number("Pid").and_then(|pid| u32::try_from(pid).ok());
    match (pid, number("Uptime_sec")) {
        (Some(pid), Some(uptime_s)) => Ok(Worker {
            pid,
            uptime_s,
            started: SystemTime::now().checked_sub(Duration::from_secs(uptime_s)).unwrap_or(SystemTime::UNIX_EPOCH),
            version: fact(&facts, "Version").and_then(Version::read),
            state: servers,
        }),
        _ => Err(stats.nonsense(Command::ShowInfo, &facts)),
    }
}

/// By what a worker that was started by a reload is told from those of before.
#[derive(Debug)]
enum Before {
    /// The process ids of before.
    Workers(Vec<u32>),
    /// A worker was there and did not say its id; the reload was ordered then.
    Silent(Instant),
}

impl Before {
    async fn ask(stats: &Socket) -> Self {
        match worker(stats).await {
            Ok(worker) => Self::Workers(vec![worker.pid]),
            // Nobody is there.
            Err(SocketError::Unreachable { .. }) => Self::Workers(Vec::new()),
            Err(_) => Self::Silent(Instant::now()),
        }
    }

    fn is_over_with(&self, worker: &Worker) -> bool {
        match self {
            Self::Workers(pids) => !pids.contains(&worker.pid),
            Self::Silent(ordered) => worker.uptime_s <= ordered.elapsed().as_secs(),
        }
    }
}

/// The processes; patient with a master that is executing itself anew.
pub(super) async fn processes(master: &Socket, until: Instant) -> Result<Processes, SocketError> {
    let mut backoff = Backoff::until(until);
    loop {
        let answer = master.ask_master(Command::ShowProc).await;
        let read =
            answer.and_then(|text| Processes::read(&text).ok_or_else(|| master.nonsense(Command::ShowProc, &text)));
        match read {
            Err(error) if !is_final(&error) && backoff.wait().await => {}
            read => return read,
        }
    }
}

/// Whether waiting cannot help: there is no such socket, or it is not for us.
fn is_final(error: &SocketError) -> bool {
    use std::io::ErrorKind::{NotFound, PermissionDenied};
    matches!(error, SocketError::Unreachable { source, .. } if matches!(source.kind(), NotFound | PermissionDenied))
}

/// Reloads, and answers the workers of before.
async fn by_master(master: &Socket, until: Instant) -> Result<Before, ReloadError> {
    let before = processes(master, until).await?;
    let workers = || Before::Workers(before.workers.iter().chain(&before.old_workers).copied().collect());
    let left = until.saturating_duration_since(Instant::now());
    match master.within(left).ask_master(Command::Reload).await {
        Ok(answer) if answer.starts_with("Success=1") => return Ok(workers()),
        Ok(answer) if answer.starts_with("Success=0") => {
            let log = answer.split_once("--\n").map_or("", |(_, log)| log);
            return Err(ReloadError::Failed(command::cleaned(log)));
        }
        // 2.6 says nothing, and may reset the connection while it executes itself.
        Ok(_) | Err(SocketError::Unreachable { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let mut backoff = Backoff::until(until);
    loop {
        let now = processes(master, until).await?;
        if let Some(outcome) = now.outcome(&before) {
            return outcome.map(|()| workers());
        }
        if !backoff.wait().await {
            return Err(ReloadError::NoNewWorker(backoff.given()));
        }
    }
}

async fn by_command(words: &[String], deadline: Duration) -> Result<(), ReloadError> {
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let (program, arguments) = (Path::new(program), arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let ended =
        command::run(program, &arguments, deadline).await.map_err(|error| ReloadError::Other(Box::new(error)))?;
    if ended.status.success() {
        return Ok(());
    }
    Err(ReloadError::Command {
        command: command::written(program, &arguments),
        status: ended.status.to_string(),
        output: command::cleaned(&ended.output),
    })
}

impl From<HaProxyError> for ReloadError {
    fn from(error: HaProxyError) -> Self {
        Self::Other(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(reloads: &str, workers: &str) -> Processes {
        let head = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n";
        Processes::read(&format!("{head}10 master {reloads} 0d00h02m07s 2.6.12\n# workers\n{workers}# programs\n\n"))
            .unwrap()
    }

    #[test]
    fn processes_are_read_with_their_age() {
        let processes = shown("5 [failed: 2]", "12 worker 0 0d 2.6\n# old workers\n11 worker 1 0d 2.6\n");

        assert_eq!(
            processes,
            Processes { master: 10, reloads: 5, failed: 2, workers: vec![12], old_workers: vec![11] }
        );
        assert_eq!(Processes::read("Unknown command"), None);
    }

    fn worker_that_is_up_for(uptime_s: u64) -> Worker {
        Worker { uptime_s, ..Worker::that_is(11, SystemTime::UNIX_EPOCH) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_of_before_that_was_slow_is_not_taken_for_a_new_one() {
        let (_dir, socket) = silent_socket();
        let before = Before::ask(&socket).await;
        tokio::time::advance(Duration::from_secs(3)).await;

        assert!(!before.is_over_with(&worker_that_is_up_for(10)));
        assert!(before.is_over_with(&worker_that_is_up_for(2)));
    }

    #[tokio::test]
    async fn where_nobody_was_there_before_whoever_answers_is_new() {
        let before = Before::ask(&Socket::new(Path::new("/nowhere/sock"), Duration::from_secs(5))).await;

        assert!(before.is_over_with(&worker_that_is_up_for(10)));
    }

    /// A socket that never answers.
    fn silent_socket() -> (impl Sized, Socket) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        ((dir, listener), Socket::new(&path, Duration::from_secs(5)))
    }

    #[test]
    fn a_reload_has_worked_when_the_counter_moved_and_a_new_worker_is_there() {
        let before = shown("0 [failed: 0]", "11 worker 0 0d 2.6\n");

        let under_way = shown("0 [failed: 0]", "11 worker 0 0d 2.6\n").outcome(&before);
        let worked = shown("1 [failed: 0]", "12 worker 0 0d 2.6\n# old workers\n11 worker 1 0d 2.6\n").outcome(&before);
        let failed = shown("1 [failed: 1]", "11 worker 1 0d 2.6\n").outcome(&before);

        assert!(under_way.is_none());
        assert!(matches!(worked, Some(Ok(()))));
        assert!(matches!(failed, Some(Err(ReloadError::Failed(_)))));
    }
}
