//! Runs ticks: observes, evaluates the policies, journals operations, and wakes the reconciler.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use doproxy_core::domain::{Mode, Observation, TickRecord, Trigger};
use doproxy_core::seams::{InventoryError, InventoryErrorKind, Platform};
use doproxy_metrics as metrics;
use doproxy_metrics::{Collector, MetricRequirements};
use tokio::time::{Instant, sleep_until};

use crate::error::ControllerError;
use crate::service::balancer_sampler::BalancerSampler;
use crate::service::config_reload::{ConfigReload, ConfigSource};
use crate::service::policy_loader::{LoadReason, LoadResult, PolicyLoader};
use crate::service::policy_slot::PolicySlot;
use crate::service::policy_slots::{PolicySlots, validate_replacements};
use crate::service::reporter::{self, Reporter};
use crate::service::schedule::TickSchedule;
use crate::service::service_builder::Hooks;
use crate::service::service_spec::ServiceSpec;
use crate::service::shared::Shared;
use crate::tick::{AutoscalerState, Tick, TickInput};

/// The time beyond the next tick after which the autoscaler counts as stalled. A tick does not wait for the network.
const MAX_TICK_DURATION: Duration = Duration::from_mins(1);
/// The name of the loop in health reports.
const LOOP_NAME: &str = "autoscaler";

/// The loop that runs ticks.
pub(super) struct Autoscaler<P: Platform> {
    shared: Arc<Shared<P>>,
    spec: ServiceSpec,
    state: AutoscalerState,
    schedule: TickSchedule,
    reload: ConfigReload,
    policies: PolicySlots,
    sampler: BalancerSampler,
    collector: Collector,
    /// The observation of the last tick.
    last_observation: Option<Observation>,
    on_tick: Box<dyn FnMut(&TickRecord) + Send>,
    reporter: Reporter,
}

