//! `doproxy simulate`: runs policies against a trace before they manage real droplets.

mod policies;
mod scenario;
mod table;
mod tune;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use doproxy_config::Span;
use doproxy_simulation::{Comparison, Fault, Progress, Rules, Scenario, compare, gate, render_page, total_ticks};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::output::out;
use crate::cli::{AlreadyReported, Global, UsageError, output};

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent switch")]
pub(super) struct Args {
    /// Trace file (CSV, Prometheus range JSON, HAProxy or web server log; optionally gzipped), or synthetic shapes
    /// joined with `+`: `constant`, `step`, `ramp`, `diurnal`, `spike`, `noise`.
    #[arg(long, value_name = "FILE|SHAPES", required_unless_present = "from_history")]
    trace: Option<String>,
    /// Use the requests that doproxy measured at HAProxy in this time before now, instead of a trace.
    #[arg(long, value_name = "LAST", conflicts_with = "trace")]
    from_history: Option<Span>,
    /// Length of a synthetic trace.
    #[arg(long, value_name = "TIME", default_value = "24h")]
    length: Span,
    /// Names of the two CSV columns.
    #[arg(long, value_name = "TIME,RATE", default_value = "timestamp_s,requests_per_s")]
    columns: String,
    /// Repair gaps, duplicates, negative rates and wrong order, and report each repair.
    #[arg(long)]
    repair: bool,
    /// Policy to simulate; repeat to compare several. `builtin:NAME`, `file:PATH`, or a preset: `hpa`, `gce`, `aws`,
    /// `kpa`, `ski-rental`, `reactive`. Append its configuration as JSON or YAML, or the file that contains it; for a
    /// preset, append its target utilization. Defaults to the policies of doproxy.yml.
    #[arg(long, value_name = "REF[=CONFIG]")]
    policy: Vec<String>,
    /// Requests per second that a droplet can serve.
    #[arg(long, value_name = "REQUESTS_PER_SECOND")]
    capacity: f64,
    /// Time from create until a droplet serves: a duration, a range (`90s..4m`), or `recorded` for the durations in the
    /// inventory.
    #[arg(long, value_name = "TIME", default_value = "120s")]
    boot_time: String,
    /// Time between two decisions.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    tick: Span,
    /// Minimum number of droplets.
    #[arg(long, value_name = "N", default_value_t = 1)]
    min: u32,
    /// Maximum number of droplets.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    max: u32,
    /// Initial number of droplets; the demand of the first ticks if omitted.
    #[arg(long, value_name = "N")]
    initial: Option<u32>,
    /// Load model. `fluid`: excess demand is lost. `queue`: excess demand waits. `requests`: individual requests with
    /// latencies.
    #[arg(long, value_name = "MODEL", default_value = "fluid")]
    model: Model,
    /// Mean service time of a request, without queueing.
    #[arg(long, value_name = "TIME", default_value = "100ms")]
    service_time: Span,
    /// Distribution of service times in the `requests` model.
    #[arg(long, value_name = "SHAPE", default_value = "exponential")]
    service_shape: ServiceShape,
    /// Maximum queueing time of a request before it fails in the `requests` model.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    queue_timeout: Span,
    /// Price of a droplet per hour, in dollars.
    #[arg(long, value_name = "DOLLARS", default_value_t = 0.00893)]
    price: f64,
    /// Minimum billing period of a droplet; DigitalOcean's if omitted: 60 s or one cent, whichever is more.
    #[arg(long, value_name = "TIME")]
    minimum_charge: Option<Span>,
    /// Apply the limits and guard rules of doproxy.yml, instead of only --min and --max.
    #[arg(long)]
    guard: bool,
    /// Fault to inject: `api-outage`, `slow-boots`, `failed-boots`, `sold-out`, `metric-outage`, with
    /// `from=TIME,length=TIME[,every=TIME]`. Repeatable.
    #[arg(long, value_name = "FAULT")]
    fault: Vec<Fault>,
    /// Random seed; the same seed yields the same result.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Search a numeric policy setting for the lowest cost that meets --slo. The first two thirds of the trace are for
    /// the search, the rest for validation. Repeat to search several settings together. The range defaults to that of
    /// the configuration schema.
    #[arg(long, value_name = "FIELD[=LOW..HIGH]", conflicts_with_all = ["report", "assert"])]
    optimize: Vec<String>,
    /// Objective for --optimize: `unserved<=0.1%`, or `p99<=250ms` in the `requests` model.
    #[arg(long, value_name = "WHAT<=MOST", default_value = "unserved<=0.1%", requires = "optimize")]
    slo: String,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
    /// Write an HTML report with charts.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Exit with status 1 if a policy flaps, stays too small under steady load, exceeds its limits, fails, or exceeds
    /// one of the maxima below.
    #[arg(long)]
    assert: bool,
    /// Maximum share of unserved requests, in percent.
    #[arg(long, value_name = "PERCENT", requires = "assert")]
    max_unserved: Option<f64>,
    /// Maximum cost, relative to the lower bound.
    #[arg(long, value_name = "RATIO", requires = "assert")]
    max_cost: Option<f64>,
    /// Maximum number of size changes per hour.
    #[arg(long, value_name = "N", requires = "assert")]
    max_changes: Option<f64>,
}

