//! `doproxy simulate`: policies on a trace, before they touch a droplet.

mod policies;
mod scenario;
mod table;
mod tune;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::output::{self, say};
use super::{AlreadyReported, Global, UsageError};
use crate::config::Span;
use crate::simulation::compare::{Comparison, compare, total_ticks};
use crate::simulation::faults::Fault;
use crate::simulation::gate::{self, Rules};
use crate::simulation::report;
use crate::simulation::runner::Progress;
use crate::simulation::scenario::Scenario;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(super) struct Args {
    /// A file (CSV, Prometheus range JSON, HAProxy or web server log; also packed with gzip), or shapes to make one of:
    /// `constant`, `step`, `ramp`, `diurnal`, `spike`, `noise`, added up with `+`.
    #[arg(long, value_name = "FILE|SHAPES", required_unless_present = "recorded")]
    trace: Option<String>,
    /// In place of a trace: what the host itself has measured at HAProxy in the last so much time.
    #[arg(long, value_name = "LAST", conflicts_with = "trace")]
    recorded: Option<Span>,
    /// How long a trace of shapes is.
    #[arg(long, value_name = "TIME", default_value = "24h")]
    length: Span,
    /// The two columns of a CSV.
    #[arg(long, value_name = "TIME,RATE", default_value = "timestamp_s,requests_per_s")]
    columns: String,
    /// Mend gaps, duplicates, negative rates and wrong order, and say so.
    #[arg(long)]
    repair: bool,
    /// A policy; several are compared. `builtin:NAME`, `file:PATH`, or a preset: `hpa`, `gce`, `aws`, `kpa`, `hold-boot`, `react`. Its
    /// configuration as JSON or YAML, or a file that holds it; a preset takes the utilisation it aims at. Without any, the
    /// policies of doproxy.yml.
    #[arg(long, value_name = "REF[=CONFIG]")]
    policy: Vec<String>,
    /// Requests per second that a droplet serves.
    #[arg(long, value_name = "REQUESTS_PER_SECOND")]
    capacity: f64,
    /// From the order of a droplet until it serves: a time, two for anything between (`90s..4m`), or `recorded` for those
    /// of the inventory.
    #[arg(long, value_name = "TIME", default_value = "120s")]
    boot_time: String,
    /// The time between two decisions.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    tick: Span,
    /// Fewest droplets.
    #[arg(long, value_name = "N", default_value_t = 1)]
    min: u32,
    /// Most droplets.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    max: u32,
    /// Droplets at the beginning; what the first ticks need where it is left out.
    #[arg(long, value_name = "N")]
    initial: Option<u32>,
    /// `fluid`: demand flows, and what there is no room for is lost. `queue`: it waits instead. `requests`: each request by
    /// itself, with latencies.
    #[arg(long, value_name = "MODEL", default_value = "fluid")]
    model: Model,
    /// Mean time that a request takes, without waiting.
    #[arg(long, value_name = "TIME", default_value = "100ms")]
    service_time: Span,
    /// How service times vary, in the model `requests`.
    #[arg(long, value_name = "SHAPE", default_value = "exponential")]
    service_shape: ServiceShape,
    /// How long a request waits for a slot before it fails, in the model `requests`.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    queue_timeout: Span,
    /// What a droplet costs in an hour, in dollars.
    #[arg(long, value_name = "DOLLARS", default_value_t = 0.00893)]
    price: f64,
    /// The least that a droplet is billed for. DigitalOcean's where it is left out: 60 s or a cent, whichever is more.
    #[arg(long, value_name = "TIME")]
    minimum_charge: Option<Span>,
    /// Hold decisions to the limits and the guard of doproxy.yml; otherwise only to --min and --max.
    #[arg(long)]
    guard: bool,
    /// Something that goes wrong: `api-outage`, `slow-boots`, `failed-boots`, `sold-out`, `metric-outage`, with
    /// `from=TIME,length=TIME[,every=TIME]`.
    #[arg(long, value_name = "FAULT")]
    fault: Vec<Fault>,
    /// What luck begins with: the same seed gives the same answer.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Search a numeric setting of the policy for the cheapest that holds --slo, on the first two thirds of the trace; the
    /// rest checks it. Several are searched together. Its range is the schema's where it is left out.
    #[arg(long, value_name = "FIELD[=LOW..HIGH]", conflicts_with_all = ["report", "check"])]
    tune: Vec<String>,
    /// What --tune has to hold: `unserved<=0.1%`, or `p99<=250ms` in the model `requests`.
    #[arg(long, value_name = "WHAT<=MOST", default_value = "unserved<=0.1%", requires = "tune")]
    slo: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Write a page with charts.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Exit with 1 when a policy flaps, is too small after steady load, leaves its bounds, fails, or breaks a --max below.
    #[arg(long)]
    check: bool,
    /// Most that may be left unserved, in percent.
    #[arg(long, value_name = "PERCENT", requires = "check")]
    max_unserved: Option<f64>,
    /// Most that it may cost, over the limit.
    #[arg(long, value_name = "RATIO", requires = "check")]
    max_cost: Option<f64>,
    /// Most changes of the size in an hour.
    #[arg(long, value_name = "N", requires = "check")]
    max_changes: Option<f64>,
}

