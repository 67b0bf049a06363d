//! The environment of an end-to-end test: the program itself, an emulator, a real HAProxy, and a temporary folder.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doproxy_config::Config;
use doproxy_core::domain::{Droplet, DropletId, DropletName, FleetName, Phase, Template, Timestamp};
use doproxy_core::seams::{Inventory, LoadBalancer};
use doproxy_decision_log::{Components, LogReader, RecordRange, replay_all};
use doproxy_emulator::{CloudState, Emulator, Faults, NewDroplets, Options, Selection, Settings};
use doproxy_haproxy::{HaProxy, Process};
use doproxy_inventory_sqlite::SqliteInventory;
use doproxy_plugin_host::{Limits, PluginHost, PluginSettings};
use doproxy_support::Clock;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// The timeout of every wait.
pub const TIMEOUT: Duration = Duration::from_mins(1);

/// Different seeds give the droplets of each emulator different addresses, so that tests can run in parallel.
static NEXT_SEED: AtomicU64 = AtomicU64::new(1);

/// The token of every command.
const TOKEN: &str = "dop_v1_very_secret";

/// Fragments that reveal the token: a part of it, and its base64 encoding.
const SECRETS: [&str; 2] = ["very_secret", "ZG9wX3YxX3Zlcnlfc2VjcmV0"];

/// The number of outputs and files searched for it so far.
static LOCATIONS_SEARCHED: AtomicUsize = AtomicUsize::new(0);

pub struct TestEnvironment {
    dir: TempDir,
    /// Files to which a test itself wrote the token.
    token_files: Mutex<HashSet<PathBuf>>,
    emulator: Emulator,
    haproxy: Process,
    port: u16,
    droplet_port: u16,
}

