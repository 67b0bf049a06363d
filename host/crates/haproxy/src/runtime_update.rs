//! Updates the servers of a running worker without a reload.
//!
//! A new server starts with its health check enabled and without traffic, and receives traffic once the controller has
//! seen the check pass; after a drain its traffic ramps up slowly (`slowstart`). A server to be removed is drained
//! first, its remaining sessions are shut down, and it is deleted from maintenance. HAProxy refuses the deletion while
//! idle connections remain: doproxy then retries for a short time, after which the server stays in maintenance with
//! weight 0 until the next update.

use std::time::Duration;

use doproxy_support::failpoint_async;
use tokio::time::Instant;

use crate::runtime_api::{Backoff, ServerCommand, Socket};
use crate::socket_error::SocketError;
use crate::update_plan::ServerOp;

/// Time limit for deleting all removed servers after their sessions were shut down.
const DELETE_TIMEOUT: Duration = Duration::from_millis(500);

/// Number of servers changed, by kind of change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct UpdateCounts {
    pub(super) added: usize,
    pub(super) removed: usize,
    pub(super) changed: usize,
}

/// Executes the operations on the worker behind `socket`.
pub(super) async fn execute(socket: &Socket, steps: &[ServerOp]) -> Result<UpdateCounts, SocketError> {
    let mut counts = UpdateCounts::default();
    let going = |server: bool| {
        steps.iter().filter_map(move |step| match step {
            ServerOp::Remove { name, is_in_maintenance: is_leftover } if *is_leftover == server => Some(name.as_str()),
            _ => None,
        })
    };
    // Deleted first because their names may be reused.
    let leftovers: Vec<&str> = going(true).collect();
    delete(socket, &leftovers, DELETE_TIMEOUT).await?;
    for step in steps {
        match step {
            ServerOp::Add { name, line, is_serving: serves } => {
                let then = if *serves { ServerCommand::Ready(name) } else { ServerCommand::Drain(name) };
                let orders = [ServerCommand::Add(name, line), ServerCommand::EnableHealth(name), then];
                failpoint_async("add a server to the worker", socket.execute(&orders)).await?;
                counts.added += 1;
            }
            ServerOp::Serve { name, weight } => {
                // HAProxy applies `slowstart` only to a server that comes back from a drain.
                let orders =
                    [ServerCommand::Drain(name), ServerCommand::SetWeight(name, *weight), ServerCommand::Ready(name)];
                failpoint_async("send traffic to a server", socket.execute(&orders)).await?;
                counts.changed += 1;
            }
            ServerOp::Drain { name } => {
                failpoint_async(
                    "drain a server",
                    socket.execute(&[ServerCommand::Drain(name), ServerCommand::SetWeight(name, 0)]),
                )
                .await?;
                counts.changed += 1;
            }
            ServerOp::Remove { is_in_maintenance: true, .. } => {}
            ServerOp::Remove { name, is_in_maintenance: false } => {
                let orders = [
                    ServerCommand::Drain(name),
                    ServerCommand::SetWeight(name, 0),
                    ServerCommand::ShutdownSessions(name),
                ];
                failpoint_async("shut down the sessions of a server", socket.execute(&orders)).await?;
                counts.removed += 1;
            }
        }
    }
    let going: Vec<&str> = going(false).collect();
    for (name, why) in delete(socket, &going, DELETE_TIMEOUT).await? {
        tracing::info!("{name} stays in maintenance because HAProxy cannot delete it yet: {}", why.trim());
    }
    Ok(counts)
}

