//! Builds a scenario from the arguments.

use std::path::Path;
use std::time::Duration;

use doproxy_config::Span;
use doproxy_core::domain::{FleetName, HourlyPrice, ObservedTemplate, Sample};
use doproxy_core::pipeline::{REQUESTS_PER_SECOND, ScalingRules};
use doproxy_core::seams::Inventory as _;
use doproxy_metrics::TimeSeriesStore;
use doproxy_simulation::{
    BootTime, Distribution, FaultSchedule, Generator, MAX_INTERVALS, Overload, PriceModel, ReadOptions, Repair,
    Scenario, Service, Setup, Trace, read_file, scenario,
};
use doproxy_support::Clock;

use crate::cli::context::CommandContext;
use crate::cli::simulate::{Args, Model, ServiceShape};
use crate::cli::{Global, UsageError};

/// Maximum number of recorded boot times to sample from.
const MAX_BOOT_SAMPLES: u32 = 500;

/// Loads the configuration if it exists.
pub(super) fn load_context(global: &Global) -> anyhow::Result<Option<CommandContext>> {
    global.config.exists().then(|| CommandContext::load(global)).transpose()
}

/// Builds the scenario. Also returns the repairs made to its trace.
pub(super) async fn scenario(args: &Args, context: Option<&CommandContext>) -> anyhow::Result<(Scenario, Vec<Repair>)> {
    validate(args)?;
    let (trace, repairs) = trace(args, context)?;
    let demand = trace.ticks(args.tick.0);
    if demand.is_empty() {
        return Err(UsageError(format!("{} is shorter than one tick; reduce --tick", args.source())).into());
    }
    let boot = boot(&args.boot_time, context).await?;
    let slots = slots(args);
    let bounds = scaling_rules(args, context)?;
    let tick_s = args.tick.0.as_secs_f64();
    let mut setup = Setup {
        tick_s,
        capacity: args.capacity,
        boot_ticks: 0,
        min: args.min,
        max: args.max,
        initial: args.initial,
        overload: if args.model == Model::Queue { Overload::Queue } else { Overload::Loss },
    };
    if let Some(ScalingRules { limits, .. }) = &bounds {
        (setup.min, setup.max) = (limits.min, limits.max);
    }
    let hourly_price = HourlyPrice::from_dollars(args.price);
    let minimum = args.minimum_charge.map(|span| span.0).or_else(|| hourly_price.minimum_billed_time());
    let mut scenario = Scenario {
        fleet: context.map_or_else(|| FleetName::sanitized("simulated"), |context| context.config.fleet.clone()),
        template: template(context, hourly_price),
        start: trace.start,
        tick: args.tick.0,
        demand,
        setup,
        boot_time: boot,
        slots,
        price_model: PriceModel { hourly: args.price, minimum_s: minimum.unwrap_or_default().as_secs_f64() },
        model: match args.model {
            Model::Fluid | Model::Queue => scenario::Model::Fluid,
            Model::Requests => scenario::Model::Requests(Service {
                // Chosen so that the slots together reach the capacity of a droplet.
                mean_s: f64::from(slots) / args.capacity,
                distribution: match args.service_shape {
                    ServiceShape::Fixed => Distribution::Fixed,
                    ServiceShape::Exponential => Distribution::Exponential,
                },
                timeout_s: args.queue_timeout.0.as_secs_f64(),
            }),
        },
        faults: FaultSchedule(args.fault.clone()),
        scaling_rules: bounds,
        seed: args.seed,
    };
    scenario.setup.boot_ticks = scenario.ticks(scenario.boot_time.shortest());
    Ok((scenario, repairs))
}

/// Validates constraints that clap cannot express.
fn validate(args: &Args) -> Result<(), UsageError> {
    let is_rate = args.capacity.is_finite() && args.capacity > 0.0;
    let problem = match args {
        _ if !is_rate => "--capacity must be greater than 0",
        _ if !(args.price.is_finite() && args.price >= 0.0) => "--price must not be negative",
        _ if args.tick.0 < Duration::from_millis(1) => "--tick must be at least 1ms",
        _ if args.min > args.max => "--min must not exceed --max",
        _ if args.service_time.0.is_zero() => "--service-time must be greater than 0",
        _ => return Ok(()),
    };
    Err(UsageError(problem.to_owned()))
}

