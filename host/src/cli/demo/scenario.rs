//! The last part of the demo: runs `doproxy run` under a rising and falling load, and prints a line per second.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use doproxy_core::domain::Phase;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;
use tokio::time::{MissedTickBehavior, interval};

use crate::cli::demo::environment::DemoEnvironment;
use crate::cli::demo::load::Load;
use crate::cli::output;
use crate::cli::output::out;

/// The number of clients and the label of each load step, in order.
const LOAD_STEPS: [(usize, &str); 3] = [(4, "quiet"), (38, "a crowd"), (4, "quiet again")];

/// Upper bound for a load step and for stopping the service.
const TIMEOUT: Duration = Duration::from_secs(40);

/// Minimum and maximum number of droplets, as in the demo's `doproxy.yml`.
const FLEET_LIMITS: (usize, usize) = (2, 5);

/// The fleet's droplets by state at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct FleetCounts {
    serving: usize,
    coming_up: usize,
    terminating: usize,
}

/// Runs all load steps. Returns the number of successful and failed requests.
pub(super) async fn run_scenario(environment: &DemoEnvironment) -> anyhow::Result<(usize, usize)> {
    DemoEnvironment::print_command("doproxy run");
    let mut service = Service::start(environment)?;
    let started = Instant::now();
    let (mut answered, mut failed) = (0, 0);
    for (clients, what) in LOAD_STEPS {
        out!("{}", dim(&format!("--- {what}: {clients} clients")));
        let load = Load::start(environment.http(), environment.site(), clients);
        let outcome = run_load_step(environment, &load, clients, started).await;
        let (of_part, lost) = load.stop().await;
        answered += of_part;
        failed += lost;
        if let Err(error) = outcome {
            service.stop().await?;
            return Err(error);
        }
    }
    service.stop().await?;
    Ok((answered, failed))
}

/// Runs one load step until the fleet has the size that its load requires.
async fn run_load_step(
    environment: &DemoEnvironment,
    load: &Load,
    clients: usize,
    started: Instant,
) -> anyhow::Result<()> {
    load.wait_for_first_response().await?;
    let is_crowd = clients > FLEET_LIMITS.0 * 10;
    let until = Instant::now() + TIMEOUT;
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut settled = 0;
    while Instant::now() < until {
        seconds.tick().await;
        let fleet = fleet_counts(environment).await?;
        out!("{}", format_line(started.elapsed(), clients, fleet));
        let wanted = if is_crowd { clients.div_ceil(10).min(FLEET_LIMITS.1) } else { FLEET_LIMITS.0 };
        let is_settled = fleet == FleetCounts { serving: wanted, ..FleetCounts::default() };
        settled = if is_settled { settled + 1 } else { 0 };
        // Three seconds in a row, to show that the fleet stays stable.
        if settled == 3 {
            return Ok(());
        }
    }
    bail!("the fleet did not scale with the load within {} s", TIMEOUT.as_secs())
}

async fn fleet_counts(environment: &DemoEnvironment) -> anyhow::Result<FleetCounts> {
    let mut fleet = FleetCounts::default();
    for droplet in environment.snapshot().await?.droplets {
        match droplet.phase {
            Phase::Serving => fleet.serving += 1,
            phase if phase.is_starting() => fleet.coming_up += 1,
            _ => fleet.terminating += 1,
        }
    }
    Ok(fleet)
}

/// Formats one second: `  12 s  ████████ 38 clients    ■■■□□ 3 serving, 2 coming up`
fn format_line(elapsed: Duration, clients: usize, fleet: FleetCounts) -> String {
    let load = "█".repeat(clients.div_ceil(4));
    let FleetCounts { serving, coming_up: coming, terminating: leaving } = fleet;
    let squares = "■".repeat(serving) + &"□".repeat(coming) + &"▨".repeat(leaving);
    let mut words = format!("{serving} serving");
    for (count, what) in [(coming, "coming up"), (leaving, "leaving")] {
        if count > 0 {
            words += &format!(", {count} {what}");
        }
    }
    format!("{:>4} s  {load:<10} {clients:>2} clients   {squares:<6} {words}", elapsed.as_secs())
}

fn dim(text: &str) -> String {
    if output::is_stdout_colored() { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
}

/// The service in a process of its own, with its log shown as it is written.
struct Service {
    child: Child,
    log: Option<tokio::task::JoinHandle<()>>,
}

impl Service {
    fn start(environment: &DemoEnvironment) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("failed to locate the doproxy executable")?;
        let mut command = tokio::process::Command::new(program);
        command.arg("--config").arg(environment.config_file()).arg("run");
        // The caller's environment is ignored, so that the demo can never reach a real account.
        for name in ["DIGITALOCEAN_API_URL", "DIGITALOCEAN_ACCESS_TOKEN", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET"] {
            command.env_remove(name);
        }
        command.env("DIGITALOCEAN_TOKEN", DemoEnvironment::token()).env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("failed to start `doproxy run`")?;
        let log = child.stderr.take().map(|pipe| tokio::spawn(print_log(pipe)));
        Ok(Self { child, log })
    }

    /// Stops the service with SIGTERM, as systemd does.
    async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            kill(Pid::from_raw(pid), Signal::SIGTERM)?;
        }
        let ended =
            tokio::time::timeout(TIMEOUT, self.child.wait()).await.context("`doproxy run` did not stop in time")??;
        if let Some(log) = self.log.take() {
            log.await?;
        }
        if ended.success() { Ok(()) } else { bail!("`doproxy run` exited with {ended}") }
    }
}

/// Prints the service's log between the lines of the demo.
async fn print_log(pipe: impl AsyncRead + Unpin) {
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        out!("{}", dim(&format!("        {}", line.trim_start())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_line_shows_load_and_fleet() {
        let fleet = FleetCounts { serving: 3, coming_up: 2, terminating: 0 };

        insta::assert_snapshot!(format_line(Duration::from_secs(12), 38, fleet), @"  12 s  ██████████ 38 clients   ■■■□□  3 serving, 2 coming up");
    }
}
