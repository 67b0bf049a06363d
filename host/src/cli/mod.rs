//! The command line: one file a subcommand, and the only place that prints to stdout.
//!
//! Results go to stdout, progress and logs to stderr. Exit codes: 0 done, 1 failed, 2 usage or configuration.

mod check;
mod compile_plugin;
mod completions;
mod context;
mod create;
mod decisions;
mod delete;
mod demo;
mod describe;
mod droplet_selector;
mod emulator;
mod freeze;
mod generate;
mod import;
mod init;
mod output;
mod pause;
mod plan;
mod plugin;
mod print;
mod protect;
mod recover;
mod redaction;
mod reload;
mod run;
mod sample_twice;
mod signals;
mod simulate;
mod status;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::balancer::haproxy::HaProxyError;
use crate::config::{self, ConfigError, Environment};
use crate::inventory::sqlite::InventoryError;
use crate::model::user_data::UserDataError;
use crate::plugin::PluginError;
use crate::simulation::trace::TraceError;

/// Scales a fleet of DigitalOcean droplets behind HAProxy.
///
/// Sandboxed WebAssembly plugins decide when droplets come and go, and write what they boot with.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  doproxy init                 write a doproxy.yml to begin with
  doproxy check                see whether it would work
  doproxy create --count 3     three droplets, behind HAProxy
  doproxy print                the fleet, with line numbers
  doproxy delete 1             drain and delete the droplet of line 1
  doproxy run                  keep the fleet at the size that its policies want
  doproxy demo                 watch all of it on this machine, without an account

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.";

/// What every command takes.
#[derive(Debug, Clone, clap::Args)]
struct Global {
    /// The configuration.
    #[arg(long, global = true, value_name = "FILE", env = "DOPROXY_CONFIG", default_value = config::DEFAULT_FILE)]
    config: PathBuf,
    /// The inventory, in place of the one that the configuration names.
    #[arg(long, global = true, value_name = "FILE")]
    inventory: Option<PathBuf>,
    /// How long to wait for another doproxy that changes the same fleet.
    #[arg(long, global = true, value_name = "TIME", default_value = "10m")]
    wait: config::Span,
    /// How logs are written to stderr.
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// Log more; twice for everything. `RUST_LOG` says it finer.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[arg(skip = Environment::of_process())]
    environment: Environment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a commented doproxy.yml, an HAProxy template and user data to begin with.
    Init(init::Args),
    /// Look whether configuration, token, plugins and HAProxy would work; change nothing.
    Check,
    /// Print the fleet, a line a droplet.
    Print(print::Args),
    /// Create droplets and put them behind HAProxy.
    Create(create::Args),
    /// Drain a droplet, take it out of HAProxy and delete it.
    Delete(delete::Args),
    /// Write HAProxy's configuration beside doproxy.yml; install nothing.
    Generate(generate::Args),
    /// Install HAProxy's configuration and reload HAProxy.
    Reload,
    /// Let the policy decide on the size of the fleet, and carry it out.
    Run(run::Args),
    /// Show what the next tick would do and cost; change nothing.
    Plan(plan::Args),
    /// Show how the fleet and its service are.
    Status(status::Args),
    /// Finish what an earlier command left, and name what does not belong together.
    Recover(recover::Args),
    /// Change nothing until `unfreeze`, whatever asks for it.
    Freeze(freeze::Args),
    /// Lift `freeze`.
    Unfreeze,
    /// Leave the fleet as it is, whatever policies want.
    Pause(pause::Args),
    /// Lift `pause`.
    Resume(pause::ResumeArgs),
    /// Keep a droplet from being chosen for deletion.
    Protect(protect::Args),
    /// Lift `protect`.
    Unprotect(protect::Args),
    /// Why the fleet was scaled: list, explain, replay and export what was recorded.
    Decisions(decisions::Args),
    /// Take over the droplets of a DOProxy inventory.
    Import(import::Args),
    /// Try policies on recorded or made load, and see what they leave unserved and cost.
    Simulate(Box<simulate::Args>),
    /// Show, share and trust plugins.
    Plugin(plugin::Args),
    /// Serve a simulated DigitalOcean API on this machine.
    Emulator(emulator::Args),
    /// Watch the whole tutorial on this machine: emulator, HAProxy, plugins.
    Demo(demo::Args),
    /// Print completions for a shell.
    Completions(completions::Args),
    /// Compile the plugin on stdin; started by doproxy itself.
    #[command(hide = true)]
    CompilePlugin(compile_plugin::Args),
}

/// A command that was used wrongly: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UsageError(String);

/// What is wrong was said already, line by line: exit code 1.
#[derive(Debug, thiserror::Error)]
#[error("something is wrong")]
struct AlreadyReported;

