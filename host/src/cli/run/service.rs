//! `doproxy run`: the loop, with everything that a supervisor, an operator and Prometheus want of a service.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::notify::Notifier;
use super::record::{Writer, components};
use super::reread::{Reader, wish};
use super::{Global, Usage};
use crate::balancer::haproxy::HaProxy;
use crate::cli::app::{App, RealController};
use crate::cloud::digitalocean::DigitalOcean;
use crate::config::TelemetryAddress;
use crate::controller::service::{Configuration, Hooks, Loader, Parts, Remote, Service, ServiceError, Turns, reporter};
use crate::history::History;
use crate::inventory::sqlite::{ServiceLock, SqliteInventory};
use crate::metrics::{self, Collector};
use crate::model::Mode;
use crate::record::Recorder;
use crate::telemetry::{Listener, Telemetry, families};

/// How often systemd's status line is written anew.
const STATUS_EVERY: Duration = Duration::from_secs(15);

type RealService = Service<DigitalOcean, HaProxy, SqliteInventory>;

pub(super) async fn run(global: &Global) -> anyhow::Result<()> {
    // From here on a signal ends the service in order.
    let mut signals = Signals::new()?;
    let notifier = Arc::new(Notifier::from_environment());
    let served_until = CancellationToken::new();
    let _guard = served_until.clone().drop_guard();
    let app = App::load_with_advice(global)?;
    let _lock = ServiceLock::acquire(app.inventory_file())?;
    let telemetry = Telemetry::default();
    let service = tokio::select! {
        service = build(global, &app, &telemetry, &notifier, &served_until) => service?,
        by = signals.end() => {
            tracing::info!("stopped by {by} before it began");
            return Ok(());
        }
    };
    notifier.ready(&status_line(&telemetry));
    tracing::info!(fleet = %app.config.fleet, version = env!("CARGO_PKG_VERSION"), "keeping the fleet");

    let remote = service.remote();
    let ended = service.run();
    tokio::pin!(ended);
    let mut watchdog = interval(notifier.watchdog().unwrap_or(STATUS_EVERY).max(Duration::from_millis(1)));
    watchdog.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut status = interval(STATUS_EVERY);
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = &mut ended => return finished(ended),
            told = signals.next() => match told {
                Told::Reload => reload(&remote),
                Told::End(by) if stopping => {
                    return Err(anyhow!("ended at once by a second {by}; what was under way is in the journal"));
                }
                Told::End(by) => {
                    stopping = true;
                    tracing::info!("stopping, as {by} asks for it");
                    notifier.stopping();
                    remote.stop();
                }
            },
            _ = watchdog.tick() => match telemetry.health().check() {
                Ok(()) => notifier.alive(),
                Err(stuck) => tracing::error!("{stuck}"),
            },
            _ = status.tick(), if !stopping => notifier.status(&status_line(&telemetry)),
        }
    }
}

fn reload(remote: &Remote<DigitalOcean, HaProxy, SqliteInventory>) {
    tracing::info!("SIGHUP: loading the configuration anew");
    remote.reload();
}

fn finished(ended: Result<(), ServiceError>) -> anyhow::Result<()> {
    ended?;
    tracing::info!("stopped; what was under way is in the journal");
    Ok(())
}

/// Everything that the loop is made of. Nothing is changed yet.
async fn build(
    global: &Global,
    app: &App,
    telemetry: &Telemetry,
    notifier: &Arc<Notifier>,
    served_until: &CancellationToken,
) -> anyhow::Result<RealService> {
    let config = &app.config;
    if !config.policies.iter().any(|policy| policy.mode == Mode::Active) {
        tracing::warn!("{} names no active policy: the fleet is kept within its bounds", config.path.display());
    }
    let controller = Arc::new(app.controller_over(app.inventory()?, reporter(telemetry.clone())).await?);
    describe(telemetry, app, &controller);
    serve(app, telemetry, served_until).await?;
    let history = Arc::new(History::open(&app.history_file(), controller.now()));
    let cloud = controller.cloud().clone();
    let collector = Collector::new(config.metrics.clone(), Arc::clone(&history), Some(&cloud));
    let recorder = Recorder::new(Arc::clone(&history), config.records_retention);
    let host = app.plugins()?;
    let mut writer = Writer::new(recorder, host.clone());
    let components = components(Arc::clone(&history));
    let reader = Reader { global: global.clone(), started: config.clone(), history, cloud };
    let read = Box::new(move |in_effect: &metrics::Options| reader.read(in_effect));
    let configuration = Configuration { file: global.config.clone(), read };
    let reloads = Arc::clone(notifier);
    let told = telemetry.clone();
    let hooks = Hooks {
        on_reload: Box::new(
            move |begins| {
                if begins { reloads.reloading() } else { reloads.ready(&status_line(&told)) }
            },
        ),
        on_tick: Box::new(move |record| writer.write(record)),
    };
    let parts = Parts {
        controller,
        loader: Loader::new(host).with_components(components),
        collector,
        wish: wish(config),
        configuration: Some(configuration),
        turns: Turns::at(app.inventory_file().to_owned()),
        telemetry: telemetry.clone(),
        hooks,
    };
    Ok(Service::start(parts).await?)
}

