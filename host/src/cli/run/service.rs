//! `doproxy run`: the autoscaler with the service features for supervisors, operators and Prometheus.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use doproxy_config::TelemetryAddress;
use doproxy_controller::{
    ConfigSource, Hooks, PolicyLoader, Service, ServiceBuilder, ServiceError, ServiceHandle, event_sink,
};
use doproxy_core::domain::Mode;
use doproxy_decision_log::LogWriter;
use doproxy_inventory_sqlite::ServiceLock;
use doproxy_metrics as metrics;
use doproxy_metrics::{Collector, TimeSeriesStore};
use doproxy_support::Clock;
use doproxy_telemetry::{Telemetry, TelemetryServer, families};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::cli::context::{CommandContext, Production, ProductionController};
use crate::cli::run::config_reload::{ConfigReloader, service_spec};
use crate::cli::run::decision_log::{DecisionLogger, components};
use crate::cli::run::notify::Notifier;
use crate::cli::run::{Global, UsageError};

/// Refresh interval of systemd's status line.
const STATUS_EVERY: Duration = Duration::from_secs(15);

type ProductionService = Service<Production>;

pub(super) async fn run(global: &Global) -> anyhow::Result<()> {
    // From here on, a signal stops the service gracefully.
    let mut signals = Signals::new()?;
    let notifier = Arc::new(Notifier::from_environment());
    let served_until = CancellationToken::new();
    let _guard = served_until.clone().drop_guard();
    let context = CommandContext::load_with_advice(global)?;
    let _lock = ServiceLock::acquire(context.inventory_path())?;
    let telemetry = Telemetry::default();
    let service = tokio::select! {
        service = build(global, &context, &telemetry, &notifier, &served_until) => service?,
        by = signals.next_stop() => {
            tracing::info!("received {by} during startup; stopped");
            return Ok(());
        }
    };
    notifier.ready(&status_line(&telemetry));
    tracing::info!(fleet = %context.config.fleet, version = env!("CARGO_PKG_VERSION"), "service started");

    let remote = service.handle();
    let ended = service.run();
    tokio::pin!(ended);
    let mut watchdog = interval(notifier.watchdog().unwrap_or(STATUS_EVERY).max(Duration::from_millis(1)));
    watchdog.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut status = interval(STATUS_EVERY);
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = &mut ended => return finished(ended),
            sink = signals.next() => match sink {
                SignalAction::Reload => reload(&remote),
                SignalAction::Stop(by) if stopping => {
                    return Err(anyhow!("stopped immediately by a second {by}; operations in progress are in the journal"));
                }
                SignalAction::Stop(by) => {
                    stopping = true;
                    tracing::info!("received {by}; stopping");
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

fn reload(remote: &ServiceHandle<Production>) {
    tracing::info!("received SIGHUP; reloading the configuration");
    remote.reload();
}

fn finished(ended: Result<(), ServiceError>) -> anyhow::Result<()> {
    ended?;
    tracing::info!("stopped; operations in progress are in the journal");
    Ok(())
}

/// Builds all parts of the service. Changes nothing yet.
async fn build(
    global: &Global,
    context: &CommandContext,
    telemetry: &Telemetry,
    notifier: &Arc<Notifier>,
    served_until: &CancellationToken,
) -> anyhow::Result<ProductionService> {
    let config = &context.config;
    if !config.policies.iter().any(|policy| policy.mode == Mode::Active) {
        tracing::warn!("{} has no active policy; the fleet is only kept within its limits", config.path.display());
    }
    let controller =
        Arc::new(context.controller_with_inventory(context.inventory()?, event_sink(telemetry.clone())).await?);
    init_telemetry(telemetry, context, &controller);
    serve_telemetry(context, telemetry, served_until).await?;
    let store = Arc::new(TimeSeriesStore::open(&context.metrics_database_file(), controller.now()));
    let cloud = controller.cloud().clone();
    let collector = Collector::new(config.metrics.clone(), Arc::clone(&store), Some(&cloud));
    let recorder = LogWriter::new(Arc::clone(&store), config.decision_log_retention);
    let host = context.plugins()?;
    let mut writer = DecisionLogger::new(recorder, host.clone());
    let components = components(Arc::clone(&store));
    let reader = ConfigReloader { global: global.clone(), started: config.clone(), store, cloud };
    let read = Box::new(move |in_effect: &metrics::Options| reader.read(in_effect));
    let configuration = ConfigSource { file: global.config.clone(), read };
    let reloads = Arc::clone(notifier);
    let sink = telemetry.clone();
    let hooks = Hooks {
        on_reload: Box::new(
            move |begins| {
                if begins { reloads.reloading() } else { reloads.ready(&status_line(&sink)) }
            },
        ),
        on_tick: Box::new(move |record| writer.write(record)),
    };
    let parts = ServiceBuilder {
        controller,
        loader: PolicyLoader::new(host).with_components(components),
        collector,
        spec: service_spec(config),
        config_source: Some(configuration),
        telemetry: telemetry.clone(),
        hooks,
    };
    Ok(Service::start(parts).await?)
}

/// Sets the status values known before the first tick, and adds the metrics that other components count.
fn init_telemetry(telemetry: &Telemetry, context: &CommandContext, controller: &Arc<ProductionController>) {
    let version = env!("CARGO_PKG_VERSION");
    telemetry.update_status(|status| {
        status.fleet = context.config.fleet.to_string();
        version.clone_into(&mut status.version);
        status.pid = std::process::id();
    });
    let started = Clock::from_wall_clock().now();
    telemetry.record(|registry| {
        registry.set(&families::BUILD_INFO, &[("version", version)], 1.0);
        #[expect(clippy::cast_precision_loss, reason = "counts and times are far below 2^52")]
        registry.set(&families::START_TIME, &[], started.0 as f64 / 1000.0);
    });
    let (status, controller) = (telemetry.clone(), Arc::clone(controller));
    telemetry.add_collector(move |registry| {
        #[expect(clippy::cast_precision_loss, reason = "counts and times are far below 2^52")]
        for requests in controller.cloud().request_counts() {
            let labels = [("call", requests.call.as_str()), ("result", requests.result)];
            registry.set(&families::API_REQUESTS, &labels, requests.count as f64);
        }
        let changes = controller.balancer().counters();
        for (method, count) in [("reload", changes.reloads), ("runtime_api", changes.runtime_updates)] {
            #[expect(clippy::cast_precision_loss, reason = "counts and times are far below 2^52")]
            registry.set(&families::HAPROXY_UPDATES, &[("method", method)], count as f64);
        }
        let left = controller.cloud().remaining_requests();
        #[expect(clippy::cast_precision_loss, reason = "counts and times are far below 2^52")]
        registry.set(&families::API_RATE_LIMIT_REMAINING, &[], left as f64);
        let mut is_up = true;
        status.update_status(|status| {
            status.api_rate_limit_remaining = Some(left as u64);
            is_up = status.api_error.is_none();
        });
        registry.set(&families::API_UP, &[], f64::from(u8::from(is_up)));
    });
}

/// Serves metrics, health and status. A failure to bind the default address is only a warning, since another fleet on
/// this machine may use it.
async fn serve_telemetry(
    context: &CommandContext,
    telemetry: &Telemetry,
    until: &CancellationToken,
) -> anyhow::Result<()> {
    let (address, must) = match context.config.telemetry {
        TelemetryAddress::None => return Ok(()),
        TelemetryAddress::Default(address) => (address, false),
        TelemetryAddress::Explicit(address) => (address, true),
    };
    match TelemetryServer::bind(address).await {
        Ok(listener) => {
            let address = listener.local_addr()?;
            tracing::info!("serving /metrics, /healthz and /status on http://{address}");
            tokio::spawn(listener.serve(telemetry.clone(), until.clone()));
            Ok(())
        }
        Err(error) if must => {
            Err(UsageError(format!("failed to listen on {address} (telemetry.listen): {error}")).into())
        }
        Err(error) => {
            tracing::warn!("failed to listen on {address}: {error}; set telemetry.listen to another address");
            Ok(())
        }
    }
}

/// Returns the line for `systemctl status`.
fn status_line(telemetry: &Telemetry) -> String {
    let status = telemetry.status();
    let mut line = match &status.last_tick {
        None => "waiting for the first tick".to_owned(),
        Some(tick) if tick.from == tick.to => format!("{} droplets", tick.to),
        Some(tick) => format!("{} → {} droplets", tick.from, tick.to),
    };
    let failing =
        status.policies.iter().filter(|policy| policy.last_error.is_some()).map(|policy| policy.name.as_str());
    for policy in failing {
        line += &format!("; policy {policy} is failing");
    }
    if let Some(wait) = &status.waiting_for {
        line += &format!("; waiting for {}", wait.holder);
    }
    for (what, failure) in
        [("HAProxy is unreachable", &status.haproxy_error), ("the API is failing", &status.api_error)]
    {
        if failure.is_some() {
            line += &format!("; {what}");
        }
    }
    line.replace('\n', " ")
}

/// The action requested by a signal.
enum SignalAction {
    /// Stops the service; contains the name of the signal.
    Stop(&'static str),
    /// Reloads the configuration and the components.
    Reload,
}

/// The signals that this process handles.
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

    /// Waits for the next signal.
    async fn next(&mut self) -> SignalAction {
        tokio::select! {
            _ = self.terminate.recv() => SignalAction::Stop("SIGTERM"),
            _ = self.interrupt.recv() => SignalAction::Stop("Ctrl-C"),
            _ = self.reload.recv() => SignalAction::Reload,
        }
    }

    /// Waits for a signal that stops this process, and returns its name. Reloads are ignored, because the configuration
    /// is about to be read anyway.
    async fn next_stop(&mut self) -> &'static str {
        loop {
            if let SignalAction::Stop(by) = self.next().await {
                return by;
            }
        }
    }
}
