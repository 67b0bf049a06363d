//! The demo's environment (a directory, the emulator, HAProxy) and the output of its steps.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use doproxy_config::Environment;
use doproxy_core::domain::{FleetName, RecordId, Trigger};
use doproxy_core::seams::{Filter, Inventory};
use doproxy_decision_log::{LogReader, RecordRange};
use doproxy_digitalocean::DigitalOcean;
use doproxy_emulator::{Emulator, Options, Settings};
use doproxy_haproxy::Process;
use doproxy_support::Clock;
use tempfile::TempDir;

use crate::cli::context::CommandContext;
use crate::cli::output::out;
use crate::cli::{Cli, output, run};

/// An arbitrary token, since the emulator accepts any. The caller's environment is ignored, so that the demo can never
/// reach a real account.
const TOKEN: &str = "demo";

/// The resources of a running demo.
pub(super) struct DemoEnvironment {
    dir: TempDir,
    emulator: Emulator,
    haproxy: Process,
    site: String,
    droplet_port: u16,
    http: reqwest::Client,
}

impl DemoEnvironment {
    /// Starts the emulator and HAProxy, and writes the files.
    pub(super) async fn start(haproxy: &Path, droplet_port: u16) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("doproxy-demo-")
            .tempdir()
            .context("failed to create a temporary directory")?;
        let emulator = Emulator::start(Options {
            droplet_port,
            settings: Settings { boot_time: Duration::from_millis(700), ..Settings::default() },
            ..Options::default()
        })
        .await
        .context("failed to start the emulator")?;
        let bind = format!("127.0.0.1:{}", free_port()?);
        let yaml = config_yaml(&emulator.url(), &bind, haproxy, droplet_port);
        std::fs::write(dir.path().join("doproxy.yml"), yaml)?;
        let site = format!("http://{bind}/");
        let config = doproxy_config::Config::load(&dir.path().join("doproxy.yml"))?;
        // HAProxy starts with the configuration of an empty fleet, as on a fresh load balancer.
        let balancer = doproxy_haproxy::HaProxy::new(config.haproxy.clone())?;
        std::fs::create_dir_all(dir.path().join("haproxy"))?;
        std::fs::write(&config.haproxy.config_file, balancer.render(&[])?)?;
        let haproxy =
            Process::start(&config.haproxy.binary, &config.haproxy.config_file, &dir.path().join("master.sock"))
                .await
                .context("failed to start HAProxy")?;
        Ok(Self { dir, emulator, haproxy, site, droplet_port, http: http_client()? })
    }

    /// Stops HAProxy and the emulator.
    pub(super) async fn stop(self) {
        self.haproxy.stop().await;
        self.emulator.stop().await;
    }

    /// Returns the site's URL, as seen by a client.
    pub(super) fn site(&self) -> &str {
        &self.site
    }

    /// Returns a client that opens a new connection for each request, like a new visitor.
    pub(super) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Prints the heading of the next step.
    pub(super) fn print_heading(text: &str) {
        if output::is_stdout_colored() {
            out!("\n\x1b[1;36m# {text}\x1b[0m");
        } else {
            out!("\n# {text}");
        }
    }

    /// Prints a command as the user would type it.
    pub(super) fn print_command(line: &str) {
        if output::is_stdout_colored() {
            out!("\x1b[1m$ {line}\x1b[0m");
        } else {
            out!("$ {line}");
        }
    }

    /// Runs a doproxy command as if the user had typed it.
    pub(super) async fn doproxy(&self, arguments: &[&str]) -> anyhow::Result<()> {
        Self::print_command(&format!("doproxy {}", arguments.join(" ")));
        let config = self.path("doproxy.yml");
        let config = config.to_str().context("the path of the temporary directory is not valid UTF-8")?;
        let all: Vec<&str> = ["doproxy", "--config", config].into_iter().chain(arguments.iter().copied()).collect();
        run(&all, Environment::with_token(TOKEN)).await
    }

    /// Shows the configuration.
    pub(super) fn show_configuration(&self) -> anyhow::Result<()> {
        Self::print_command("cat doproxy.yml");
        out!("{}", std::fs::read_to_string(self.path("doproxy.yml"))?.trim_end());
        Ok(())
    }

    /// Shows the end of HAProxy's configuration.
    pub(super) fn show_configuration_tail(&self, lines: usize) -> anyhow::Result<()> {
        Self::print_command(&format!("tail -n {lines} haproxy/haproxy.cfg"));
        let text = std::fs::read_to_string(self.path("haproxy/haproxy.cfg"))?;
        let all: Vec<&str> = text.lines().collect();
        for line in &all[all.len().saturating_sub(lines)..] {
            out!("{line}");
        }
        Ok(())
    }

    /// Shows the user data of the first droplet, as read by the droplet itself.
    pub(super) async fn show_user_data(&self) -> anyhow::Result<()> {
        let snapshot = self.snapshot().await?;
        let Some(address) = snapshot.droplets.first().and_then(|droplet| droplet.address) else {
            bail!("the fleet has no droplet");
        };
        let url = format!("http://{address}:{}/metadata/v1/user-data", self.droplet_port);
        Self::print_command(&format!("curl {url}"));
        out!("{}", self.get(&url).await?.trim_end());
        Ok(())
    }

    /// Requests the site several times, each time over a new connection.
    pub(super) async fn show_rotation(&self, times: usize) -> anyhow::Result<()> {
        Self::print_command(&format!("for i in $(seq {times}); do curl -s {} | grep h1; done", self.site));
        for _ in 0..times {
            let page = self.get(&self.site).await?;
            out!("{}", heading_of(&page));
        }
        Ok(())
    }

    /// Reports whether the inventory has droplets.
    pub(super) async fn has_droplets(&self) -> anyhow::Result<bool> {
        Ok(!self.snapshot().await?.droplets.is_empty())
    }

    /// Returns the API client that the commands use.
    pub(super) fn cloud(&self) -> anyhow::Result<DigitalOcean> {
        Ok(self.context()?.cloud()?.0)
    }

    /// Returns the filter for the fleet's droplets at the API.
    pub(super) fn filter() -> Filter {
        Filter::Tag(FleetName::sanitized("demo").tag())
    }

    fn context(&self) -> anyhow::Result<CommandContext> {
        let config = self.path("doproxy.yml");
        let config = config.to_str().context("the path of the temporary directory is not valid UTF-8")?;
        CommandContext::load(&Cli::parse_global(config, Environment::with_token(TOKEN))?)
    }

    /// Loads the inventory.
    pub(super) async fn snapshot(&self) -> anyhow::Result<doproxy_core::seams::Snapshot> {
        Ok(self.context()?.inventory()?.load().await?)
    }

    async fn get(&self, url: &str) -> anyhow::Result<String> {
        Ok(self.http.get(url).send().await?.error_for_status()?.text().await?)
    }

    /// Returns the path of the demo's `doproxy.yml`.
    pub(super) fn config_file(&self) -> PathBuf {
        self.path("doproxy.yml")
    }

    /// Returns the token passed to the emulator.
    pub(super) fn token() -> &'static str {
        TOKEN
    }

    /// Returns the first record in which the autoscaler created droplets for its load.
    pub(super) fn first_scale_out(&self) -> anyhow::Result<RecordId> {
        let context = self.context()?;
        let archive = LogReader::open_read_only(&context.metrics_database_file(), Clock::from_wall_clock().now())?;
        for id in archive.select(RecordRange::All)? {
            let record = archive.get_without_series(id)?.record;
            if record.plan.create_count() > 0 && record.trigger != Trigger::Manual && !record.plan.creates.is_empty() {
                return Ok(id);
            }
        }
        bail!("no scale-out was recorded")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn http_client() -> anyhow::Result<reqwest::Client> {
    // reqwest requires a crypto provider even for plain http; an already installed one is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(Duration::from_secs(10));
    Ok(client.build()?)
}

/// Returns a port that was free a moment ago.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Returns the heading of a page.
fn heading_of(page: &str) -> &str {
    page.split_once("<h1>").and_then(|(_, after)| after.split_once("</h1>")).map_or(page, |(heading, _)| heading)
}

fn config_yaml(api: &str, bind: &str, haproxy: &Path, droplet_port: u16) -> String {
    format!(
        "\
fleet: demo
api: {{url: \"{api}\"}}
droplet_options:
  hostname_prefix: auto-nginx
  region: nyc3
  size: s-1vcpu-1gb
  image: ubuntu-22-04-x64
user_data:
  plugin: builtin:cloud-init
  config:
    template: |
      #!/bin/sh
      # {{{{ hostname }}}}, number {{{{ index }}}} of fleet {{{{ fleet }}}} in {{{{ region }}}}
      apt-get update && apt-get install -y nginx
      echo \"<h1>{{{{ hostname }}}}</h1>\" > /var/www/html/index.html
haproxy_cfg_path: haproxy
haproxy:
  binary: {haproxy}
  bind: [\"{bind}\"]
  port: {droplet_port}
  health_path: /health
  stats_socket: admin.sock
  master_socket: master.sock
  run_as: inherit
  log: none
  check_interval: 500ms
scaling:
  min: 2
  max: 5
  interval: 2s
  policies:
    - plugin: builtin:target-tracking
      config: {{metric: haproxy.sessions, target_per_droplet: 10, scale_in_stabilization_s: 4}}
  cooldown: {{in: 0s}}
  stabilization_window: 0s
  poll_interval: 500ms
  timeouts: {{drain: 5s}}
telemetry: {{listen: none}}
",
        haproxy = haproxy.display()
    )
}
