//! `doproxy plugin test`: runs fixtures and properties.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use doproxy_plugin_devkit::test::{bless, junit, search};
use doproxy_plugin_devkit::{
    Actual, CallErrorKind, Case, FixtureFile, FixtureRun, OutcomeKind, PropertyReport, Search, Subject,
    run as run_fixture, to_yaml,
};
use serde::Serialize;
use serde_json::Value;

use crate::cli::output::{count, is_stdout_colored, out, warn};
use crate::cli::plugin::target::{PluginUnderTest, read_config, relaxed_host};
use crate::cli::{AlreadyReported, Global, UsageError};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  doproxy plugin test\n  doproxy plugin test --bless\n  doproxy plugin test calm --properties --junit report.xml\n  doproxy plugin test builtin:target-tracking --fixtures plugins/target-tracking/fixtures"
)]
pub(super) struct Args {
    /// Project directory, built first; or `builtin:NAME`, `file:PATH`.
    #[arg(value_name = "DIR|REF", default_value = ".")]
    subject: String,
    /// Fixture directory; `fixtures` in the project directory if omitted.
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,
    /// Write the actual results to fixtures without expectations.
    #[arg(long)]
    bless: bool,
    /// Also search for observations in which the plugin violates a property.
    #[arg(long)]
    properties: bool,
    /// Number of generated observations.
    #[arg(long, value_name = "COUNT", default_value_t = 2000, requires = "properties")]
    cases: u32,
    /// Seed of the generated observations.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, requires = "properties")]
    seed: u64,
    /// Configuration for `--properties`, as YAML; those of the fixtures if omitted.
    #[arg(long, value_name = "FILE", requires = "properties")]
    with: Option<PathBuf>,
    /// Write a JUnit XML report.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let tried = PluginUnderTest::resolve(&args.subject).await?;
    let folder = match (&args.fixtures, &tried.project) {
        (Some(folder), _) if !folder.is_dir() => {
            return Err(UsageError(format!("directory {} not found", folder.display())).into());
        }
        (Some(folder), _) => Some(folder.clone()),
        (None, Some((project, _))) => Some(project.directory.join("fixtures")),
        (None, None) => None,
    };
    let mut files = folder.as_deref().map(FixtureFile::read_all).transpose()?.unwrap_or_default();
    if files.is_empty() && !args.properties {
        let place = folder.map_or_else(
            || "pass a fixture directory with --fixtures".to_owned(),
            |folder| format!("{} contains no fixtures", folder.display()),
        );
        return Err(UsageError(format!("nothing to test: {place}, or use --properties")).into());
    }
    let subject = tried.load(&relaxed_host(global)?).await?;
    let report = Reporter { json: args.json, colored: is_stdout_colored() };
    report.head(&subject, &tried);

    let mut outcome = Outcome::default();
    for file in &mut files {
        let mut run = run_fixture(&subject, file).await?;
        let blessed = args.bless && file.fixture.property.is_none() && bless(file, &run)?;
        if blessed {
            *file = FixtureFile::read(&file.path)?;
            run = run_fixture(&subject, file).await?;
        }
        report.fixture(&run, blessed);
        outcome.fixtures.push(run);
    }
    if args.properties {
        let configs = configs(args, &files)?;
        let search_for = Search { cases: args.cases, seed: args.seed, configs };
        let started = Instant::now();
        for property in search(&subject, &search_for).await? {
            if property.cases == 0 {
                return Err(
                    UsageError("the plugin rejects all configurations; pass one with --with FILE".to_owned()).into()
                );
            }
            let saved = save(&property, folder.as_deref())?;
            report.property(&property, saved.as_deref());
            outcome.properties.push((property, saved));
        }
        outcome.search_time = started.elapsed();
    }
    if let Some(file) = &args.junit {
        let text = junit::report(&subject.manifest().name, &outcome.cases());
        fs::write(file, text).map_err(|error| anyhow::anyhow!("failed to write {}: {error}", file.display()))?;
    }
    report.end(&subject, &outcome)?;
    if outcome.failures() == 0 { Ok(()) } else { Err(AlreadyReported.into()) }
}