/// Deletes servers, retrying for up to `patience` those that still have connections; the remaining ones stay in
/// maintenance and are returned with HAProxy's reason.
pub(super) async fn delete<'a>(
    socket: &Socket,
    names: &[&'a str],
    patience: Duration,
) -> Result<Vec<(&'a str, String)>, SocketError> {
    let mut left: Vec<&str> = names.to_vec();
    let mut backoff = Backoff::until(Instant::now() + patience);
    loop {
        let mut refused = Vec::new();
        for name in left {
            // Maintenance closes the server's idle connections, which takes a moment.
            let retire = [ServerCommand::SetWeight(name, 0), ServerCommand::Maintenance(name)];
            failpoint_async("put a server into maintenance", socket.execute(&retire)).await?;
            match failpoint_async("delete a server from the worker", socket.execute(&[ServerCommand::Delete(name)]))
                .await
            {
                Ok(()) => {}
                Err(SocketError::UnexpectedResponse { response, .. }) => refused.push((name, response)),
                Err(error) => return Err(error),
            }
        }
        if refused.is_empty() || !backoff.wait().await {
            return Ok(refused);
        }
        left = refused.into_iter().map(|(name, _)| name).collect();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixListener;

    use super::*;

    /// Returns a socket that answers each connection with the result of `answer` on its commands, and records the
    /// commands.
    fn scripted_socket(
        respond: impl Fn(&str, usize) -> &'static str + Send + 'static,
    ) -> (impl Sized, Socket, Arc<Mutex<Vec<String>>>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let listener = UnixListener::bind(&path).unwrap();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&sent);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut commands = String::new();
                stream.read_to_string(&mut commands).await.unwrap();
                let commands = commands.trim().trim_start_matches("set severity-output number;").to_owned();
                let before = kept.lock().unwrap().iter().filter(|earlier| **earlier == commands).count();
                let response = respond(&commands, before);
                kept.lock().unwrap().push(commands);
                stream.write_all(response.as_bytes()).await.unwrap();
            }
        });
        (dir, Socket::new(&path, Duration::from_secs(5)), sent)
    }

    const BUSY: &str = "\n[3]: Server still has connections attached to it, cannot remove it.\n";

    fn removal() -> [ServerOp; 1] {
        [ServerOp::Remove { name: "web-7".into(), is_in_maintenance: false }]
    }

    #[tokio::test]
    async fn server_is_deleted_once_connections_end() {
        let (_dir, socket, sent) = scripted_socket(|command, before| match command {
            command if command.starts_with("del ") && before < 2 => BUSY,
            command if command.starts_with("del ") => "\n[6]: Server deleted.\n",
            _ => "\n\n\n\n",
        });

        let counts = execute(&socket, &removal()).await.unwrap();

        assert_eq!(counts, UpdateCounts { removed: 1, ..UpdateCounts::default() });
        insta::assert_snapshot!(sent.lock().unwrap().join("\n"), @r"
        set server droplets/web-7 state drain;set server droplets/web-7 weight 0;shutdown sessions server droplets/web-7
        set server droplets/web-7 weight 0;set server droplets/web-7 state maint
        del server droplets/web-7
        set server droplets/web-7 weight 0;set server droplets/web-7 state maint
        del server droplets/web-7
        set server droplets/web-7 weight 0;set server droplets/web-7 state maint
        del server droplets/web-7
        ");
    }

    #[tokio::test]
    async fn undeletable_server_stays_in_maintenance_without_error() {
        let (_dir, socket, sent) =
            scripted_socket(|command, _| if command.starts_with("del ") { BUSY } else { "\n\n\n\n" });
        let began = Instant::now();

        let counts = execute(&socket, &removal()).await.unwrap();

        assert_eq!(counts.removed, 1);
        assert!(began.elapsed() >= DELETE_TIMEOUT);
        let sent = sent.lock().unwrap();
        assert!(sent[sent.len() - 2].ends_with("state maint") && sent[sent.len() - 1].starts_with("del "), "{sent:?}");
    }

    #[tokio::test]
    async fn server_starts_checked_without_traffic_and_ramps_up() {
        let (_dir, socket, sent) = scripted_socket(|command, _| {
            if command.starts_with("add ") { "\n[6]: New server registered.\n\n\n\n" } else { "\n\n\n\n" }
        });
        let add = |serves| ServerOp::Add { name: "web-7".into(), line: "10.0.0.7:80 id 7".into(), is_serving: serves };
        let serve = ServerOp::Serve { name: "web-7".into(), weight: 100 };

        execute(&socket, &[add(false), serve, add(true)]).await.unwrap();

        insta::assert_snapshot!(sent.lock().unwrap().join("\n"), @r"
        add server droplets/web-7 10.0.0.7:80 id 7;enable health droplets/web-7;set server droplets/web-7 state drain
        set server droplets/web-7 state drain;set server droplets/web-7 weight 100;set server droplets/web-7 state ready
        add server droplets/web-7 10.0.0.7:80 id 7;enable health droplets/web-7;set server droplets/web-7 state ready
        ");
    }

    #[tokio::test]
    async fn first_rejected_command_ends_the_update() {
        let (_dir, socket, sent) = scripted_socket(|_, _| "\n[3]: No such server.\n");
        let drain = |name: &str| ServerOp::Drain { name: name.into() };

        let error = execute(&socket, &[drain("web-7"), drain("web-8")]).await.unwrap_err();

        assert!(
            matches!(error, SocketError::UnexpectedResponse { response, .. } if response == "[3]: No such server.")
        );
        assert_eq!(sent.lock().unwrap().len(), 1);
    }
}
