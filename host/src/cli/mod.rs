//! The command line: one file per subcommand, and the only module that prints to stdout.
//!
//! Results go to stdout, progress and logs to stderr. The exit codes are those of [`exit_codes`].

mod check;
mod compile_plugin;
mod completions;
mod config;
mod context;
mod create;
mod decisions;
mod delete;
mod demo;
mod describe;
mod droplet_selector;
mod emulator;
mod exit_codes;
mod generate;
mod generate_reference;
mod import;
mod init;
mod maintenance;
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
use doproxy_config::{ConfigError, DEFAULT_FILE, Environment, Span};
use doproxy_core::domain::UserDataError;
use doproxy_haproxy::HaProxyError;
use doproxy_inventory_sqlite::SqliteError;
use doproxy_plugin_host::PluginError;
use doproxy_simulation::TraceError;
use tracing_subscriber::EnvFilter;

/// Autoscaler for DigitalOcean droplets behind HAProxy.
///
/// Sandboxed WebAssembly plugins decide when to create and delete droplets, and generate their user data.
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
  doproxy init                 write a starter doproxy.yml
  doproxy check                validate the configuration
  doproxy create --count 3     create three droplets behind HAProxy
  doproxy print                list the fleet with line numbers
  doproxy delete 1             drain and delete the droplet on line 1
  doproxy run                  scale the fleet as its policies decide
  doproxy demo                 run the tutorial locally, without an account

Exit codes: 0 success, 1 failure, 2 usage or configuration error.";

/// Options common to all commands.
#[derive(Debug, Clone, clap::Args)]
struct Global {
    /// Path of the configuration file.
    #[arg(long, global = true, value_name = "FILE", env = "DOPROXY_CONFIG", default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// Path of the inventory; overrides the configuration.
    #[arg(long, global = true, value_name = "FILE")]
    inventory: Option<PathBuf>,
    /// Maximum time to wait for another process that is changing the fleet.
    #[arg(long, global = true, value_name = "TIME", default_value = "10m")]
    wait: Span,
    /// Format of the logs on stderr.
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// Increase log verbosity (-v info, -vv debug, -vvv trace). `RUST_LOG` takes precedence.
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
    /// Write a commented starter doproxy.yml, an HAProxy template and user data.
    Init(crate::cli::init::Args),
    /// Validate the configuration, token, plugins and HAProxy without changing anything.
    #[command(after_help = "Examples:\n  doproxy check\n  doproxy --config /etc/doproxy/doproxy.yml check")]
    Check,
    /// List the fleet, one droplet per line.
    Print(crate::cli::print::Args),
    /// Create droplets and add them to HAProxy.
    Create(crate::cli::create::Args),
    /// Drain a droplet, remove it from HAProxy and delete it.
    Delete(crate::cli::delete::Args),
    /// Render HAProxy's configuration next to doproxy.yml without installing it.
    Generate(crate::cli::generate::Args),
    /// Install HAProxy's configuration and reload HAProxy.
    #[command(after_help = "Example:\n  doproxy reload")]
    Reload,
    /// Run the autoscaler, which sizes the fleet as its policies decide.
    Run(crate::cli::run::Args),
    /// Show the actions and cost of the next tick without applying it.
    Plan(crate::cli::plan::Args),
    /// Show the status of the fleet and its service.
    Status(crate::cli::status::Args),
    /// Resume interrupted operations and report inconsistencies between inventory, DigitalOcean and HAProxy.
    Recover(crate::cli::recover::Args),
    /// Suspend all changes to the fleet, or allow them again.
    Maintenance(crate::cli::maintenance::Args),
    /// Suspend automatic scaling.
    Pause(crate::cli::pause::Args),
    /// Resume automatic scaling.
    Resume(crate::cli::pause::ResumeArgs),
    /// Protect a droplet from automatic deletion.
    Protect(crate::cli::protect::Args),
    /// Remove deletion protection from a droplet.
    Unprotect(crate::cli::protect::Args),
    /// List, explain, replay and export recorded scaling decisions.
    Decisions(crate::cli::decisions::Args),
    /// Import the droplets of a DOProxy inventory.
    Import(crate::cli::import::Args),
    /// Simulate policies on recorded or synthetic load and compare unserved requests and cost.
    Simulate(Box<crate::cli::simulate::Args>),
    /// Inspect, build, test, publish and verify plugins.
    Plugin(crate::cli::plugin::Args),
    /// Run a local DigitalOcean API emulator.
    Emulator(crate::cli::emulator::Args),
    /// Run the tutorial locally with the emulator, HAProxy and plugins.
    Demo(crate::cli::demo::Args),
    /// Print the JSON Schema of doproxy.yml, or the effective configuration.
    Config(crate::cli::config::Args),
    /// Generate shell completions.
    Completions(crate::cli::completions::Args),
    /// Compile the plugin on stdin (internal; started by doproxy itself).
    #[command(hide = true)]
    CompilePlugin(crate::cli::compile_plugin::Args),
    /// Write the generated pages of the documentation (internal; called by `make generate`).
    #[command(hide = true)]
    GenerateReference(crate::cli::generate_reference::Args),
}

/// A usage error, which exits with [`exit_codes::USAGE`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UsageError(String);

/// A failure whose details are already printed line by line, which exits with [`exit_codes::FAILURE`].
#[derive(Debug, thiserror::Error)]
#[error("one or more checks failed")]
struct AlreadyReported;