/// What is known before the first tick, and what is counted elsewhere.
fn describe(telemetry: &Telemetry, app: &App, controller: &Arc<RealController>) {
    let version = env!("CARGO_PKG_VERSION");
    telemetry.tell(|status| {
        status.fleet = app.config.fleet.to_string();
        version.clone_into(&mut status.version);
        status.pid = std::process::id();
    });
    telemetry.count(|registry| registry.set(&families::BUILD, &[("version", version)], 1.0));
    let (status, controller) = (telemetry.clone(), Arc::clone(controller));
    telemetry.add_source(move |registry| {
        #[expect(clippy::cast_precision_loss, reason = "counts and times are far below 2^52")]
        for requests in controller.cloud().requests() {
            let labels = [("call", requests.call.as_str()), ("result", requests.result)];
            registry.set(&families::API_CALLS, &labels, requests.count as f64);
        }
        let changes = controller.balancer().counters();
        for (kind, count) in [("reload", changes.reloads), ("at-run-time", changes.changes_at_run_time)] {
            #[expect(clippy::cast_precision_loss, reason = "counts and times are far below 2^52")]
            registry.set(&families::HAPROXY_CHANGES, &[("kind", kind)], count as f64);
        }
        let left = controller.cloud().budget_left();
        #[expect(clippy::cast_precision_loss, reason = "counts and times are far below 2^52")]
        registry.set(&families::API_BUDGET, &[], left as f64);
        status.tell(|status| status.api_budget = Some(left as u64));
    });
}

/// Serves metrics, health and status. At the usual address another fleet of this machine may be asked.
async fn serve(app: &App, telemetry: &Telemetry, until: &CancellationToken) -> anyhow::Result<()> {
    let (address, must) = match app.config.telemetry {
        TelemetryAddress::None => return Ok(()),
        TelemetryAddress::Default(address) => (address, false),
        TelemetryAddress::At(address) => (address, true),
    };
    match Listener::bind(address).await {
        Ok(listener) => {
            let address = listener.address()?;
            tracing::info!("serving /metrics, /healthz and /status on http://{address}");
            tokio::spawn(listener.serve(telemetry.clone(), until.clone()));
            Ok(())
        }
        Err(error) if must => Err(Usage(format!("cannot listen on {address} (telemetry.listen): {error}")).into()),
        Err(error) => {
            tracing::warn!("nothing is served on {address}: {error}; name another address as telemetry.listen");
            Ok(())
        }
    }
}

/// A line for `systemctl status`.
fn status_line(telemetry: &Telemetry) -> String {
    let status = telemetry.status();
    let mut line = match &status.last_tick {
        None => "waiting for the first tick".to_owned(),
        Some(tick) if tick.from == tick.to => format!("{} droplets", tick.to),
        Some(tick) => format!("{} → {} droplets", tick.from, tick.to),
    };
    let failing = status.policies.iter().filter(|policy| policy.failure.is_some()).map(|policy| policy.name.as_str());
    for policy in failing {
        line += &format!("; policy {policy} fails");
    }
    if let Some(wait) = &status.waits_for {
        line += &format!("; waiting for {}", wait.holder);
    }
    for (what, failure) in
        [("HAProxy does not answer", &status.haproxy_failure), ("the API fails", &status.api_failure)]
    {
        if failure.is_some() {
            line += &format!("; {what}");
        }
    }
    line.replace('\n', " ")
}

/// What a signal asks for.
enum Told {
    /// To end; with the name of the signal.
    End(&'static str),
    /// To load everything anew.
    Reload,
}

/// What this process is told from outside.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End("SIGTERM"),
            _ = self.interrupt.recv() => Told::End("Ctrl-C"),
            _ = self.reload.recv() => Told::Reload,
        }
    }

    /// Waits for one that asks this process to end, and answers its name. What else it is told is done later anyway.
    async fn end(&mut self) -> &'static str {
        loop {
            if let Told::End(by) = self.next().await {
                return by;
            }
        }
    }
}
