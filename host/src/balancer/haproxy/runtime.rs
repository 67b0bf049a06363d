//! HAProxy's runtime API: questions and answers on a stats or master socket.
//!
//! Each batch of commands has a connection of its own, since a connection that is open during a reload stays with
//! the worker of before. Our side is closed after the question (the master of HAProxy 2.6 does not close its own
//! otherwise), and the answer is read to its end. Only the commands below can be sent; none carries text from
//! outside, so nobody can smuggle in a `;` or a line break.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::BACKEND;
use super::error::SocketError;

/// The most that is read of an answer; statistics of 10,000 servers are 2.5 MB.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

/// How much of an answer an error shows.
const SHOWN_CHARACTERS: usize = 200;

/// A command of the runtime API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// Facts about the worker.
    ShowInfo,
    /// Statistics of the fleet's backend and its servers, as CSV.
    ShowStat,
    /// Addresses and weights of the fleet's servers.
    ShowServersState,
    /// Master socket: the processes.
    ShowProc,
    /// Master socket: read the configuration again.
    Reload,
    /// Master socket: [`Command::ShowStat`] of the worker with this process id.
    ShowStatOf(u32),
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShowInfo => f.write_str("show info"),
            // 6 is 2 (backends) and 4 (servers); -1 is every server.
            Self::ShowStat => write!(f, "show stat {BACKEND} 6 -1"),
            Self::ShowServersState => write!(f, "show servers state {BACKEND}"),
            Self::ShowProc => f.write_str("show proc"),
            Self::Reload => f.write_str("reload"),
            Self::ShowStatOf(pid) => write!(f, "@!{pid} show stat {BACKEND} 6 -1"),
        }
    }
}

/// A socket that HAProxy listens on.
#[derive(Debug, Clone)]
pub(super) struct Socket {
    path: PathBuf,
    timeout: Duration,
}

impl Socket {
    pub(super) fn new(path: &Path, timeout: Duration) -> Self {
        Self { path: path.to_owned(), timeout }
    }

    /// The same socket with another limit on the time of an answer.
    pub(super) fn within(&self, timeout: Duration) -> Self {
        Self { path: self.path.clone(), timeout }
    }

    /// Asks the master one thing.
    pub(super) async fn ask_master(&self, command: Command) -> Result<String, SocketError> {
        self.exchange(&command.to_string()).await
    }

    /// Asks a worker several things, all of one worker at one time; as many answers come back.
    pub(super) async fn ask<const N: usize>(&self, commands: [Command; N]) -> Result<[String; N], SocketError> {
        let mut out = [const { String::new() }; N];
        for (text, answer) in out.iter_mut().zip(self.ask_each(commands).await?) {
            *text = answer?;
        }
        Ok(out)
    }

    /// As [`Socket::ask`], where one thing may be answered and another not.
    pub(super) async fn ask_each<const N: usize>(
        &self,
        commands: [Command; N],
    ) -> Result<[Result<String, SocketError>; N], SocketError> {
        let mut line = String::from("set severity-output number");
        for command in commands {
            line.push(';');
            line.push_str(&command.to_string());
        }
        let text = self.exchange(&line).await?;
        // Every answer ends with an empty line; that of `set` is nothing else.
        let mut answers = text.strip_prefix('\n').unwrap_or(&text).split("\n\n");
        Ok(commands.map(|command| {
            let text = answers.next().unwrap_or_default();
            // With a severity before it, it is a message and not what was asked for.
            if text.is_empty() || text.starts_with('[') {
                return Err(self.nonsense(command, text));
            }
            Ok(text.to_owned())
        }))
    }

    /// Says that `answer` is none to `command`.
    pub(super) fn nonsense(&self, command: Command, answer: &str) -> SocketError {
        let answer = answer.trim().chars().take(SHOWN_CHARACTERS).collect();
        SocketError::Answer { path: self.path.clone(), command: command.to_string(), answer }
    }