/// Runs what the arguments of this process say.
pub fn main() -> ExitCode {
    redaction::harden_process();
    redaction::redact_panics();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // clap prints help to stdout and errors to stderr, and knows the exit code.
        Err(error) => error.exit(),
    };
    if let Command::CompilePlugin(args) = &cli.command {
        return compile_plugin::run(args);
    }
    log_to_stderr(&cli.global, cli.command.is_service());
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::from(1);
        }
    };
    let result = if cli.command.handles_signals() {
        runtime.block_on(dispatch(cli))
    } else {
        runtime.block_on(signals::run_until_interrupted(dispatch(cli)))
    };
    // A blocking call that hangs must not keep the process.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(report(&error)),
    }
}

impl Command {
    /// Whether it runs until it is told to stop, and nobody looks at its terminal.
    fn is_service(&self) -> bool {
        matches!(self, Self::Run(args) if args.is_service())
    }

    /// Whether it ends by itself when a signal asks for that, or leaves nothing behind that somebody would carry on.
    fn handles_signals(&self) -> bool {
        self.is_service() || matches!(self, Self::Simulate(_))
    }
}

impl Cli {
    /// What every command takes, for one configuration and environment.
    fn parse_global(config: &str, environment: Environment) -> anyhow::Result<Global> {
        let cli = Self::try_parse_from(["doproxy", "--config", config, "check"])?;
        Ok(Global { environment, ..cli.global })
    }
}

/// Parses `arguments` (the program's name first) and runs them in `environment`, as `demo` does with each of its steps.
async fn run(arguments: &[&str], environment: Environment) -> anyhow::Result<()> {
    let mut cli = Cli::try_parse_from(arguments)?;
    cli.global.environment = environment;
    Box::pin(dispatch(cli)).await
}

async fn dispatch(cli: Cli) -> anyhow::Result<()> {
    let Cli { global, command } = cli;
    match command {
        Command::Init(args) => init::run(&args),
        Command::Check => check::run(&global).await,
        Command::Print(args) => print::run(&global, &args).await,
        Command::Create(args) => create::run(&global, &args).await,
        Command::Delete(args) => delete::run(&global, &args).await,
        Command::Generate(args) => generate::run(&global, &args).await,
        Command::Reload => reload::run(&global).await,
        Command::Run(args) => Box::pin(run::run(&global, &args)).await,
        Command::Plan(args) => plan::run(&global, &args).await,
        Command::Status(args) => status::run(&global, &args).await,
        Command::Recover(args) => recover::run(&global, &args).await,
        Command::Freeze(args) => freeze::freeze(&global, &args).await,
        Command::Unfreeze => freeze::unfreeze(&global).await,
        Command::Pause(args) => pause::pause(&global, &args).await,
        Command::Resume(args) => pause::resume(&global, &args).await,
        Command::Protect(args) => protect::protect(&global, &args).await,
        Command::Unprotect(args) => protect::unprotect(&global, &args).await,
        Command::Decisions(args) => decisions::run(&global, &args).await,
        Command::Import(args) => import::run(&global, &args).await,
        Command::Simulate(args) => simulate::run(&global, &args).await,
        Command::Plugin(args) => plugin::run(&global, &args).await,
        Command::Emulator(args) => emulator::run(&args).await,
        Command::Demo(args) => demo::run(&args).await,
        Command::Completions(args) => completions::run(&args),
        Command::CompilePlugin(_) => Err(UsageError("it needs a process of its own".to_owned()).into()),
    }
}

/// Says what went wrong, and answers the exit code.
fn report(error: &anyhow::Error) -> u8 {
    if error.is::<AlreadyReported>() {
        return 1;
    }
    eprintln!("{} {}", output::error_prefix(), output::format_error(error));
    if error.chain().any(is_config_error) { 2 } else { 1 }
}

/// Whether an error is in what the user wrote, and not in how things went.
fn is_config_error(error: &(dyn std::error::Error + 'static)) -> bool {
    let plugin = error.downcast_ref().is_some_and(PluginError::is_configuration);
    let haproxy = error.downcast_ref().is_some_and(HaProxyError::is_configuration);
    let inventory = error
        .downcast_ref()
        .is_some_and(|error: &InventoryError| matches!(error, InventoryError::FleetMismatch { .. }));
    plugin
        || haproxy
        || inventory
        || error.is::<ConfigError>()
        || error.is::<UsageError>()
        || error.is::<UserDataError>()
        || error.is::<TraceError>()
}

fn log_to_stderr(global: &Global, is_service: bool) {
    let level = match global.verbose {
        // What a service changes is what its log is for.
        0 if !is_service => "warn",
        0 | 1 => "doproxy=info,warn",
        2 => "doproxy=debug,info",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| redaction::RedactedStderr);
    match global.log_format {
        LogFormat::Text => logs.with_ansi(output::is_colored()).with_target(false).without_time().init(),
        LogFormat::Json => logs.json().init(),
    }
}
