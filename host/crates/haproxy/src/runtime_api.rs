//! A client for HAProxy's Runtime API on a stats or master socket.
//!
//! Each batch of commands uses its own connection, because a connection that is open during a reload stays with the old
//! worker. doproxy closes its side after sending the command (the master of HAProxy 2.6 does not close its own
//! otherwise) and reads the response to its end. Only the commands below can be sent; any text in them that originates
//! from the file or from HAProxy was checked against the rules of [`escape`](crate::escape), which makes it impossible
//! to inject a `;` or a line break.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::haproxy::BACKEND;
use crate::socket_error::SocketError;

/// Maximum size of a response; statistics of 10,000 servers are 2.5 MB.
const MAX_RESPONSE_BYTES: u64 = 64 << 20;

/// Maximum number of characters of a response in an error.
const MAX_SHOWN_CHARS: usize = 200;

/// A read or reload command of the Runtime API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// Information about the worker.
    ShowInfo,
    /// Statistics of the fleet's backend and its servers, as CSV.
    ShowStat,
    /// Addresses and weights of the fleet's servers.
    ShowServersState,
    /// Master socket: lists the processes.
    ShowProc,
    /// Master socket: reloads the configuration.
    Reload,
    /// Master socket: [`Command::ShowStat`] of the worker with this process ID.
    ShowWorkerStat(u32),
    /// Master socket: the sessions of the worker with this process ID.
    ShowWorkerSessions(u32),
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
            Self::ShowWorkerSessions(pid) => write!(f, "@!{pid} show sess"),
            Self::ShowWorkerStat(pid) => write!(f, "@!{pid} show stat {BACKEND} 6 -1"),
        }
    }
}

