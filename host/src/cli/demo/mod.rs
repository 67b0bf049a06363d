//! `doproxy demo`: runs the whole tutorial on the local machine. The API is emulated; HAProxy, plugins and commands are
//! real.

mod environment;
mod load;
mod scenario;

use std::path::PathBuf;

use doproxy_core::seams::CloudProvider;

use crate::cli::demo::environment::DemoEnvironment;
use crate::cli::demo::scenario::run_scenario;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  doproxy demo")]
pub(super) struct Args {
    /// Path of the HAProxy executable.
    #[arg(long, default_value = "/usr/sbin/haproxy", value_name = "FILE")]
    haproxy: PathBuf,
    /// Port of the droplets' web pages, each served on its own 127.x.y.z address.
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    droplet_port: u16,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let environment = DemoEnvironment::start(&args.haproxy, args.droplet_port).await?;
    let outcome = run_demo(&environment).await;
    environment.stop().await;
    outcome
}

async fn run_demo(environment: &DemoEnvironment) -> anyhow::Result<()> {
    DemoEnvironment::print_heading("A fleet is defined in one file.");
    environment.show_configuration()?;
    DemoEnvironment::print_heading(
        "Validate it: query the API, load the plugins, let HAProxy parse its configuration.",
    );
    environment.doproxy(&["check"]).await?;

    DemoEnvironment::print_heading("Create three droplets. Each receives traffic once HAProxy's health check passes.");
    environment.doproxy(&["create", "--count", "3"]).await?;
    environment.doproxy(&["print"]).await?;
    DemoEnvironment::print_heading("A WebAssembly component generated the user data of the first droplet.");
    environment.show_user_data().await?;
    DemoEnvironment::print_heading("HAProxy balances requests across the droplets.");
    environment.show_rotation(6).await?;

    DemoEnvironment::print_heading("Delete the droplet on line 1: it drains, leaves HAProxy, and is deleted.");
    environment.doproxy(&["delete", "1", "--yes"]).await?;
    environment.doproxy(&["print"]).await?;
    DemoEnvironment::print_heading("The server entries at the end of HAProxy's configuration:");
    environment.show_configuration_tail(6)?;
    environment.show_rotation(4).await?;

    DemoEnvironment::print_heading(
        "Run the autoscaler. Clients come and go; a policy, another component, is evaluated every two seconds.",
    );
    let (answered, failed) = run_scenario(environment).await?;
    DemoEnvironment::print_heading(&format!(
        "{answered} requests succeeded, {failed} failed. Why was the first droplet created?"
    ));
    environment.doproxy(&["decisions", "explain", &environment.first_scale_out()?.to_string()]).await?;

    DemoEnvironment::print_heading("Clean up.");
    while environment.has_droplets().await? {
        environment.doproxy(&["delete", "0", "--yes"]).await?;
    }
    let left = environment.cloud()?.list(&DemoEnvironment::filter()).await?.len();
    DemoEnvironment::print_heading(&format!(
        "The API has {left} droplets left. To use your own account, run: doproxy init"
    ));
    Ok(())
}