impl Args {
    /// Returns the name of the load.
    fn source(&self) -> &str {
        self.trace.as_deref().unwrap_or("recorded")
    }
}

const EXAMPLES: &str = "\
Examples:
  doproxy simulate --trace diurnal:mean=300,swing=0.6+noise:share=0.05 --capacity 50 --policy hpa --policy hpa=0.85
  doproxy simulate --trace load.csv --capacity 100 --policy file:policy.wasm='{target: 70}' --report out.html
  doproxy simulate --trace /var/log/haproxy.log.1.gz --capacity 100 --guard
  doproxy simulate --from-history 14d --capacity 100 --policy hpa --guard
  doproxy simulate --trace load.csv --capacity 100 --policy hpa --optimize target_per_droplet=40..95
  doproxy simulate --trace load.csv --capacity 100 --policy hpa --assert --max-unserved 0.1 --max-cost 1.5
  doproxy simulate --trace constant:rate=300 --capacity 50 --policy hpa --fault api-outage:from=2h,length=30m";

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Model {
    Fluid,
    Queue,
    Requests,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ServiceShape {
    Fixed,
    Exponential,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let context = crate::cli::simulate::scenario::load_context(global)?;
    let (scenario, repairs) = crate::cli::simulate::scenario::scenario(args, context.as_ref()).await?;
    for repair in &repairs {
        output::warn(format_args!("{}: {repair}", args.source()));
    }
    let policies = crate::cli::simulate::policies::load(context.as_ref(), &args.policy, args.capacity).await?;
    if !args.optimize.is_empty() {
        return crate::cli::simulate::tune::run(args, &scenario, policies).await;
    }
    let progress = Arc::new(Progress::default());
    let bar = bar(total_ticks(&scenario, policies.len()));
    let shared = Arc::clone(&progress);
    let mut running = tokio::task::spawn_blocking(move || {
        let comparison = compare(&scenario, &policies, &shared);
        (scenario, comparison)
    });
    let (scenario, comparison) = loop {
        tokio::select! {
            done = &mut running => break done?,
            () = tokio::time::sleep(Duration::from_millis(100)) => bar.set_position(progress.ticks.load(Ordering::Relaxed)),
        }
    };
    bar.finish_and_clear();
    let comparison = comparison?;
    warn_of_failures(&comparison);
    if args.json {
        out!("{}", serde_json::to_string_pretty(&crate::cli::simulate::table::json(&scenario, &comparison, args))?);
    } else {
        out!("{}", crate::cli::simulate::table::text(&scenario, &comparison));
    }
    if let Some(path) = &args.report {
        let command: Vec<String> = std::env::args().collect();
        let page = render_page(&scenario, &comparison, &shell_words(&command))?;
        std::fs::write(path, page)
            .map_err(|error| UsageError(format!("failed to write {}: {error}", path.display())))?;
    }
    if args.assert { check(&scenario, &comparison, args) } else { Ok(()) }
}

/// Returns a progress bar, which is hidden unless stderr is a terminal.
fn bar(ticks: u64) -> ProgressBar {
    let bar = if output::shows_progress() { ProgressBar::new(ticks) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} % {eta} remaining");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn warn_of_failures(comparison: &Comparison) {
    for (row, result) in &comparison.policies {
        if let Some(failures) = &result.failures {
            output::warn(format_args!(
                "{} failed in {}, first at {}: {}",
                row.name,
                output::count(usize::try_from(failures.count).unwrap_or(usize::MAX), "tick"),
                failures.first_at,
                failures.first_error
            ));
        }
    }
}

fn check(scenario: &Scenario, comparison: &Comparison, args: &Args) -> anyhow::Result<()> {
    let rules = Rules {
        max_unserved_pct: args.max_unserved,
        max_cost_over_limit: args.max_cost,
        max_adaptations_per_h: args.max_changes,
        ..Rules::default()
    };
    let broken: Vec<_> = comparison
        .policies
        .iter()
        .flat_map(|(row, result)| gate::find_violations(scenario, row, result, &rules))
        .collect();
    if broken.is_empty() {
        return Ok(());
    }
    for broken in broken {
        eprintln!("✗ {broken}");
    }
    Err(AlreadyReported.into())
}

/// Quotes a command for a shell.
fn shell_words(arguments: &[String]) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+%@".contains(c);
    let word = |text: &String| {
        if !text.is_empty() && text.chars().all(is_plain) {
            text.clone()
        } else {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
    };
    arguments.iter().map(word).collect::<Vec<_>>().join(" ")
}