fn trace(args: &Args, context: Option<&CommandContext>) -> anyhow::Result<(Trace, Vec<Repair>)> {
    if let Some(last) = args.from_history {
        return recorded_trace(args, last.0, context);
    }
    let source = args.source();
    if Generator::is_generator(source) {
        let generator: Generator = source.parse()?;
        let intervals = args.length.0.as_millis() / args.tick.0.as_millis().max(1);
        if intervals > u128::from(MAX_INTERVALS) {
            return Err(UsageError(format!("--length is {intervals} ticks, but the maximum is {MAX_INTERVALS}")).into());
        }
        return Ok((generator.trace(args.tick.0, args.length.0, args.seed), Vec::new()));
    }
    let Some((time, rate)) = args.columns.split_once(',') else {
        return Err(UsageError(format!("--columns {:?} must have the form TIME,RATE", args.columns)).into());
    };
    let columns = (time.trim().to_owned(), rate.trim().to_owned());
    let reading = ReadOptions { columns, interval: args.tick.0, repair: args.repair };
    Ok(read_file(Path::new(source), &reading)?)
}

/// Returns the requests measured at HAProxy as a trace.
fn recorded_trace(
    args: &Args,
    last: Duration,
    context: Option<&CommandContext>,
) -> anyhow::Result<(Trace, Vec<Repair>)> {
    let context = context.ok_or_else(|| {
        UsageError("--from-history requires the metrics database of a fleet, but there is no doproxy.yml".to_owned())
    })?;
    let file = context.metrics_database_file();
    if !file.exists() {
        return Err(UsageError(format!(
            "--from-history: metrics database {} not found; `doproxy run` creates it",
            file.display()
        ))
        .into());
    }
    let now = Clock::from_wall_clock().now();
    let store = TimeSeriesStore::open_read_only(&file, now)?;
    let series = store.series_history(REQUESTS_PER_SECOND, now.minus(last), now)?;
    let samples =
        series.into_iter().flat_map(|series| series.points).map(|point| Sample { at: point.at, value: point.mean });
    Ok(Trace::from_measurements(&file.display().to_string(), samples, args.tick.0, args.repair)?)
}

async fn boot(text: &str, context: Option<&CommandContext>) -> anyhow::Result<BootTime> {
    if text == "recorded" {
        let inventory = context.map(CommandContext::existing_inventory).transpose()?.flatten();
        let seen = match inventory {
            Some(inventory) => inventory.boot_times(MAX_BOOT_SAMPLES).await?,
            None => Vec::new(),
        };
        if seen.is_empty() {
            return Err(UsageError("--boot-time recorded: the inventory contains no boot times".to_owned()).into());
        }
        return Ok(BootTime::Empirical(seen));
    }
    let span = |text: &str| {
        text.trim().parse::<Span>().map(|span| span.0).map_err(|error| UsageError(format!("--boot-time: {error}")))
    };
    match text.split_once("..") {
        None => Ok(BootTime::Fixed(span(text)?)),
        Some((from, to)) => match (span(from)?, span(to)?) {
            (from, to) if from <= to => Ok(BootTime::Uniform(from, to)),
            _ => Err(UsageError(format!("--boot-time {text}: the first time must not exceed the second")).into()),
        },
    }
}

/// Returns the number of concurrent sessions of a droplet.
fn slots(args: &Args) -> u32 {
    let slots = (args.capacity * args.service_time.0.as_secs_f64()).round().max(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    let slots = slots as u32;
    slots
}

fn scaling_rules(args: &Args, context: Option<&CommandContext>) -> anyhow::Result<Option<ScalingRules>> {
    if !args.guard {
        return Ok(None);
    }
    let context = context
        .ok_or_else(|| UsageError("--guard requires the rules of a doproxy.yml, but there is none".to_owned()))?;
    Ok(Some(context.scaling_rules()))
}

fn template(context: Option<&CommandContext>, hourly_price: HourlyPrice) -> ObservedTemplate {
    let (size, region, image, tags) = match context {
        Some(context) => {
            let template = context.config.template.clone();
            (template.size, template.region, template.image, template.tags)
        }
        None => ("s-1vcpu-1gb".to_owned(), "nyc3".to_owned(), "ubuntu-24-04-x64".to_owned(), Vec::new()),
    };
    ObservedTemplate { size, region, image, tags, hourly_price }
}
