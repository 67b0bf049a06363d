//! `doproxy plugin bench`: measures the cost of a plugin.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use doproxy_core::domain::{Observation, Sample, Series, Timestamp, UserDataRequest};
use doproxy_core::pipeline::SERIES;
use doproxy_plugin_devkit::{FixtureFile, ObservationFixture, RequestFixture, Subject};
use doproxy_plugin_host::{CallUsage, PluginSettings};
use serde::Serialize;
use serde_json::Value;

use crate::cli::output::out;
use crate::cli::plugin::inspect::Bytes;
use crate::cli::plugin::target::{PluginUnderTest, plugin_settings, read_config, relaxed_host, relaxed_limits};
use crate::cli::plugin::test::thousands;
use crate::cli::{Global, UsageError};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  doproxy plugin bench\n  doproxy plugin bench builtin:target-tracking --with config.yaml --json"
)]
pub(super) struct Args {
    /// Project directory, built first; or `builtin:NAME`, `file:PATH`.
    #[arg(value_name = "DIR|REF", default_value = ".")]
    subject: String,
    /// Plugin configuration, as YAML; the first fixture's if omitted.
    #[arg(long, value_name = "FILE")]
    with: Option<PathBuf>,
    /// Number of calls per measurement.
    #[arg(long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    calls: u32,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

/// The fleet sizes measured.
const FLEET_SIZES: [u32; 4] = [1, 10, 100, 1000];

/// The number of samples per series: the current one, an hour's, a day's.
const SAMPLE_COUNTS: [u32; 3] = [1, 60, 1440];

/// Upper bound for one measurement; slow plugins get fewer calls.
const MAX_DURATION: Duration = Duration::from_secs(3);

/// All measurements of a plugin. Times are in microseconds.
#[derive(Debug, Serialize)]
struct BenchReport {
    name: String,
    version: String,
    size_bytes: usize,
    /// Time to read, check and compile the component.
    compile_us: u128,
    /// The same time with a cached compilation.
    warm_start_us: u128,
    /// Time to create an instance and make a trivial call.
    instantiate: Spread,
    calls: Vec<CallBench>,
    memory_limit_bytes: usize,
    fuel_limit: u64,
    call_timeout_us: u128,
}

/// Percentiles and maxima over several calls.
#[derive(Debug, Clone, Serialize)]
struct Spread {
    count: usize,
    p50_us: u128,
    p99_us: u128,
    fuel: u64,
    memory_bytes: usize,
}

/// Measurements for one input size.
#[derive(Debug, Serialize)]
struct CallBench {
    droplets: u32,
    samples: u32,
    /// `None` if a call failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    spread: Option<Spread>,
    /// The cause of the failure, such as a limit exceeded by an input of this size.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let tried = PluginUnderTest::resolve(&args.subject).await?;
    let settings = plugin_settings(global)?;
    let limits = settings.limits.clone();
    let compile = |cache_dir: Option<PathBuf>| {
        let tried = &tried;
        let settings = PluginSettings { limits: relaxed_limits(&limits), cache_dir, ..settings.clone() };
        async move {
            let host = crate::cli::plugin::host(settings)?;
            let started = Instant::now();
            host.inspect(&tried.reference).await?;
            anyhow::Ok(started.elapsed())
        }
    };
    let cache = tempfile::tempdir()?;
    let cold = compile(Some(cache.path().join("plugins"))).await?;
    let warm = compile(Some(cache.path().join("plugins"))).await?;