/// Returns the distinct configurations of the fixtures.
fn configs(args: &Args, files: &[FixtureFile]) -> anyhow::Result<Vec<Value>> {
    if let Some(file) = &args.with {
        return Ok(vec![read_config(file)?]);
    }
    let mut configs: Vec<Value> = Vec::new();
    for file in files {
        let config = file.fixture.config.clone().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        if !configs.contains(&config) {
            configs.push(config);
        }
    }
    if configs.is_empty() {
        configs.push(Value::Object(serde_json::Map::new()));
    }
    Ok(configs)
}

/// Saves a violated property as a fixture, so that later runs cover it. Warnings are only reported.
fn save(property: &PropertyReport, folder: Option<&Path>) -> anyhow::Result<Option<PathBuf>> {
    let (Some(found), Some(folder), false) = (&property.counterexample, folder, property.is_warning) else {
        return Ok(None);
    };
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("found_{}.yaml", property.name.replace('-', "_")));
    fs::write(&path, to_yaml(&found.fixture)?)
        .map_err(|error| anyhow::anyhow!("failed to write {}: {error}", path.display()))?;
    Ok(Some(path))
}

/// The results of all fixtures and properties.
#[derive(Default)]
struct Outcome {
    fixtures: Vec<FixtureRun>,
    properties: Vec<(PropertyReport, Option<PathBuf>)>,
    search_time: Duration,
}

impl Outcome {
    fn failures(&self) -> usize {
        let broken = |property: &PropertyReport| property.counterexample.is_some() && !property.is_warning;
        self.fixtures.iter().filter(|run| !run.passed()).count()
            + self.properties.iter().filter(|(property, _)| broken(property)).count()
    }

    fn cases(&self) -> Vec<Case> {
        let fixtures = self.fixtures.iter().map(|run| Case {
            group: "fixtures",
            name: run.name.clone(),
            duration: run.duration,
            failure: Some(run.problems().join("\n")).filter(|text| !text.is_empty()),
            output: run.ticks.iter().flat_map(|tick| &tick.log).map(|line| format!("{line}\n")).collect(),
        });
        let each = self.search_time / u32::try_from(self.properties.len().max(1)).unwrap_or(1);
        let properties = self.properties.iter().map(|(property, _)| {
            let why = property.counterexample.as_ref().map(|found| found.violation.clone());
            let (failure, warning) = if property.is_warning { (None, why) } else { (why, None) };
            let output = warning.unwrap_or_default();
            Case { group: "properties", name: property.name.clone(), duration: each, failure, output }
        });
        fixtures.chain(properties).collect()
    }
}

/// The output format of the results.
struct Reporter {
    json: bool,
    colored: bool,
}

impl Reporter {
    fn head(&self, subject: &Subject, tried: &PluginUnderTest) {
        if self.json {
            return;
        }
        let manifest = subject.manifest();
        let from = match &tried.project {
            Some((_, built)) => format!(", by {}", built.toolchain),
            None => String::new(),
        };
        out!("{} {}: {}{from}", manifest.name, manifest.version, tried.reference);
    }