/// The output and exit code of a command.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl TestEnvironment {
    pub async fn new() -> Self {
        Self::with_options(Duration::from_millis(50), 25).await
    }

    /// Creates an environment with this boot time and droplet limit.
    pub async fn with_options(boot_time: Duration, droplet_limit: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let droplet_port = free_port();
        let seed = NEXT_SEED.fetch_add(1, Ordering::Relaxed);
        let settings = Settings { boot_time, seed, droplet_limit, rate_limits: None, ..Settings::default() };
        let emulator = Emulator::start(Options { droplet_port, settings, ..Options::default() }).await.unwrap();
        let port = free_port();
        let stage_dir = dir.path().join("haproxy");
        std::fs::create_dir(&stage_dir).unwrap();
        write(&dir.path().join("doproxy.yml"), &configuration(port, droplet_port, ""));
        // As on a new load balancer, HAProxy runs with the configuration of an empty fleet.
        let ended = run(command(dir.path(), &emulator.url()).args(["generate", "--stdout"])).await;
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let file = stage_dir.join("haproxy.cfg");
        write(&file, &ended.stdout);
        let haproxy =
            Process::start(Path::new("/usr/sbin/haproxy"), &file, &dir.path().join("master.sock")).await.unwrap();
        // Because the file was written after the start, the configuration loaded by HAProxy is unknown: the first
        // change is a reload.
        write(&file, &ended.stdout);
        Self { dir, token_files: Mutex::default(), emulator, haproxy, port, droplet_port }
    }

    /// Appends lines to `doproxy.yml`.
    pub fn configure(&self, more: &str) -> &Self {
        self.write("doproxy.yml", &configuration(self.port, self.droplet_port, more));
        self
    }

    /// Replaces the poll interval and the timeouts in `doproxy.yml`.
    pub fn configure_timeouts(&self, poll_interval: &str, timeouts: &str) -> &Self {
        let text = configuration(self.port, self.droplet_port, "")
            .replace("poll_interval: 50ms", &format!("poll_interval: {poll_interval}"))
            .replace("create_visibility: 1s, drain: 10s", timeouts);
        self.write("doproxy.yml", &text);
        self
    }

    /// Returns the program as a command in this environment's folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(self.dir.path(), &self.emulator.url());
        command.args(arguments);
        command
    }

    pub async fn doproxy(&self, arguments: &[&str]) -> Output {
        run(&mut self.command(arguments)).await
    }

    /// Runs a command that must succeed, and returns its output.
    pub async fn run_ok(&self, arguments: &[&str]) -> String {
        let ended = self.doproxy(arguments).await;
        assert_eq!(ended.code, 0, "doproxy {arguments:?}\n{}{}", ended.stdout, ended.stderr);
        ended.stdout
    }

    pub fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        if text.contains(TOKEN) {
            self.token_files.lock().unwrap().insert(self.path(name));
        }
        write(&self.path(name), text);
    }

    /// Replaces text in `doproxy.yml`.
    pub fn edit(&self, from: &str, to: &str) -> &Self {
        let text = std::fs::read_to_string(self.path("doproxy.yml")).unwrap();
        assert!(text.contains(from), "no {from:?} in {text}");
        self.write("doproxy.yml", &text.replace(from, to));
        self
    }

    pub fn haproxy_pid(&self) -> u32 {
        self.haproxy.pid().unwrap()
    }

    /// Returns the files of this environment that contain a text, including binary files.
    pub fn files_with(&self, text: &str) -> Vec<PathBuf> {
        let holds = |path: &PathBuf| {
            let bytes = std::fs::read(path).unwrap();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        };
        files_under(self.dir.path()).into_iter().filter(holds).collect()
    }

    pub fn write_with_mode(&self, name: &str, text: &str, mode: u32) {
        self.write(name, text);
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn installed_config(&self) -> String {
        std::fs::read_to_string(self.path("haproxy/haproxy.cfg")).unwrap()
    }

    /// Returns the number of servers in the installed configuration.
    pub fn server_count(&self) -> usize {
        self.installed_config().lines().filter(|line| line.trim_start().starts_with("server ")).count()
    }

    pub fn with_state<T>(&self, read: impl FnOnce(&mut CloudState, Timestamp) -> T) -> T {
        self.emulator.with_state(read)
    }

    pub fn set_faults(&self, faults: Faults) {
        self.with_state(|cloud, _| cloud.set_faults(faults));
    }

    /// Returns the names of the billed droplets.
    pub fn billed(&self) -> Vec<String> {
        self.with_state(|cloud, now| {
            cloud.list(now, Selection::All).droplets.iter().map(|one| one.name.clone()).collect()
        })
    }

    /// Returns the user data of the only droplet.
    pub fn user_data(&self) -> String {
        self.with_state(|cloud, now| cloud.list(now, Selection::All).droplets[0].user_data.clone().unwrap_or_default())
    }

    /// Creates droplets as another program would; returns their IDs.
    pub fn create_external_droplets(&self, count: usize) -> Vec<DropletId> {
        let names: Vec<String> = (0..count).map(|number| format!("auto-nginx-{number}")).collect();
        names
            .chunks(10)
            .flat_map(|names| {
                let request = NewDroplets {
                    names: names.to_vec(),
                    region: Some("nyc3".into()),
                    size: "s-1vcpu-1gb".into(),
                    image: "debian-12-x64".into(),
                    ..NewDroplets::default()
                };
                self.with_state(|cloud, now| cloud.create(now, &request).unwrap())
            })
            .map(|created| created.droplet)
            .collect()
    }

    /// Writes a serving fleet directly to the inventory: importing more than a thousand droplets would exceed the API's
    /// rate limit.
    pub async fn seed_fleet(&self, count: usize) {
        let ids = self.create_external_droplets(count);
        let tag = FleetName::parse("test").unwrap().tag();
        let made = self.with_state(|cloud, now| {
            cloud.create_tag(now, tag.as_str()).unwrap();
            cloud.tag_droplets(now, tag.as_str(), &ids).unwrap();
            cloud.list(now, Selection::All).droplets.into_iter().cloned().collect::<Vec<_>>()
        });
        let inventory = SqliteInventory::open(self.path("doproxy.db")).unwrap();
        for (index, one) in (0..).zip(made) {
            let droplet = Droplet {
                name: DropletName::parse(one.name).unwrap(),
                index,
                id: Some(one.id),
                phase: Phase::Serving,
                phase_since: one.created_at,
                created_at: one.created_at,
                template: Template {
                    size: one.size.slug.to_owned(),
                    region: one.region.slug.to_owned(),
                    image: one.image.slug.to_owned(),
                    tags: vec![],
                },
                hourly_price: one.size.hourly_price,
                address: Some(one.private_address.into()),
                protected: false,
            };
            inventory.adopt(&droplet).await.unwrap();
        }
    }

    /// Deletes a droplet as an operator does in the control panel.
    pub fn delete_out_of_band(&self, index: usize) {
        self.with_state(|cloud, now| {
            let id = cloud.list(now, Selection::All).droplets[index].id;
            cloud.delete(now, id).unwrap();
        });
    }

    /// Waits until HAProxy has this many requests in progress.
    pub async fn wait_for_sessions(&self, wanted: u32) {
        let config = Config::load(&self.path("doproxy.yml")).unwrap();
        let balancer = HaProxy::new(config.haproxy).unwrap();
        wait_until("the sessions in HAProxy", async || {
            let stats = balancer.stats().await.unwrap();
            stats.queued + stats.servers.iter().map(|server| server.sessions).sum::<u32>() == wanted
        })
        .await;
    }

    /// Returns the fleet as printed by `print --json`.
    pub async fn fleet(&self) -> Vec<serde_json::Value> {
        let ended = self.doproxy(&["print", "--json"]).await;
        serde_json::from_str(&ended.stdout).unwrap()
    }

    /// Returns the port of HAProxy.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn site(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Returns the droplet names in the responses to some requests, each on its own connection.
    pub async fn responding_droplets(&self, times: usize) -> Vec<String> {
        let mut names = Vec::new();
        for _ in 0..times {
            let response = http().get(self.site()).send().await.unwrap().error_for_status().unwrap();
            names.push(response.headers()["x-droplet-name"].to_str().unwrap().to_owned());
        }
        names
    }

    /// Replaces the parts of a text that differ from run to run.
    pub fn normalize(&self, text: &str) -> String {
        text.replace(self.dir.path().to_str().unwrap(), "DIR")
            .replace(&self.emulator.url(), "API")
            .replace(&format!(":{}", self.droplet_port), ":DROPLET_PORT")
            .replace(&format!(":{}", self.port), ":PORT")
    }

    pub async fn tear_down(self) {
        self.assert_no_token();
        self.haproxy.stop().await;
        self.emulator.stop().await;
    }

    /// Ends a test of the autoscaler: replaying each recorded tick must reproduce its decision.
    pub async fn tear_down_and_replay(self) {
        let config = Config::load(&self.path("doproxy.yml")).unwrap();
        let file = config.metrics_database_path(&config.inventory);
        let records = Arc::new(LogReader::open_read_only(&file, Clock::from_wall_clock().now()).unwrap());
        let limits = Limits { call_timeout: Duration::from_secs(30), ..Limits::default() };
        let host = PluginHost::new(PluginSettings { limits, ..PluginSettings::default() }).unwrap();
        let components = Arc::new(Components::new(host, Arc::clone(&records)));
        let ids = records.select(RecordRange::All).unwrap();
        let summary = replay_all(&records, &components, &ids, |_| ()).await.unwrap();
        assert!(summary.replayed > 0, "no tick was recorded");
        assert!(summary.differing.is_empty(), "{}: mismatches: {:#?}", file.display(), summary.differing);
        self.tear_down().await;
    }

    /// Asserts that no file contains the token: database, write-ahead log, HAProxy's files, caches.
    fn assert_no_token(&self) {
        let planted = self.token_files.lock().unwrap();
        for secret in SECRETS {
            let left: Vec<PathBuf> =
                self.files_with(secret).into_iter().filter(|path| !planted.contains(path)).collect();
            assert!(left.is_empty(), "the token is in {left:?}");
        }
        LOCATIONS_SEARCHED.fetch_add(files_under(self.dir.path()).len(), Ordering::Relaxed);
    }
}

