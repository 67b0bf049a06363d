//! Fifty updates under load: no client request fails, with either update method.

use std::io;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use doproxy_core::seams::ServerState::{Draining, Serving, Warming};
use doproxy_core::seams::{LoadBalancer as _, Server};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::options::UpdateMode;
use crate::tests::harness::{HaproxyHarness, local, server_stats};

/// Number of clients, pause of each client after a response, and number of updates.
const CLIENTS: usize = 8;
const REST: Duration = Duration::from_millis(1);
const CHANGES: usize = 50;

/// Clients that send requests continuously and count every failure.
struct Load {
    clients: JoinSet<()>,
    count: Arc<Count>,
}

#[derive(Default)]
struct Count {
    stop: AtomicBool,
    answered: AtomicU64,
    failed: AtomicU64,
    first_failure: std::sync::Mutex<Option<String>>,
}

impl Load {
    fn begin(harness: &HaproxyHarness, keep_alive: bool) -> Self {
        let (front, count) = (harness.front(), Arc::new(Count::default()));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let count = Arc::clone(&count);
            clients.spawn(async move {
                let mut connection = None;
                while !count.stop.load(Ordering::Relaxed) {
                    tokio::time::sleep(REST).await;
                    match ask(&mut connection, front, keep_alive).await {
                        Ok(()) => _ = count.answered.fetch_add(1, Ordering::Relaxed),
                        Err(error) => {
                            connection = None;
                            count.failed.fetch_add(1, Ordering::Relaxed);
                            count.first_failure.lock().unwrap().get_or_insert_with(|| error.to_string());
                        }
                    }
                }
            });
        }
        Self { clients, count }
    }

    /// Returns the numbers of successful and failed requests, and the first failure.
    async fn end(mut self) -> (u64, u64, Option<String>) {
        self.count.stop.store(true, Ordering::Relaxed);
        while self.clients.join_next().await.is_some() {}
        let failure = self.count.first_failure.lock().unwrap().clone();
        (self.count.answered.load(Ordering::Relaxed), self.count.failed.load(Ordering::Relaxed), failure)
    }
}

/// Sends one request, on the existing connection if the last response left it open.
async fn ask(
    connection: &mut Option<BufReader<TcpStream>>,
    front: (std::net::Ipv4Addr, u16),
    keep_alive: bool,
) -> io::Result<()> {
    let mut stream = match connection.take() {
        Some(stream) => stream,
        None => BufReader::new(TcpStream::connect(front).await?),
    };
    let close = if keep_alive { "" } else { "Connection: close\r\n" };
    stream.get_mut().write_all(format!("GET / HTTP/1.1\r\nHost: www\r\n{close}\r\n").as_bytes()).await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    if !line.starts_with("HTTP/1.1 200 ") {
        return Err(io::Error::other(if line.is_empty() {
            "connection closed without a response".to_owned()
        } else {
            line
        }));
    }
    let (mut length, mut open) = (0, keep_alive);
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let header = line.trim_end().to_ascii_lowercase();
        match header.split_once(": ") {
            Some(("content-length", value)) => length = value.parse().map_err(io::Error::other)?,
            Some(("connection", "close")) => open = false,
            Some(_) => {}
            None if header.is_empty() && !line.is_empty() => break,
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
    stream.read_exact(&mut vec![0; length]).await?;
    *connection = open.then_some(stream);
    Ok(())
}

/// Two droplets serve all the time; others warm up, serve, drain and leave, as the controller does it.
async fn fifty_changes_under_load(changes: UpdateMode, keep_alive: bool) {
    let harness = HaproxyHarness::start_with(|options| options.update_mode = changes).await;
    for id in 1..=4 {
        harness.boot(id).await;
    }
    let with = |others: &[Server]| [&[local(Serving, 1), local(Serving, 2)], others].concat();
    harness.haproxy.apply(&with(&[])).await.unwrap();
    let reloads = harness.haproxy.counters().reloads;
    harness
        .wait_for_stats(|stats| [1, 2].iter().all(|id| server_stats(stats, *id).is_some_and(|server| server.healthy)))
        .await;
    let load = Load::begin(&harness, keep_alive);

    let mut made = 0;
    for id in [3, 4].into_iter().cycle() {
        harness.haproxy.apply(&with(&[local(Warming, id)])).await.unwrap();
        harness.wait_for_stats(|stats| server_stats(stats, id.into()).is_some_and(|server| server.check_passed)).await;
        harness.haproxy.apply(&with(&[local(Serving, id)])).await.unwrap();
        harness
            .wait_for_stats(|stats| server_stats(stats, id.into()).is_some_and(|server| server.requests_total > 0))
            .await;
        harness.haproxy.apply(&with(&[local(Draining, id)])).await.unwrap();
        harness.wait_for_stats(|stats| server_stats(stats, id.into()).is_some_and(|server| server.sessions == 0)).await;
        harness.haproxy.apply(&with(&[])).await.unwrap();
        made += 4;
        if made >= CHANGES {
            break;
        }
    }
    let (answered, failed, failure) = load.end().await;

    let way = if changes == UpdateMode::Dynamic { "at run time" } else { "by reloads" };
    let kind = if keep_alive { "keep-alive" } else { "close" };
    let _ = writeln!(std::io::stderr(), "{made} updates {way}, {kind}: {answered} requests, {failed} failed");
    assert_eq!((failed, failure), (0, None), "of {answered}");
    assert!(answered > 0);
    let reloads = harness.haproxy.counters().reloads - reloads;
    assert_eq!(reloads, if changes == UpdateMode::Dynamic { 0 } else { made as u64 });
}

#[tokio::test(flavor = "multi_thread")]
async fn run_time_updates_fail_no_keep_alive_request() {
    fifty_changes_under_load(UpdateMode::Dynamic, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn run_time_updates_fail_no_request_on_closing_connections() {
    fifty_changes_under_load(UpdateMode::Dynamic, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_fail_no_keep_alive_request() {
    fifty_changes_under_load(UpdateMode::ReloadOnly, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_fail_no_request_on_closing_connections() {
    fifty_changes_under_load(UpdateMode::ReloadOnly, false).await;
}