    async fn exchange(&self, line: &str) -> Result<String, SocketError> {
        let command = || line.rsplit(';').next().unwrap_or_default().to_owned();
        let bytes = tokio::time::timeout(self.timeout, self.send_and_read(line))
            .await
            .map_err(|_| SocketError::TimedOut { path: self.path.clone(), command: command(), after: self.timeout })?
            .map_err(|source| SocketError::Unreachable { path: self.path.clone(), source })?;
        if bytes.len() as u64 > MAX_ANSWER_BYTES {
            return Err(SocketError::TooLong { path: self.path.clone(), command: command(), limit: MAX_ANSWER_BYTES });
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn send_and_read(&self, line: &str) -> io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&self.path).await?;
        stream.write_all(line.as_bytes()).await?;
        stream.write_all(b"\n").await?;
        stream.shutdown().await?;
        let mut bytes = Vec::new();
        stream.take(MAX_ANSWER_BYTES + 1).read_to_end(&mut bytes).await?;
        Ok(bytes)
    }
}

/// Waits that grow from 2 to 100 ms, until a deadline.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    since: Instant,
    until: Instant,
}

impl Backoff {
    pub(super) fn until(until: Instant) -> Self {
        Self { next: Duration::from_millis(2), since: Instant::now(), until }
    }

    /// How long there is to wait in all.
    pub(super) fn given(&self) -> Duration {
        self.until.saturating_duration_since(self.since)
    }

    /// Waits; `false` when the deadline has passed.
    pub(super) async fn wait(&mut self) -> bool {
        if Instant::now() >= self.until {
            return false;
        }
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(Duration::from_millis(100));
        true
    }
}

/// The value of `key` in an answer of lines `key: value`.
pub(super) fn fact<'a>(info: &'a str, key: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    /// A socket that reads a question to its end and then answers `answer`, once.
    fn socket_that_answers(answer: &'static str) -> (tempfile::TempDir, Socket) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = String::new();
            stream.read_to_string(&mut question).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        (dir, Socket::new(&path, Duration::from_secs(5)))
    }

    #[tokio::test]
    async fn answers_of_a_batch_are_told_apart() {
        let (_dir, socket) = socket_that_answers("\nName: HAProxy\nPid: 7\n\n# pxname,svname,\ndroplets,BACKEND,\n\n");

        let [info, stat] = socket.ask([Command::ShowInfo, Command::ShowStat]).await.unwrap();

        assert_eq!(fact(&info, "Pid"), Some("7"));
        assert_eq!(stat, "# pxname,svname,\ndroplets,BACKEND,");
    }

    #[tokio::test]
    async fn a_message_instead_of_an_answer_is_an_error_with_its_words() {
        let (_dir, socket) = socket_that_answers("\n[3]: Can't find backend.\n\n");

        let error = socket.ask([Command::ShowServersState]).await.unwrap_err();

        assert!(error.to_string().ends_with("with \"[3]: Can't find backend.\""), "{error}");
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_short_is_an_error() {
        let (_dir, socket) = socket_that_answers("\nName: HAProxy\n\n");

        assert!(matches!(
            socket.ask([Command::ShowInfo, Command::ShowStat]).await,
            Err(SocketError::Answer { answer, .. }) if answer.is_empty()
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_never_answers_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let _listener = UnixListener::bind(dir.path().join("sock")).unwrap();

        let error =
            Socket::new(&dir.path().join("sock"), Duration::from_secs(5)).ask([Command::ShowInfo]).await.unwrap_err();

        assert!(matches!(error, SocketError::TimedOut { command, .. } if command == "show info"));
    }

    #[tokio::test]
    async fn a_socket_where_nobody_listens_comes_with_a_remedy() {
        let error =
            Socket::new(Path::new("/nowhere/sock"), Duration::from_secs(5)).ask([Command::ShowInfo]).await.unwrap_err();

        insta::assert_snapshot!(error, @"HAProxy does not answer on /nowhere/sock: No such file or directory (os error 2); is HAProxy running (`systemctl start haproxy`), and is its socket there?");
    }
}