/// Asserts a snapshot of output without the parts that differ from run to run.
#[macro_export]
macro_rules! assert_output {
    ($environment:expr, $text:expr, @$snapshot:literal) => {
        let text = $environment.normalize(&$text);
        insta::with_settings!({filters => vec![
            (r"(\w-\d+)-[2-9a-z]{6}\b", "$1-RANDOM"),
            (r"127\.\d+\.\d+\.\d+", "ADDRESS"),
            (r"id:? \d{7}\b", "id ID"),
            (r"[0-9a-f]{64}", "DIGEST"),
            (r"size       \d+ bytes", "size       SOME bytes"),
            (r"process \d+", "process PID"),
            (r"after [\d.]+m?s;", "after SOME TIME;"),
            (r"booting for \d+ s", "booting for SOME s"),
            (r"request id [0-9a-f-]+", "request id UUID"),
        ]}, {
            insta::assert_snapshot!(text, @$snapshot);
        });
    };
}

fn configuration(port: u16, droplet_port: u16, more: &str) -> String {
    format!(
        "\
fleet: test
droplet_options: {{hostname_prefix: www, region: nyc3, size: s-1vcpu-1gb, image: debian-12-x64}}
haproxy_cfg_path: haproxy
haproxy:
  bind: [\"127.0.0.1:{port}\"]
  port: {droplet_port}
  health_path: /health
  check_interval: 100ms
  stats_socket: admin.sock
  master_socket: master.sock
  run_as: inherit
  log: none
scaling:
  poll_interval: 50ms
  timeouts: {{create_visibility: 1s, drain: 10s}}
  cooldown: {{in: 0s}}
  stabilization_window: 0s
{more}"
    )
}

fn command(dir: &Path, api: &str) -> Command {
    let mut command = Command::new(doproxy());
    command
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        // The cache of compiled plugins; all tests share the folder.
        .env("XDG_CACHE_HOME", target_tmp().join("cache"))
        .env("DIGITALOCEAN_API_URL", api)
        .env("DIGITALOCEAN_TOKEN", TOKEN)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs a command to its end, and asserts that its output does not contain the token.
pub async fn run(command: &mut Command) -> Output {
    let output = tokio::time::timeout(TIMEOUT, command.output()).await.expect("the command did not end").unwrap();
    let ended = Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    for secret in SECRETS {
        assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{ended:?}");
    }
    LOCATIONS_SEARCHED.fetch_add(2, Ordering::Relaxed);
    ended
}

/// Returns the number of outputs and files searched for the token so far.
pub fn locations_searched() -> usize {
    LOCATIONS_SEARCHED.load(Ordering::Relaxed)
}

/// Returns the files in a folder and its subfolders, except sockets and links.
fn files_under(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files.extend(files_under(&entry.path()));
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    files
}

/// Waits until a condition holds.
pub async fn wait_until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(TIMEOUT, async {
        let mut again = tokio::time::interval(Duration::from_millis(10));
        while !is_so().await {
            again.tick().await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("timed out waiting for {what}"));
}

pub fn http() -> reqwest::Client {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap()
}

/// Returns a port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// Returns the path of the `doproxy` binary under test, which cargo builds before integration tests.
pub fn doproxy() -> PathBuf {
    std::env::var_os("CARGO_BIN_EXE_doproxy").map_or_else(|| target_dir().join("doproxy"), PathBuf::from)
}

/// Returns a folder below the target directory for files that tests keep between runs.
pub fn target_tmp() -> PathBuf {
    let tmp = target_dir().parent().expect("a profile's folder lies in the target directory").join("tmp");
    std::fs::create_dir_all(&tmp).unwrap();
    tmp
}

/// Returns the folder of the profile, such as `target/debug`: test binaries are in its `deps`.
fn target_dir() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).expect("a test binary lies in deps/ of its profile's folder").to_owned()
}