impl Args {
    /// What the load is called.
    fn source(&self) -> &str {
        self.trace.as_deref().unwrap_or("recorded")
    }
}

const EXAMPLES: &str = "\
Examples:
  doproxy simulate --trace diurnal:mean=300,swing=0.6+noise:share=0.05 --capacity 50 --policy hpa --policy hpa=0.85
  doproxy simulate --trace load.csv --capacity 100 --policy file:policy.wasm='{target: 70}' --report out.html
  doproxy simulate --trace /var/log/haproxy.log.1.gz --capacity 100 --guard
  doproxy simulate --recorded 14d --capacity 100 --policy hpa --guard
  doproxy simulate --trace load.csv --capacity 100 --policy hpa --tune target_per_droplet=40..95
  doproxy simulate --trace load.csv --capacity 100 --policy hpa --check --max-unserved 0.1 --max-cost 1.5
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
    let app = scenario::load_context(global)?;
    let (scenario, repairs) = scenario::scenario(args, app.as_ref()).await?;
    for repair in &repairs {
        output::warn(format_args!("{}: {repair}", args.source()));
    }
    let policies = policies::load(app.as_ref(), &args.policy, args.capacity).await?;
    if !args.tune.is_empty() {
        return tune::run(args, &scenario, policies).await;
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
        say!("{}", serde_json::to_string_pretty(&table::json(&scenario, &comparison, args))?);
    } else {
        say!("{}", table::text(&scenario, &comparison));
    }
    if let Some(path) = &args.report {
        let command: Vec<String> = std::env::args().collect();
        let page = report::render_page(&scenario, &comparison, &shell_words(&command));
        std::fs::write(path, page).map_err(|error| UsageError(format!("cannot write {}: {error}", path.display())))?;
    }
    if args.check { check(&scenario, &comparison, args) } else { Ok(()) }
}

/// A bar on a terminal, and nothing elsewhere.
fn bar(ticks: u64) -> ProgressBar {
    let bar = if output::shows_progress() { ProgressBar::new(ticks) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} % {eta} to go");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn warn_of_failures(comparison: &Comparison) {
    for (row, played) in &comparison.policies {
        if let Some(failures) = &played.failures {
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
        .flat_map(|(row, played)| gate::find_violations(scenario, row, played, &rules))
        .collect();
    if broken.is_empty() {
        return Ok(());
    }
    for broken in broken {
        eprintln!("✗ {broken}");
    }
    Err(AlreadyReported.into())
}

/// A command as a person would type it again.
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
