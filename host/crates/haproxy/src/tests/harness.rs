//! An HAProxy in its own directory, with droplets that are small HTTP servers on 127.0.1.x.

use std::fs::Permissions;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use doproxy_core::seams::{LoadBalancer, Server, ServerState, ServerStats, Stats};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config_file::ConfigFile;
use crate::haproxy::HaProxy;
use crate::options::{Options, ReloadMethod};
use crate::process::Process;
use crate::reload::query_worker;
use crate::runtime_api::Socket;
use crate::test_support::server_in_state;

/// Much longer than any step here takes: it only ends a failed test.
const TEST_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct HaproxyHarness {
    pub(super) dir: tempfile::TempDir,
    pub(super) options: Options,
    pub(super) haproxy: HaProxy,
    pub(super) process: Process,
    /// Releases held responses.
    pub(super) release: Arc<Notify>,
    front: u16,
}

impl HaproxyHarness {
    /// Starts an HAProxy without servers.
    pub(super) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts an HAProxy after applying `change` to its options.
    pub(super) async fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), change).await
    }

    /// Starts an HAProxy in an existing directory after applying `change` to its options.
    pub(super) async fn start_in(dir: tempfile::TempDir, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = options_in(dir.path()).await;
        let front = free_port().await;
        options.bind = vec![format!("127.0.0.1:{front}")];
        change(&mut options);
        let haproxy = HaProxy::new(options.clone()).unwrap();
        // The files that doproxy leaves.
        let (place, text) = (ConfigFile::new(&options.config_file), haproxy.render(&[]).unwrap());
        place.install(&place.write_candidate(&text).unwrap(), &text).unwrap();
        place.clear_pending().unwrap();
        std::fs::write(&options.state_file, "1\n").unwrap();
        let process =
            Process::start(&options.binary, &options.config_file, &dir.path().join("master.sock")).await.unwrap();
        // The file is written after the start, so the worker's configuration is unknown: the first update is a reload.
        std::fs::write(&options.config_file, &text).unwrap();
        Self { dir, options, haproxy, process, release: Arc::default(), front }
    }

    /// Starts an HTTP server as droplet `id`, at 127.0.1.ID. It responds with its number; a response to `/hold` starts
    /// and does not end until it is released.
    pub(super) async fn boot(&self, id: u8) {
        self.boot_unhealthy(id).await.store(false, Ordering::Relaxed);
    }

    /// Starts an HTTP server that responds 503 to every request until the returned flag is cleared.
    pub(super) async fn boot_unhealthy(&self, id: u8) -> Arc<AtomicBool> {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 1, id), self.options.server_port)).await.unwrap();
        let (release, unhealthy) = (Arc::clone(&self.release), Arc::new(AtomicBool::new(true)));
        let is_sick = Arc::clone(&unhealthy);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(stream, id, Arc::clone(&is_sick), Arc::clone(&release)));
            }
        });
        unhealthy
    }

    /// Returns the address that clients connect to.
    pub(super) fn front(&self) -> (Ipv4Addr, u16) {
        (Ipv4Addr::LOCALHOST, self.front)
    }

    /// Sends a request and returns the status and the body.
    pub(super) async fn get(&self) -> (u16, String) {
        let mut client = self.send("/").await;
        let mut response = String::new();
        client.read_to_string(&mut response).await.unwrap();
        let status = response.split(' ').nth(1).unwrap().parse().unwrap();
        (status, response.rsplit("\r\n\r\n").next().unwrap().to_owned())
    }

    /// Returns a client whose response stays open until it is released.
    pub(super) async fn hold_request(&self) -> TcpStream {
        let mut client = self.send("/hold").await;
        client.read_exact(&mut [0; 12]).await.unwrap();
        client
    }

    async fn send(&self, path: &str) -> TcpStream {
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, self.front)).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: www\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        client
    }

    /// Waits until the statistics satisfy `predicate` and returns them.
    pub(super) async fn wait_for_stats(&self, predicate: impl Fn(&Stats) -> bool) -> Stats {
        let until = Instant::now() + TEST_TIMEOUT;
        loop {
            let stats = self.haproxy.stats().await.unwrap();
            if predicate(&stats) {
                return stats;
            }
            assert!(Instant::now() < until, "condition never met: {stats:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(super) fn config(&self) -> String {
        std::fs::read_to_string(&self.options.config_file).unwrap()
    }

    /// Reads the file beside the configuration whose name ends in `suffix`.
    pub(super) fn beside(&self, suffix: &str) -> Option<String> {
        std::fs::read_to_string(self.dir.path().join(format!("haproxy.cfg.{suffix}"))).ok()
    }

    /// Reports whether HAProxy would start with the current file.
    pub(super) fn boots(&self) -> bool {
        let mut haproxy = std::process::Command::new(&self.options.binary);
        haproxy.args(["-q", "-c", "-f"]).arg(&self.options.config_file).status().unwrap().success()
    }

    /// Returns the process ID of the worker.
    pub(super) async fn worker(&self) -> Pid {
        let socket = Socket::new(&self.options.stats_socket, TEST_TIMEOUT);
        Pid::from_raw(i32::try_from(query_worker(&socket).await.unwrap().pid).unwrap())
    }

    /// Returns an HAProxy with changed options.
    pub(super) fn with(&self, change: impl FnOnce(&mut Options)) -> HaProxy {
        let mut options = self.options.clone();
        change(&mut options);
        HaProxy::new(options).unwrap()
    }

    /// Waits until HAProxy has no worker.
    pub(super) async fn wait_until_unreachable(&self) {
        let until = Instant::now() + TEST_TIMEOUT;
        while std::os::unix::net::UnixStream::connect(&self.options.stats_socket).is_ok() {
            assert!(Instant::now() < until, "HAProxy still responds");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Writes an executable shell script into the harness's directory.
    pub(super) fn script(&self, commands: &str) -> PathBuf {
        let path = self.dir.path().join("script");
        std::fs::write(&path, format!("#!/bin/sh\n{commands}\n")).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Returns the text of an error without the parts that differ from run to run.
    pub(super) fn normalize_error(&self, error: &impl std::fmt::Display) -> String {
        let dir = self.dir.path().to_string_lossy();
        error.to_string().replace(&*dir, "DIR").replace(&self.front.to_string(), "FRONT")
    }
}

/// Returns options for an HAProxy in its own directory, which is not running.
pub(super) async fn options() -> (tempfile::TempDir, Options) {
    let dir = tempfile::tempdir().unwrap();
    let options = options_in(dir.path()).await;
    (dir, options)
}

async fn options_in(dir: &Path) -> Options {
    Options {
        bind: vec!["127.0.0.1:9".into()],
        server_port: free_port().await,
        check_interval: Duration::from_millis(100),
        stats_socket: dir.join("stats.sock"),
        log: None,
        run_as: None,
        reload: ReloadMethod::MasterSocket(dir.join("master.sock")),
        min_reload_interval: Duration::ZERO,
        ..Options::new(dir.join("haproxy.cfg"))
    }
}

/// Returns an occupied address, so that a reload that must listen there fails.
pub(super) async fn occupied_address() -> (TcpListener, Vec<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let bind = vec![listener.local_addr().unwrap().to_string()];
    (listener, bind)
}

/// Returns droplet `id` at the address that [`HaproxyHarness::boot`] uses.
pub(super) fn local(state: ServerState, id: u8) -> Server {
    Server { address: Ipv4Addr::new(127, 0, 1, id).into(), ..server_in_state(state, u64::from(id)) }
}

/// Returns the statistics of droplet `id`.
pub(super) fn server_stats(stats: &Stats, id: u64) -> Option<&ServerStats> {
    stats.servers.iter().find(|server| server.id.0 == id)
}

/// Returns a port that is free on every loopback address and not used by another test. It lies below the range that
/// Linux uses for outgoing connections, so that no health check can occupy it.
pub(super) async fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Tests of other builds may run at the same time.
    let own = u16::try_from(std::process::id() % 11_000).unwrap();
    loop {
        let port = 20_000 + (own + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await.is_ok() {
            return port;
        }
    }
}

/// Responds to requests until the client closes the connection, which it may do at any time.
async fn answer(mut stream: TcpStream, id: u8, unhealthy: Arc<AtomicBool>, release: Arc<Notify>) {
    while let Some(request) = request(&mut stream).await {
        let answered = if unhealthy.load(Ordering::Relaxed) {
            stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await
        } else if request.starts_with(b"GET /hold") {
            let begun = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegin").await;
            release.notified().await;
            begun.and(stream.write_all(b"+end").await)
        } else {
            let body = id.to_string();
            stream
                .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
                .await
        };
        if answered.is_err() {
            return;
        }
    }
}

/// Reads the header of the next request.
async fn request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.ok()?);
    }
    Some(request)
}