/// A command that changes a server of the fleet's backend. All names have passed [`is_name`](crate::escape::is_name).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServerCommand<'a> {
    /// Adds the server in maintenance and without checks; its arguments come from
    /// [`add_server_args`](crate::layout::ServerLine::add_server_args).
    Add(&'a str, &'a str),
    /// Enables health checks.
    EnableHealth(&'a str),
    /// Sets the weight.
    SetWeight(&'a str, u32),
    /// Allows sessions, ramping up slowly.
    Ready(&'a str),
    /// Stops new sessions.
    Drain(&'a str),
    /// Stops new sessions and health checks.
    Maintenance(&'a str),
    /// Shuts down all sessions of the server.
    ShutdownSessions(&'a str),
    /// Shuts down the session that [`Command::ShowWorkerSessions`] lists with this ID.
    ShutdownSession(&'a str),
    /// Deletes the server, which must be in maintenance and without connections.
    Delete(&'a str),
}

impl fmt::Display for ServerCommand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(name, line) => write!(f, "add server {BACKEND}/{name} {line}"),
            Self::EnableHealth(name) => write!(f, "enable health {BACKEND}/{name}"),
            Self::SetWeight(name, weight) => write!(f, "set server {BACKEND}/{name} weight {weight}"),
            Self::Ready(name) => write!(f, "set server {BACKEND}/{name} state ready"),
            Self::Drain(name) => write!(f, "set server {BACKEND}/{name} state drain"),
            Self::Maintenance(name) => write!(f, "set server {BACKEND}/{name} state maint"),
            Self::ShutdownSessions(name) => write!(f, "shutdown sessions server {BACKEND}/{name}"),
            Self::ShutdownSession(id) => write!(f, "shutdown session {id}"),
            Self::Delete(name) => write!(f, "del server {BACKEND}/{name}"),
        }
    }
}

/// The beginning of every command line. It makes HAProxy prefix messages with a severity number, which distinguishes
/// them from requested output.
const SEVERITY_PREFIX: &str = "set severity-output number";

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

    /// Returns the same socket with a different response timeout.
    pub(super) fn with_timeout(&self, timeout: Duration) -> Self {
        Self { path: self.path.clone(), timeout }
    }

    /// Sends one query to the master.
    pub(super) async fn query_master(&self, command: Command) -> Result<String, SocketError> {
        self.exchange(&command.to_string()).await
    }

    /// Sends several queries, all answered by the same worker at the same time, and returns as many responses.
    pub(super) async fn query<const N: usize>(&self, commands: [Command; N]) -> Result<[String; N], SocketError> {
        let mut out = [const { String::new() }; N];
        for (text, response) in out.iter_mut().zip(self.query_each(commands).await?) {
            *text = response?;
        }
        Ok(out)
    }

    /// Sends queries like [`Socket::query`], with a separate result for each.
    pub(super) async fn query_each<const N: usize>(
        &self,
        commands: [Command; N],
    ) -> Result<[Result<String, SocketError>; N], SocketError> {
        let mut line = String::from(SEVERITY_PREFIX);
        for command in commands {
            line.push(';');
            line.push_str(&command.to_string());
        }
        let text = self.exchange(&line).await?;
        // Every response ends with an empty line; that of `set` is nothing else.
        let mut responses = text.strip_prefix('\n').unwrap_or(&text).split("\n\n");
        Ok(commands.map(|command| {
            let text = responses.next().unwrap_or_default();
            // Text with a severity prefix is a message and not the requested output.
            if text.is_empty() || text.starts_with('[') {
                return Err(self.unexpected_response(command, text));
            }
            Ok(text.to_owned())
        }))
    }

    /// Executes commands in order and treats each message in the response as a rejection unless it is a notice.
    pub(super) async fn execute(&self, orders: &[ServerCommand<'_>]) -> Result<(), SocketError> {
        let mut line = String::from(SEVERITY_PREFIX);
        for order in orders {
            line.push(';');
            line.push_str(&order.to_string());
        }
        let response = self.exchange(&line).await?;
        // HAProxy acknowledges an executed command with an empty line or a notice.
        match response.lines().find(|line| !line.is_empty() && !is_notice(line)) {
            None => Ok(()),
            Some(refusal) => {
                Err(self.unexpected_response(line.split_once(';').map_or("", |(_, orders)| orders), refusal))
            }
        }
    }

    /// Passes a command to the worker with this process ID through its master, which does not report the result.
    pub(super) async fn execute_on_worker(&self, pid: u32, order: &ServerCommand<'_>) -> Result<(), SocketError> {
        self.exchange(&format!("@!{pid} {order}")).await.map(drop)
    }

    /// Returns the error for a response that does not match `command`.
    pub(super) fn unexpected_response(&self, command: impl fmt::Display, response: &str) -> SocketError {
        let response = response.trim().chars().take(MAX_SHOWN_CHARS).collect();
        SocketError::UnexpectedResponse { path: self.path.clone(), command: command.to_string(), response }
    }

    async fn exchange(&self, line: &str) -> Result<String, SocketError> {
        let command = || line.rsplit(';').next().unwrap_or_default().to_owned();
        let bytes = tokio::time::timeout(self.timeout, self.send_and_read(line))
            .await
            .map_err(|_| SocketError::TimedOut { path: self.path.clone(), command: command(), after: self.timeout })?
            .map_err(|source| SocketError::Unreachable { path: self.path.clone(), source })?;
        if bytes.len() as u64 > MAX_RESPONSE_BYTES {
            return Err(SocketError::TooLong {
                path: self.path.clone(),
                command: command(),
                limit: MAX_RESPONSE_BYTES,
            });
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn send_and_read(&self, line: &str) -> io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&self.path).await?;
        stream.write_all(line.as_bytes()).await?;
        stream.write_all(b"\n").await?;
        stream.shutdown().await?;
        let mut bytes = Vec::new();
        stream.take(MAX_RESPONSE_BYTES + 1).read_to_end(&mut bytes).await?;
        Ok(bytes)
    }
}

/// Reports whether a message is a notice or less severe: syslog's severities 5 to 7.
fn is_notice(message: &str) -> bool {
    ["[5]: ", "[6]: ", "[7]: "].iter().any(|severity| message.starts_with(severity))
}

/// Delays that grow from 2 to 100 ms, until a deadline.
#[derive(Debug)]
pub(super) struct Backoff {
    delays: doproxy_support::Backoff,
    since: Instant,
    until: Instant,
}

impl Backoff {
    pub(super) fn until(until: Instant) -> Self {
        let delays = doproxy_support::Backoff::new(Duration::from_millis(2), Duration::from_millis(100));
        Self { delays, since: Instant::now(), until }
    }

    /// Returns the total waiting time.
    pub(super) fn total(&self) -> Duration {
        self.until.saturating_duration_since(self.since)
    }

    /// Waits; returns `false` when the deadline has passed.
    pub(super) async fn wait(&mut self) -> bool {
        if Instant::now() >= self.until {
            return false;
        }
        tokio::time::sleep(self.delays.next_delay()).await;
        true
    }
}

/// Returns the IDs of the sessions with these servers of the fleet from a `show sess` response, which has one line per
/// session: `0x55… be=… srv=…`.
pub(super) fn sessions_with<'a>(dump: &'a str, names: &[String]) -> Vec<&'a str> {
    let id_of = |line: &'a str| {
        let (id, rest) = line.split_once(": ")?;
        let value = |key| rest.split_ascii_whitespace().find_map(|word| word.strip_prefix(key));
        let ours = value("be=") == Some(BACKEND) && names.iter().any(|name| value("srv=") == Some(name));
        let digits = id.strip_prefix("0x")?;
        (ours && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
    };
    dump.lines().filter_map(id_of).collect()
}

/// Returns the value of `key` in a response of `key: value` lines.
pub(super) fn info_field<'a>(info: &'a str, key: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    /// Returns a socket that reads one command to its end and then sends `response`.
    fn scripted_socket(response: &'static str) -> (tempfile::TempDir, Socket) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = String::new();
            stream.read_to_string(&mut question).await.unwrap();
            stream.write_all(response.as_bytes()).await.unwrap();
        });
        (dir, Socket::new(&path, Duration::from_secs(5)))
    }

    #[tokio::test]
    async fn batch_responses_are_separated() {
        let (_dir, socket) = scripted_socket("\nName: HAProxy\nPid: 7\n\n# pxname,svname,\ndroplets,BACKEND,\n\n");

        let [info, stat] = socket.query([Command::ShowInfo, Command::ShowStat]).await.unwrap();

        assert_eq!(info_field(&info, "Pid"), Some("7"));
        assert_eq!(stat, "# pxname,svname,\ndroplets,BACKEND,");
    }

    #[tokio::test]
    async fn message_instead_of_output_is_an_error() {
        let (_dir, socket) = scripted_socket("\n[3]: Can't find backend.\n\n");

        let error = socket.query([Command::ShowServersState]).await.unwrap_err();

        assert!(error.to_string().ends_with("with \"[3]: Can't find backend.\""), "{error}");
    }

    #[tokio::test]
    async fn executed_commands_return_notices_or_nothing() {
        let (_dir, socket) = scripted_socket("\n[6]: New server registered.\n\n\n\n");

        socket
            .execute(&[ServerCommand::Add("web-7", "10.0.0.7:80 id 7"), ServerCommand::Drain("web-7")])
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn rejected_command_is_an_error() {
        let (_dir, socket) = scripted_socket("\n\n[3]: No such server.\n\n");

        let error =
            socket.execute(&[ServerCommand::SetWeight("web-7", 0), ServerCommand::Drain("web-7")]).await.unwrap_err();

        let message = error.to_string().replace(&*socket.path.to_string_lossy(), "SOCKET");
        insta::assert_snapshot!(message, @r#"HAProxy responded to `set server droplets/web-7 weight 0;set server droplets/web-7 state drain` on SOCKET with "[3]: No such server.""#);
    }

    #[test]
    fn sessions_are_found_by_server() {
        let dump = "0x56499ed3bf60: proto=tcpv4 src=127.0.0.1:56316 fe=f be=droplets srv=web-1 ts=00 age=1s\n\
                    0x56499ed3bf61: proto=tcpv4 src=127.0.0.1:56317 fe=f be=droplets srv=web-12 ts=00 age=1s\n\
                    0x56499ed3bf62: proto=tcpv4 src=127.0.0.1:56318 fe=f be=other srv=web-1 ts=00 age=1s\n\
                    0x5;reload: proto=tcpv4 src=127.0.0.1:56319 fe=f be=droplets srv=web-1 ts=00 age=1s\n\
                    0x7f42ec03f690: proto=sockpair src=unix:2 fe=GLOBAL be=<NONE> srv=<none> ts=00 epoch=0\n";

        assert_eq!(sessions_with(dump, &["web-1".to_owned()]), ["0x56499ed3bf60"]);
        assert_eq!(sessions_with("", &["web-1".to_owned()]), [""; 0]);
    }

    #[tokio::test]
    async fn truncated_response_is_an_error() {
        let (_dir, socket) = scripted_socket("\nName: HAProxy\n\n");

        assert!(matches!(
            socket.query([Command::ShowInfo, Command::ShowStat]).await,
            Err(SocketError::UnexpectedResponse { response, .. }) if response.is_empty()
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn unresponsive_socket_times_out() {
        let dir = tempfile::tempdir().unwrap();
        let _listener = UnixListener::bind(dir.path().join("sock")).unwrap();

        let error =
            Socket::new(&dir.path().join("sock"), Duration::from_secs(5)).query([Command::ShowInfo]).await.unwrap_err();

        assert!(matches!(error, SocketError::TimedOut { command, .. } if command == "show info"));
    }

    #[tokio::test]
    async fn unreachable_socket_error_includes_remedy() {
        let error = Socket::new(Path::new("/nowhere/sock"), Duration::from_secs(5))
            .query([Command::ShowInfo])
            .await
            .unwrap_err();

        insta::assert_snapshot!(error, @"HAProxy is unreachable on /nowhere/sock: No such file or directory (os error 2); check that HAProxy is running (`systemctl start haproxy`) and that its socket exists");
    }
}
