//! From the arguments to a scenario.

use std::path::Path;
use std::time::Duration;

use super::{Args, Model, ServiceShape};
use crate::cli::app::App;
use crate::cli::{Global, Usage};
use crate::clock::Clock;
use crate::config::Span;
use crate::controller::Bounds;
use crate::history::History;
use crate::inventory::Inventory as _;
use crate::metrics::haproxy::REQUESTS_PER_SECOND;
use crate::model::{FleetName, HourlyPrice, ObservedTemplate, Sample};
use crate::simulation::fluid::{Overload, Setup};
use crate::simulation::requests::{Service, Shape};
use crate::simulation::scenario::{self, Boot, Scenario};
use crate::simulation::score::Tariff;
use crate::simulation::trace::generate::Generator;
use crate::simulation::trace::read::{self, Reading};
use crate::simulation::trace::{MOST_INTERVALS, Repair, Trace};
use crate::simulation::weather::Weather;

/// Boots of the inventory that are drawn from.
const BOOTS: u32 = 500;

/// The configuration, where there is one.
pub(super) fn app(global: &Global) -> anyhow::Result<Option<App>> {
    global.config.exists().then(|| App::load(global)).transpose()
}

/// What is simulated, and what was mended in its trace.
pub(super) async fn scenario(args: &Args, app: Option<&App>) -> anyhow::Result<(Scenario, Vec<Repair>)> {
    checked(args)?;
    let (trace, repairs) = trace(args, app)?;
    let demand = trace.ticks(args.tick.0);
    if demand.is_empty() {
        return Err(Usage(format!("{} is shorter than one tick; make --tick shorter", args.source())).into());
    }
    let boot = boot(&args.boot_time, app).await?;
    let slots = slots(args);
    let bounds = bounds(args, app)?;
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
    if let Some(Bounds { limits, .. }) = &bounds {
        (setup.min, setup.max) = (limits.min, limits.max);
    }
    let hourly_price = HourlyPrice::from_dollars(args.price);
    let minimum = args.minimum_charge.map(|span| span.0).or_else(|| hourly_price.minimum_time());
    let mut scenario = Scenario {
        fleet: app.map_or_else(|| FleetName::coerced("simulated"), |app| app.config.fleet.clone()),
        template: template(app, hourly_price),
        start: trace.start,
        tick: args.tick.0,
        demand,
        setup,
        boot,
        slots,
        tariff: Tariff { hourly: args.price, minimum_s: minimum.unwrap_or_default().as_secs_f64() },
        model: match args.model {
            Model::Fluid | Model::Queue => scenario::Model::Fluid,
            Model::Requests => scenario::Model::Requests(Service {
                // So that as many slots serve what a droplet serves.
                mean_s: f64::from(slots) / args.capacity,
                shape: match args.service_shape {
                    ServiceShape::Fixed => Shape::Fixed,
                    ServiceShape::Exponential => Shape::Exponential,
                },
                timeout_s: args.queue_timeout.0.as_secs_f64(),
            }),
        },
        weather: Weather(args.fault.clone()),
        bounds,
        seed: args.seed,
    };
    scenario.setup.boot_ticks = scenario.ticks(scenario.boot.shortest());
    Ok((scenario, repairs))
}

/// What clap cannot say.
fn checked(args: &Args) -> Result<(), Usage> {
    let is_rate = args.capacity.is_finite() && args.capacity > 0.0;
    let problem = match args {
        _ if !is_rate => "--capacity is above 0",
        _ if !(args.price.is_finite() && args.price >= 0.0) => "--price is not below 0",
        _ if args.tick.0 < Duration::from_millis(1) => "--tick is at least 1ms",
        _ if args.min > args.max => "--min is not above --max",
        _ if args.service_time.0.is_zero() => "--service-time is above 0",
        _ => return Ok(()),
    };
    Err(Usage(problem.to_owned()))
}