    fn mark(&self, passed: bool) -> &'static str {
        match (passed, self.colored) {
            (true, true) => "\x1b[32m✓\x1b[0m",
            (true, false) => "✓",
            (false, true) => "\x1b[31m✗\x1b[0m",
            (false, false) => "✗",
        }
    }

    fn fixture(&self, run: &FixtureRun, blessed: bool) {
        if self.json {
            return;
        }
        let actual = run.ticks.last().map(|tick| tick.actual.to_string()).unwrap_or_default();
        let used = format!("{} fuel, {:.1} MiB", thousands(run.fuel()), mebibytes(run.memory_bytes()));
        let note = if blessed { ", blessed" } else { "" };
        out!("{} {:32} {actual:24} {used}{note}", self.mark(run.passed()), run.name);
        for complaint in run.problems() {
            out!("    {}", complaint.replace('\n', "\n    "));
        }
        if let Some(warning) = &run.warning {
            out!("    ! {warning}");
        }
        if !run.passed() {
            for line in run.ticks.iter().flat_map(|tick| &tick.log) {
                out!("    log: {line}");
            }
        }
    }

    fn property(&self, property: &PropertyReport, saved: Option<&Path>) {
        if self.json {
            return;
        }
        let mark = match &property.counterexample {
            Some(_) if property.is_warning => "!",
            found => self.mark(found.is_none()),
        };
        out!(
            "{mark} {:32} {}",
            property.name,
            count(usize::try_from(property.cases).unwrap_or(usize::MAX), "situation")
        );
        if let Some(found) = &property.counterexample {
            out!("    {}", found.violation.replace('\n', "\n    "));
            if let Some(path) = saved {
                out!("    saved as {}", path.display());
            } else {
                let shown = to_yaml(&found.fixture).unwrap_or_default();
                out!("    {}", shown.trim_end().replace('\n', "\n    "));
            }
        }
    }

    fn end(&self, subject: &Subject, outcome: &Outcome) -> anyhow::Result<()> {
        if self.json {
            out!("{}", serde_json::to_string_pretty(&TestOutput::of(subject, outcome))?);
            return Ok(());
        }
        if outcome.fixtures.iter().any(|run| run.ticks.iter().any(|tick| !tick.is_expected)) {
            warn("some ticks have no `expect`; run with --bless to record the actual results");
        }
        let tried = outcome.fixtures.len() + outcome.properties.len();
        let failed = outcome.failures();
        out!("{} passed, {failed} failed", tried - failed);
        Ok(())
    }
}

fn mebibytes(bytes: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "display only")]
    let bytes = bytes as f64;
    bytes / (1024.0 * 1024.0)
}

/// Formats a number with thousands separators: `1,234,567`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[derive(Debug, Serialize)]
struct TestOutput<'a> {
    name: &'a str,
    version: &'a str,
    passed: bool,
    fixtures: Vec<FixtureOutput<'a>>,
    properties: Vec<PropertyOutput<'a>>,
}

#[derive(Debug, Serialize)]
struct FixtureOutput<'a> {
    name: &'a str,
    passed: bool,
    complaints: Vec<String>,
    warning: Option<&'a str>,
    ticks: Vec<TickOutput<'a>>,
}

#[derive(Debug, Serialize)]
struct TickOutput<'a> {
    outcome: OutcomeKind,
    count: Option<u32>,
    error: Option<CallErrorKind>,
    reason: &'a str,
    fuel: u64,
    memory_bytes: usize,
}

#[derive(Debug, Serialize)]
struct PropertyOutput<'a> {
    name: &'a str,
    cases: u32,
    holds: bool,
    is_warning: bool,
    why: Option<&'a str>,
    saved: Option<&'a Path>,
}

impl<'a> TestOutput<'a> {
    fn of(subject: &'a Subject, outcome: &'a Outcome) -> Self {
        let manifest = subject.manifest();
        let tick = |tick: &'a doproxy_plugin_devkit::TickRun| TickOutput {
            outcome: tick.actual.outcome_kind(),
            count: tick.actual.count(),
            error: if let Actual::Failed { error, .. } = &tick.actual { Some(*error) } else { None },
            reason: tick.actual.reason(),
            fuel: tick.fuel,
            memory_bytes: tick.memory_bytes,
        };
        Self {
            name: &manifest.name,
            version: &manifest.version,
            passed: outcome.failures() == 0,
            fixtures: outcome
                .fixtures
                .iter()
                .map(|run| FixtureOutput {
                    name: &run.name,
                    passed: run.passed(),
                    complaints: run.problems(),
                    warning: run.warning.as_deref(),
                    ticks: run.ticks.iter().map(tick).collect(),
                })
                .collect(),
            properties: outcome
                .properties
                .iter()
                .map(|(property, saved)| PropertyOutput {
                    name: &property.name,
                    cases: property.cases,
                    holds: property.counterexample.is_none(),
                    is_warning: property.is_warning,
                    why: property.counterexample.as_ref().map(|found| found.violation.as_str()),
                    saved: saved.as_deref(),
                })
                .collect(),
        }
    }
}