impl<P: Platform> fmt::Debug for Autoscaler<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Autoscaler").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl<P: Platform> Autoscaler<P> {
    pub(super) async fn start(
        shared: Arc<Shared<P>>,
        loader: PolicyLoader,
        collector: Collector,
        spec: ServiceSpec,
        config_source: Option<ConfigSource>,
        hooks: Hooks,
    ) -> Result<Self, ControllerError> {
        let controller = &shared.controller;
        let mut state = controller.restore_state(Vec::new()).await?;
        let size =
            controller.load().await?.droplets.iter().filter(|droplet| droplet.phase.counts_toward_size()).count();
        let now = controller.now();
        state.history.start(now, u32::try_from(size).unwrap_or(u32::MAX));
        shared.telemetry.update_status(|status| status.started_at = now);
        let mut autoscaler = Self {
            schedule: TickSchedule::new(spec.interval),
            reload: ConfigReload::new(config_source, hooks.on_reload),
            policies: PolicySlots::new(loader),
            sampler: BalancerSampler::new(now),
            shared,
            spec,
            state,
            collector,
            last_observation: None,
            on_tick: hooks.on_tick,
            reporter: Reporter::default(),
        };
        // Before loading, so that a file saved in the meantime counts as changed.
        autoscaler.reload.files_changed(&autoscaler.spec);
        let Self { shared, policies, spec, state, .. } = &mut autoscaler;
        policies.load_initial(&shared.controller, spec, state).await?;
        autoscaler.update_metric_requirements();
        autoscaler.collect().await;
        Ok(autoscaler)
    }

    /// Runs ticks until the service is stopped.
    pub(super) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            shared.telemetry.health().heartbeat(LOOP_NAME, self.schedule.remaining() + MAX_TICK_DURATION);
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => return,
                (spec, reason, loaded) = self.policies.next_loaded() => self.on_loaded(spec, reason, loaded).await,
                () = shared.reload.notified() => self.start_reload(),
                () = sleep_until(self.schedule.next_tick()) => self.run_due_tick().await,
            }
        }
    }

    async fn run_due_tick(&mut self) {
        let trigger = self.schedule.take_due();
        if trigger == Trigger::Interval {
            if self.reload.files_changed(&self.spec) {
                self.start_reload();
            }
            self.policies.retry_unavailable(&self.spec);
        }
        self.tick(trigger).await;
    }

    /// Reads the configuration and starts to load its policies. The previous ones stay in effect until all of it
    /// succeeds.
    fn start_reload(&mut self) {
        match self.reload.read(&self.spec, self.collector.options()) {
            Ok((spec, reason)) => self.policies.start_load(spec, reason),
            Err(why) => self.reject_reload(&why),
        }
    }

    async fn on_loaded(&mut self, spec: ServiceSpec, reason: LoadReason, loaded: Vec<LoadResult>) {
        let controller = &self.shared.controller;
        let (collector, needs_restart) = match reason {
            LoadReason::Unavailable => {
                self.policies.fill(controller, &mut self.state.slots, loaded).await;
                return self.update_metric_requirements();
            }
            LoadReason::Reload { collector, needs_restart } => (collector, needs_restart),
        };
        let last_observation = self.last_observation.as_ref();
        match validate_replacements(controller, &self.state.slots, &spec, loaded, last_observation).await {
            Err(why) => self.reject_reload(&why),
            Ok(replacements) => {
                if let Some(other) = collector {
                    self.collector = *other;
                }
                self.policies.replace(&mut self.state.slots, replacements);
                self.apply_spec(spec);
                self.update_metric_requirements();
                self.reload.accept(&self.shared.telemetry, self.shared.controller.now(), needs_restart);
                self.tick(Trigger::Reload).await;
            }
        }
    }

    fn apply_spec(&mut self, spec: ServiceSpec) {
        self.schedule.set_interval(spec.interval);
        self.shared.set_interval(spec.interval);
        if spec.scaling != self.spec.scaling {
            tracing::info!("new scaling limits and rules are in effect");
        }
        self.spec = spec;
    }

    fn reject_reload(&mut self, why: &str) {
        self.policies.resume_retries(&self.state.slots);
        self.reload.reject(&self.shared.telemetry, self.shared.controller.now(), why);
    }

    /// Passes the metrics that the policies require to the collector, and warns about unmet requirements.
    fn update_metric_requirements(&mut self) {
        let policies = || self.state.slots.iter().filter_map(PolicySlot::policy);
        let required = MetricRequirements::union(policies().flat_map(|policy| &policy.policy.manifest().metrics));
        self.collector.set_requirements(required, self.shared.controller.now());
        for policy in policies() {
            let required = &policy.policy.manifest().metrics;
            for unmet in metrics::unmet_requirements(self.collector.options(), &policy.name, required) {
                tracing::warn!("{unmet}");
            }
        }
    }

    /// Polls HAProxy and the metric sources; reports whether HAProxy's load is current.
    async fn collect(&mut self) -> bool {
        let is_current = self.sampler.poll(&self.shared).await;
        let load = self.sampler.load();
        self.collector.collect(load.at, is_current.then_some(load)).await;
        is_current
    }

    /// Runs one tick. Errors do not prevent the next one.
    async fn tick(&mut self, trigger: Trigger) {
        let started = Instant::now();
        let is_current = self.collect().await;
        let shared = Arc::clone(&self.shared);
        // A change by a concurrent manual command would not have been observed.
        let guard = shared.acquire().await;
        if matches!(guard, Err(InventoryError { kind: InventoryErrorKind::Locked { .. }, .. })) {
            // The reconciler notices soon when the command has finished.
            shared.wake.notify_one();
        }
        let metrics = self.collector.series(self.sampler.load().at);
        let input = TickInput {
            load: self.sampler.load(),
            metrics: &metrics,
            trigger,
            api_unreachable: shared.api_failure(),
            balancer_unreachable: !is_current,
        };
        let planned = shared.controller.plan(&mut self.state, &self.spec.scaling, &input).await;
        let mut tick = match planned {
            Ok(tick) => tick,
            Err(error) => {
                self.schedule.request(started, None);
                return self.reporter.report_failed_tick(&shared.telemetry, trigger, &error);
            }
        };
        let blocked = match &guard {
            Err(error) if !tick.plan().is_empty() => Some(error.to_string()),
            _ => shared.controller.ensure_not_in_maintenance().await.err().map(|error| error.to_string()),
        };
        // Operations that failed to start are noted in the record and planned again at the next tick.
        let committed = match blocked.filter(|_| !tick.plan().is_empty()) {
            None => shared.controller.commit(&mut self.state, &mut tick).await,
            Some(why) => shared.controller.commit_without_plan(&mut self.state, &mut tick, why).await,
        };
        drop(guard);
        if let Err(error) = committed {
            tick.record.outcome.error.get_or_insert_with(|| error.to_string());
        }
        if !tick.record.outcome.operations.is_empty() {
            shared.wake.notify_one();
        }
        self.finish_tick(tick, started);
    }

    fn finish_tick(&mut self, tick: Tick, started: Instant) {
        let (record, telemetry) = (tick.record, &self.shared.telemetry);
        (self.on_tick)(&record);
        self.reporter.report_tick(telemetry, &record, started.elapsed());
        self.schedule.request(started, next_check(&record));
        let next = self.shared.controller.now().plus(self.schedule.remaining());
        reporter::report_status(telemetry, &record, &self.state.slots, next);
        self.last_observation = Some(record.observation);
    }
}

/// Returns the earliest next evaluation that the active policies request.
fn next_check(record: &TickRecord) -> Option<Duration> {
    let active =
        record.evaluations.iter().filter(|evaluation| evaluation.mode == Mode::Active && evaluation.failure.is_none());
    active.filter_map(|evaluation| evaluation.decision.next_check_ms).min().map(Duration::from_millis)
}