fn trace(args: &Args, app: Option<&App>) -> anyhow::Result<(Trace, Vec<Repair>)> {
    if let Some(last) = args.recorded {
        return recorded(args, last.0, app);
    }
    let source = args.source();
    if Generator::is_meant(source) {
        let generator: Generator = source.parse()?;
        let intervals = args.length.0.as_millis() / args.tick.0.as_millis().max(1);
        if intervals > u128::from(MOST_INTERVALS) {
            return Err(Usage(format!("--length is {intervals} ticks; {MOST_INTERVALS} are possible")).into());
        }
        return Ok((generator.trace(args.tick.0, args.length.0, args.seed), Vec::new()));
    }
    let Some((time, rate)) = args.columns.split_once(',') else {
        return Err(Usage(format!("--columns {:?} is not TIME,RATE", args.columns)).into());
    };
    let columns = (time.trim().to_owned(), rate.trim().to_owned());
    let reading = Reading { columns, interval: args.tick.0, repair: args.repair };
    Ok(read::file(Path::new(source), &reading)?)
}

/// What the host has measured itself: the requests that came to HAProxy.
fn recorded(args: &Args, last: Duration, app: Option<&App>) -> anyhow::Result<(Trace, Vec<Repair>)> {
    let app = app.ok_or_else(|| {
        Usage("--recorded reads the history of the fleet of a doproxy.yml, and there is none".to_owned())
    })?;
    let file = app.history_file();
    if !file.exists() {
        return Err(Usage(format!(
            "--recorded: there is no history at {} yet; `doproxy run` writes it",
            file.display()
        ))
        .into());
    }
    let now = Clock::from_wall_clock().now();
    let history = History::look(&file, now)?;
    let series = history.recorded(REQUESTS_PER_SECOND, now.minus(last), now)?;
    let samples =
        series.into_iter().flat_map(|series| series.points).map(|point| Sample { at: point.at, value: point.mean });
    Ok(Trace::from_measurements(&file.display().to_string(), samples, args.tick.0, args.repair)?)
}

async fn boot(text: &str, app: Option<&App>) -> anyhow::Result<Boot> {
    if text == "recorded" {
        let inventory = app.map(App::existing_inventory).transpose()?.flatten();
        let seen = match inventory {
            Some(inventory) => inventory.boot_times(BOOTS).await?,
            None => Vec::new(),
        };
        if seen.is_empty() {
            return Err(Usage("--boot-time recorded: the inventory knows of no droplet that came up".to_owned()).into());
        }
        return Ok(Boot::Seen(seen));
    }
    let span = |text: &str| {
        text.trim().parse::<Span>().map(|span| span.0).map_err(|error| Usage(format!("--boot-time: {error}")))
    };
    match text.split_once("..") {
        None => Ok(Boot::Fixed(span(text)?)),
        Some((from, to)) => match (span(from)?, span(to)?) {
            (from, to) if from <= to => Ok(Boot::Between(from, to)),
            _ => Err(Usage(format!("--boot-time {text}: the first is the shorter")).into()),
        },
    }
}

/// The sessions that a droplet works on at a time.
fn slots(args: &Args) -> u32 {
    let slots = (args.capacity * args.service_time.0.as_secs_f64()).round().max(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    let slots = slots as u32;
    slots
}

fn bounds(args: &Args, app: Option<&App>) -> anyhow::Result<Option<Bounds>> {
    if !args.guard {
        return Ok(None);
    }
    let app = app.ok_or_else(|| Usage("--guard takes its rules from a doproxy.yml, and there is none".to_owned()))?;
    Ok(Some(app.bounds()))
}

fn template(app: Option<&App>, hourly_price: HourlyPrice) -> ObservedTemplate {
    let (size, region, image, tags) = match app {
        Some(app) => {
            let template = app.config.template.clone();
            (template.size, template.region, template.image, template.tags)
        }
        None => ("s-1vcpu-1gb".to_owned(), "nyc3".to_owned(), "ubuntu-24-04-x64".to_owned(), Vec::new()),
    };
    ObservedTemplate { size, region, image, tags, hourly_price }
}
