//! `doproxy run` as a service: the real binary, a real HAProxy, real signals.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;

use doproxy_test_support::environment::{Output, TestEnvironment, free_port, http, wait_until};

/// The longest time for a service to stop.
const SECONDS: Duration = Duration::from_secs(6);

struct Service {
    child: Child,
    url: String,
}

impl Service {
    /// Starts `doproxy run` in an environment, with additional lines in `scaling`.
    fn start(env: &TestEnvironment, scaling: &str) -> Self {
        let port = free_port();
        env.configure(&format!("telemetry: {{listen: \"127.0.0.1:{port}\"}}\n"));
        env.edit("stabilization_window: 0s", &format!("stabilization_window: 0s\n  interval: 1s\n  {scaling}"));
        Self { child: env.start(&["run"]), url: format!("http://127.0.0.1:{port}") }
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().expect("the service is running")).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    async fn get(&self, path: &str) -> Option<(u16, String)> {
        let response = http().get(format!("{}{path}", self.url)).send().await.ok()?;
        Some((response.status().as_u16(), response.text().await.ok()?))
    }

    async fn metrics(&self) -> String {
        self.get("/metrics").await.map(|(_, text)| text).unwrap_or_default()
    }

    async fn status(&self) -> serde_json::Value {
        let text = self.get("/status").await.map(|(_, text)| text).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn serves(&self, count: usize) {
        let line = format!("doproxy_fleet_droplets{{phase=\"serving\"}} {count}\n");
        wait_until("the fleet size", async || self.metrics().await.contains(&line)).await;
    }

    /// Stops the service as systemd does, and returns its output.
    async fn wait_for_exit(self) -> Output {
        self.signal(Signal::SIGTERM);
        let asked = Instant::now();
        let output =
            tokio::time::timeout(SECONDS, self.child.wait_with_output()).await.expect("the service to stop").unwrap();
        assert!(asked.elapsed() < SECONDS);
        Output {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn service_maintains_fleet_and_reports_status() {
    let env = TestEnvironment::new().await;
    let service = Service::start(&env, "min: 2");

    service.serves(2).await;
    assert_eq!(env.responding_droplets(4).await.len(), 4);
    assert_eq!(service.get("/healthz").await, Some((200, "ok\n".to_owned())));
    wait_until("a tick that observes the droplets", async || service.status().await["last_tick"]["to"] == 2).await;
    let status = service.status().await;
    assert_eq!((status["fleet"].as_str(), status["loops"].as_array().map(Vec::len)), (Some("test"), Some(2)));
    let metrics = service.metrics().await;
    for line in [
        "doproxy_api_requests_total{call=\"POST /v2/droplets\",result=\"ok\"} 1\n",
        "doproxy_droplet_startup_duration_seconds_count 2\n",
        "doproxy_guard_limited_total{rule=\"min\"} 1\n",
        "doproxy_haproxy_up 1\n",
        "doproxy_api_up 1\n",
        "\nprocess_start_time_seconds ",
    ] {
        assert!(metrics.contains(line), "no {line} in\n{metrics}");
    }
    let second = env.doproxy(&["run"]).await;
    assert_eq!(second.code, 1, "{}", second.stderr);
    let pid = service.child.id().unwrap();
    assert!(
        second.stderr.contains(&format!("doproxy run (process {pid}) is already running the service of the fleet")),
        "{}",
        second.stderr
    );

    let ended = service.wait_for_exit().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{}", ended.stderr);
    // One log line per change, and none for a tick without a change.
    assert!(
        ended.stderr.contains("scaling out: enforcing the fleet's limits") && ended.stderr.lines().count() < 30,
        "{}",
        ended.stderr
    );
    env.tear_down_and_replay().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn manual_commands_run_while_service_runs() {
    let env = TestEnvironment::new().await;
    let service = Service::start(&env, "min: 1");
    service.serves(1).await;

    env.run_ok(&["create", "--count", "2"]).await;
    service.serves(3).await;
    env.run_ok(&["delete", "1", "--yes"]).await;
    service.serves(2).await;
    assert_eq!(env.fleet().await.len(), 2);

    assert_eq!(service.wait_for_exit().await.code, 0);
    assert_eq!(env.billed().len(), 2);
    env.tear_down_and_replay().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_operation_is_resumed_by_next_service() {
    let env = TestEnvironment::with_options(Duration::from_secs(3), 25).await;
    let service = Service::start(&env, "min: 3");
    wait_until("a create in progress", async || env.billed().len() == 3).await;

    let ended = service.wait_for_exit().await;
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(env.fleet().await.iter().all(|droplet| droplet["phase"] != "serving"));

    let service = Service::start(&env, "min: 3");
    service.serves(3).await;
    assert_eq!(service.wait_for_exit().await.code, 0);
    assert_eq!(env.billed().len(), 3);
    env.tear_down_and_replay().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reloads_valid_configuration() {
    let env = TestEnvironment::new().await;
    let service = Service::start(&env, "min: 1");
    service.serves(1).await;

    env.edit("  min: 1", "  min: 1\n  mim: 3");
    service.signal(Signal::SIGHUP);
    let refused = async || service.status().await["reload"]["refused"].as_str().unwrap_or_default().to_owned();
    wait_until("a rejected reload", async || refused().await.contains("mim")).await;
    env.edit("\n  mim: 3", "").edit("  min: 1", "  min: 2").edit("drain: 10s", "drain: 11s");
    service.signal(Signal::SIGHUP);
    service.serves(2).await;
    assert_eq!(service.status().await["reload"]["needs_restart"], serde_json::json!(["scaling.timeouts"]));

    assert_eq!(service.wait_for_exit().await.code, 0);
    env.tear_down_and_replay().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_notified_of_every_state() {
    let env = TestEnvironment::new().await;
    let socket = UnixDatagram::bind(env.path("notify")).unwrap();
    socket.set_nonblocking(true).unwrap();
    env.configure("telemetry: {listen: none}\n");
    env.edit("stabilization_window: 0s", "stabilization_window: 0s\n  interval: 1s\n  min: 1");
    let mut command = env.command(&["run"]);
    command.env("NOTIFY_SOCKET", env.path("notify")).env("WATCHDOG_USEC", "400000");
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let service = Service { child, url: String::new() };
    let message = std::cell::RefCell::new(String::new());
    let hears = async |word: &str| {
        wait_until(word, async || {
            let mut bytes = [0; 4096];
            while let Ok(length) = socket.recv(&mut bytes) {
                message.borrow_mut().push_str(std::str::from_utf8(&bytes[..length]).unwrap());
            }
            message.borrow().contains(word)
        })
        .await;
        // Later notifications are read next.
        let mut message = message.borrow_mut();
        let end = message.find(word).map_or(message.len(), |at| at + word.len());
        let rest = message.split_off(end);
        drop(std::mem::replace(&mut *message, rest));
    };

    hears("READY=1\n").await;
    hears("WATCHDOG=1\n").await;
    service.signal(Signal::SIGHUP);
    hears("RELOADING=1\nMONOTONIC_USEC=").await;
    hears("READY=1\n").await;
    service.signal(Signal::SIGTERM);
    hears("STOPPING=1\n").await;
    let output = tokio::time::timeout(SECONDS, service.child.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.success());
    env.tear_down_and_replay().await;
}