    let host = relaxed_host(global)?;
    let subject = tried.load(&host).await?;
    let config = config(args, &tried)?.to_string();
    subject.validate(&config).await?;
    let figures = BenchReport {
        name: subject.manifest().name.clone(),
        version: subject.manifest().version.clone(),
        size_bytes: host.component_info(&tried.reference).await?.size,
        compile_us: cold.as_micros(),
        warm_start_us: warm.as_micros(),
        instantiate: instantiate(&subject, args.calls).await?,
        calls: calls(&subject, &config, args.calls).await?,
        memory_limit_bytes: limits.memory_bytes,
        fuel_limit: limits.fuel,
        call_timeout_us: limits.call_timeout.as_micros(),
    };
    if args.json {
        out!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        print(&figures);
    }
    Ok(())
}

fn config(args: &Args, tried: &PluginUnderTest) -> anyhow::Result<Value> {
    if let Some(file) = &args.with {
        return read_config(file);
    }
    let fixtures = match &tried.project {
        Some((project, _)) => FixtureFile::read_all(&project.directory.join("fixtures"))?,
        None => Vec::new(),
    };
    let of_fixture = fixtures.into_iter().find_map(|file| file.fixture.config);
    Ok(of_fixture.unwrap_or_else(|| Value::Object(serde_json::Map::new())))
}

async fn instantiate(subject: &Subject, count: u32) -> anyhow::Result<Spread> {
    let mut taken = Measurements::default();
    while taken.needs_more(count) {
        taken.add(match subject {
            Subject::Policy(policy) => policy.describe().await?.usage,
            Subject::Generator(generator) => generator.describe().await?.usage,
        });
    }
    taken.spread()
}

async fn calls(subject: &Subject, config: &str, count: u32) -> anyhow::Result<Vec<CallBench>> {
    let mut figures = Vec::new();
    match subject {
        Subject::Generator(generator) => {
            let request = UserDataRequest::from(&RequestFixture::default());
            let mut taken = Measurements::default();
            while taken.needs_more(count) {
                taken.add(generator.generate(config, &request).await?.usage);
            }
            figures.push(CallBench { droplets: 1, samples: 0, spread: Some(taken.spread()?), failure: None });
        }
        Subject::Policy(policy) => {
            for droplets in FLEET_SIZES {
                for samples in SAMPLE_COUNTS {
                    let observation = observation(droplets, samples)?;
                    let mut taken = Measurements::default();
                    let mut failure = None;
                    while failure.is_none() && taken.needs_more(count) {
                        match policy.decide(config, &observation, b"").await {
                            Ok(called) => taken.add(called.usage),
                            Err(error) => failure = error.to_string().lines().next().map(str::to_owned),
                        }
                    }
                    let spread = if failure.is_none() { Some(taken.spread()?) } else { None };
                    figures.push(CallBench { droplets, samples, spread, failure });
                }
            }
        }
    }
    Ok(figures)
}

/// Returns an observation of a serving fleet with all built-in series.
fn observation(droplets: u32, samples: u32) -> anyhow::Result<Observation> {
    let fixture = ObservationFixture::serving(droplets);
    let mut observation = fixture.observation(std::path::Path::new(".")).map_err(UsageError)?;
    let now = observation.now;
    observation.metrics = SERIES
        .iter()
        .map(|(name, _)| Series {
            name: (*name).to_owned(),
            unit: String::new(),
            labels: Vec::new(),
            interval_ms: 60_000,
            stale: false,
            samples: (0..samples)
                .rev()
                .map(|ago| Sample {
                    at: Timestamp(now.0.saturating_sub(u64::from(ago) * 60_000)),
                    value: f64::from(ago % 17) + 1.0,
                })
                .collect(),
        })
        .collect();
    Ok(observation)
}

/// Raw measurements of several calls.
#[derive(Default)]
struct Measurements {
    durations: Vec<Duration>,
    sum: Duration,
    fuel: u64,
    memory_bytes: usize,
}

impl Measurements {
    fn needs_more(&self, count: u32) -> bool {
        self.durations.len() < usize::try_from(count).unwrap_or(usize::MAX) && self.sum < MAX_DURATION
    }

    fn add(&mut self, stats: CallUsage) {
        self.durations.push(stats.duration);
        self.sum += stats.duration;
        self.fuel = self.fuel.max(stats.fuel);
        self.memory_bytes = self.memory_bytes.max(stats.memory_bytes);
    }

    fn spread(mut self) -> anyhow::Result<Spread> {
        self.durations.sort();
        let at = |percent: usize| -> Option<u128> {
            let place = (self.durations.len() * percent / 100).min(self.durations.len().saturating_sub(1));
            self.durations.get(place).map(Duration::as_micros)
        };
        let (Some(p50_us), Some(p99_us)) = (at(50), at(99)) else { anyhow::bail!("no call was measured") };
        let Self { fuel, memory_bytes, .. } = self;
        Ok(Spread { count: self.durations.len(), p50_us, p99_us, fuel, memory_bytes })
    }
}

fn print(figures: &BenchReport) {
    let ms = |us: u128| {
        let us = u32::try_from(us).unwrap_or(u32::MAX);
        format!("{:.3} ms", f64::from(us) / 1000.0)
    };
    out!("{} {}, {}", figures.name, figures.version, Bytes(figures.size_bytes));
    out!();
    out!("compile, once   {}", ms(figures.compile_us));
    out!("warm start      {}", ms(figures.warm_start_us));
    out!("instantiate     {} (p99 {})", ms(figures.instantiate.p50_us), ms(figures.instantiate.p99_us));
    out!();
    out!("{:>8}  {:>7}  {:>11}  {:>11}  {:>13}  {:>9}", "DROPLETS", "SAMPLES", "P50", "P99", "FUEL", "MEMORY");
    for CallBench { droplets, samples, spread, failure } in &figures.calls {
        let Some(spread) = spread else {
            out!("{droplets:>8}  {samples:>7}  {}", failure.as_deref().unwrap_or_default());
            continue;
        };
        out!(
            "{droplets:>8}  {samples:>7}  {:>11}  {:>11}  {:>13}  {:>5} KiB",
            ms(spread.p50_us),
            ms(spread.p99_us),
            thousands(spread.fuel),
            spread.memory_bytes / 1024
        );
    }
    out!();
    out!(
        "limits: {} fuel, {} of memory, {}; each call runs in its own instance",
        thousands(figures.fuel_limit),
        Bytes(figures.memory_limit_bytes),
        ms(figures.call_timeout_us)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_reports_median_and_p99() {
        let mut taken = Measurements::default();
        for ms in (1..=100).rev() {
            let duration = Duration::from_millis(ms);
            taken.add(CallUsage { duration, fuel: ms, memory_bytes: 1 });
        }

        let spread = taken.spread().unwrap();

        assert_eq!((spread.p50_us, spread.p99_us, spread.fuel), (51_000, 100_000, 100));
        assert!(Measurements::default().spread().is_err());
    }
}
