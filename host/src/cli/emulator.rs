//! `doproxy emulator`: a simulated DigitalOcean API on this machine.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;

use super::UsageError;
use super::output::say;
use super::signals;
use crate::config::Span;
use crate::emulator::{Emulator, Options};
use crate::model::Token;
use crate::simulation::cloud::{Faults, Settings};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  doproxy emulator &
  DIGITALOCEAN_API_URL=http://127.0.0.1:8089 DIGITALOCEAN_TOKEN=any doproxy create
  curl -X PUT http://127.0.0.1:8089/_emulator/faults -d '{\"stuck_in_new\":\"always\"}'")]
pub(super) struct Args {
    /// Where the API listens; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8089", value_name = "ADDR")]
    listen: SocketAddr,
    /// Keep the droplets in this file, so that they survive a restart.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// From create to active.
    #[arg(long, default_value = "1s", value_name = "TIME")]
    boot_time: Span,
    /// The same seed gives the same ids and addresses.
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// The only token that is accepted; any is, when left out.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// The port of the droplets' pages, each on its own address 127.x.y.z.
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    droplet_port: u16,
    /// Faults from the start, as JSON, as `/_emulator/faults` takes them.
    #[arg(long, value_name = "JSON")]
    faults: Option<String>,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let token = match &args.token {
        None => None,
        Some(text) => Some(Token::parse(text).ok_or_else(|| UsageError("--token is empty or no token".to_owned()))?),
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
    .context("cannot start the emulator")?;
    say!("listening on {}", emulator.url());
    say!("  DIGITALOCEAN_API_URL={} DIGITALOCEAN_TOKEN=any doproxy print", emulator.url());
    let by = signals::wait_for_interrupt().await?;
    emulator.stop().await;
    eprintln!("stopped by {by}");
    Ok(())
}
