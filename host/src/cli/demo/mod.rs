//! `doproxy demo`: the whole tutorial on this machine. The API is the emulator; HAProxy, plugins and commands are real.

mod environment;
mod load;
mod scenario;

use std::path::PathBuf;

use crate::cloud::CloudProvider;
use environment::DemoEnvironment;
use scenario::run_scenario;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  doproxy demo")]
pub(super) struct Args {
    /// The HAProxy program.
    #[arg(long, default_value = "/usr/sbin/haproxy", value_name = "FILE")]
    haproxy: PathBuf,
    /// The port of the droplets' pages, each on its own address 127.x.y.z.
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    droplet_port: u16,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let stage = DemoEnvironment::start(&args.haproxy, args.droplet_port).await?;
    let played = run_demo(&stage).await;
    stage.stop().await;
    played
}

async fn run_demo(stage: &DemoEnvironment) -> anyhow::Result<()> {
    DemoEnvironment::print_heading("A fleet is one file.");
    stage.show_configuration()?;
    DemoEnvironment::print_heading(
        "Would it work? Asks the API, loads the plugins, lets HAProxy read its configuration.",
    );
    stage.doproxy(&["check"]).await?;

    DemoEnvironment::print_heading("Three droplets. Each gets traffic after HAProxy's health check has passed.");
    stage.doproxy(&["create", "--count", "3"]).await?;
    stage.doproxy(&["print"]).await?;
    DemoEnvironment::print_heading("What the first one booted with was written by a WebAssembly component.");
    stage.show_user_data().await?;
    DemoEnvironment::print_heading("Behind HAProxy the page rotates.");
    stage.show_rotation(6).await?;

    DemoEnvironment::print_heading("Line 1 goes: it drains, leaves HAProxy, and is deleted.");
    stage.doproxy(&["delete", "1", "--yes"]).await?;
    stage.doproxy(&["print"]).await?;
    DemoEnvironment::print_heading("The end of HAProxy's configuration:");
    stage.show_configuration_tail(6)?;
    stage.show_rotation(4).await?;

    DemoEnvironment::print_heading(
        "Now the loop. Clients come and go; a policy, another component, is asked every two seconds.",
    );
    let (answered, failed) = run_scenario(stage).await?;
    DemoEnvironment::print_heading(&format!(
        "{answered} requests were answered, {failed} failed. Why was the first droplet created?"
    ));
    stage.doproxy(&["decisions", "explain", &stage.first_scale_out()?.to_string()]).await?;

    DemoEnvironment::print_heading("Everything is cleaned up.");
    while stage.has_droplets().await? {
        stage.doproxy(&["delete", "0", "--yes"]).await?;
    }
    let left = stage.cloud()?.list(&DemoEnvironment::filter()).await?.len();
    DemoEnvironment::print_heading(&format!(
        "The API has {left} droplets left. Now with an account of your own: doproxy init"
    ));
    Ok(())
}