/// Runs the command given by the arguments of this process.
pub fn main() -> ExitCode {
    crate::cli::redaction::harden_process();
    crate::cli::redaction::redact_panics();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // clap prints help to stdout and errors to stderr, and chooses the exit code.
        Err(error) => error.exit(),
    };
    if let Command::CompilePlugin(args) = &cli.command {
        return crate::cli::compile_plugin::run(args);
    }
    log_to_stderr(&cli.global, cli.command.is_service());
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: failed to start: {error}");
            return ExitCode::from(exit_codes::FAILURE);
        }
    };
    let result = if cli.command.handles_signals() {
        runtime.block_on(dispatch(cli))
    } else {
        runtime.block_on(crate::cli::signals::run_until_interrupted(dispatch(cli)))
    };
    // A hanging blocking call must not keep the process alive.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::from(exit_codes::SUCCESS),
        Err(error) => ExitCode::from(report(&error)),
    }
}

impl Command {
    /// Reports whether the command runs until stopped, unattended.
    fn is_service(&self) -> bool {
        matches!(self, Self::Run(args) if args.is_service())
    }

    /// Reports whether the command handles signals itself, or leaves nothing to resume when interrupted.
    fn handles_signals(&self) -> bool {
        self.is_service() || matches!(self, Self::Simulate(_))
    }
}

impl Cli {
    /// Returns the common options for a given configuration and environment.
    fn parse_global(config: &str, environment: Environment) -> anyhow::Result<Global> {
        let cli = Self::try_parse_from(["doproxy", "--config", config, "check"])?;
        Ok(Global { environment, ..cli.global })
    }
}

/// Parses `arguments` (starting with the program name) and runs the command in `environment`, as `demo` does for each
/// of its steps.
async fn run(arguments: &[&str], environment: Environment) -> anyhow::Result<()> {
    let mut cli = Cli::try_parse_from(arguments)?;
    cli.global.environment = environment;
    Box::pin(dispatch(cli)).await
}

async fn dispatch(cli: Cli) -> anyhow::Result<()> {
    let Cli { global, command } = cli;
    match command {
        Command::Init(args) => crate::cli::init::run(&args),
        Command::Check => crate::cli::check::run(&global).await,
        Command::Print(args) => crate::cli::print::run(&global, &args).await,
        Command::Create(args) => crate::cli::create::run(&global, &args).await,
        Command::Delete(args) => crate::cli::delete::run(&global, &args).await,
        Command::Generate(args) => crate::cli::generate::run(&global, &args).await,
        Command::Reload => crate::cli::reload::run(&global).await,
        Command::Run(args) => Box::pin(crate::cli::run::run(&global, &args)).await,
        Command::Plan(args) => crate::cli::plan::run(&global, &args).await,
        Command::Status(args) => crate::cli::status::run(&global, &args).await,
        Command::Recover(args) => crate::cli::recover::run(&global, &args).await,
        Command::Maintenance(args) => crate::cli::maintenance::run(&global, &args).await,
        Command::Pause(args) => crate::cli::pause::pause(&global, &args).await,
        Command::Resume(args) => crate::cli::pause::resume(&global, &args).await,
        Command::Protect(args) => crate::cli::protect::protect(&global, &args).await,
        Command::Unprotect(args) => crate::cli::protect::unprotect(&global, &args).await,
        Command::Decisions(args) => crate::cli::decisions::run(&global, &args).await,
        Command::Import(args) => crate::cli::import::run(&global, &args).await,
        Command::Simulate(args) => crate::cli::simulate::run(&global, &args).await,
        Command::Plugin(args) => crate::cli::plugin::run(&global, &args).await,
        Command::Emulator(args) => crate::cli::emulator::run(&args).await,
        Command::Demo(args) => crate::cli::demo::run(&args).await,
        Command::Config(args) => crate::cli::config::run(&global, &args),
        Command::Completions(args) => crate::cli::completions::run(&args),
        Command::GenerateReference(args) => crate::cli::generate_reference::run(&args),
        Command::CompilePlugin(_) => {
            Err(UsageError("`compile-plugin` requires a process of its own".to_owned()).into())
        }
    }
}

/// Prints the error and returns the exit code.
fn report(error: &anyhow::Error) -> u8 {
    if error.is::<AlreadyReported>() {
        return exit_codes::FAILURE;
    }
    eprintln!("{} {}", crate::cli::output::error_prefix(), crate::cli::output::format_error(error));
    if error.chain().any(is_config_error) { exit_codes::USAGE } else { exit_codes::FAILURE }
}

/// Reports whether the user's input caused the error, as opposed to a failure at run time.
fn is_config_error(error: &(dyn std::error::Error + 'static)) -> bool {
    let plugin = error.downcast_ref().is_some_and(PluginError::is_configuration);
    let haproxy = error.downcast_ref().is_some_and(HaProxyError::is_configuration);
    let inventory =
        error.downcast_ref().is_some_and(|error: &SqliteError| matches!(error, SqliteError::FleetMismatch { .. }));
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
        // A service's log must report the changes the service makes.
        0 if !is_service => "warn",
        0 | 1 => "doproxy=info,warn",
        2 => "doproxy=debug,info",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| crate::cli::redaction::RedactedStderr);
    match global.log_format {
        LogFormat::Text => logs.with_ansi(crate::cli::output::is_colored()).with_target(false).without_time().init(),
        LogFormat::Json => logs.json().init(),
    }
}
