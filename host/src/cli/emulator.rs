//! `doproxy emulator`: a simulated DigitalOcean API on the local machine.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use doproxy_config::Span;
use doproxy_core::domain::Token;
use doproxy_emulator::{Emulator, Faults, Options, Settings};

use crate::cli::output::out;
use crate::cli::{UsageError, signals};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  doproxy emulator &
  DIGITALOCEAN_API_URL=http://127.0.0.1:8089 DIGITALOCEAN_TOKEN=any doproxy create
  curl -X PUT http://127.0.0.1:8089/_emulator/faults -d '{\"stuck_in_new\":\"always\"}'")]
pub(super) struct Args {
    /// Address to listen on; port 0 picks a free port.
    #[arg(long, default_value = "127.0.0.1:8089", value_name = "ADDR")]
    listen: SocketAddr,
    /// Persist droplets to this file so that they survive a restart.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Time from create to active.
    #[arg(long, default_value = "1s", value_name = "TIME")]
    boot_time: Span,
    /// Seed for IDs and addresses; the same seed yields the same values.
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Token to accept; any token is accepted if omitted.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Port of the droplets' web pages, each served on its own 127.x.y.z address.
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    droplet_port: u16,
    /// Initial faults as JSON, in the format of `/_emulator/faults`.
    #[arg(long, value_name = "JSON")]
    faults: Option<String>,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let token = match &args.token {
        None => None,
        Some(text) => {
            Some(Token::parse(text).ok_or_else(|| UsageError("--token is empty or not a valid token".to_owned()))?)
        }
    };
    let faults: Faults = match &args.faults {
        None => Faults::default(),
        Some(json) => serde_json::from_str(json).map_err(|error| UsageError(format!("--faults: {error}")))?,
    };
    let emulator = Emulator::start(Options {
        state: args.state.clone(),
        listen: args.listen,
        droplet_port: args.droplet_port,
        token,
        settings: Settings { seed: args.seed, boot_time: args.boot_time.0, ..Settings::default() },
        faults,
    })
    .await
    .context("failed to start the emulator")?;
    out!("listening on {}", emulator.url());
    out!("  DIGITALOCEAN_API_URL={} DIGITALOCEAN_TOKEN=any doproxy print", emulator.url());
    let by = signals::wait_for_interrupt().await?;
    emulator.stop().await;
    eprintln!("stopped by {by}");
    Ok(())
}
