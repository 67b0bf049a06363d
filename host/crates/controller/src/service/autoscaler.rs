//! Runs ticks: observes, evaluates the policies, journals operations, and wakes the reconciler.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use doproxy_core::domain::{Mode, Observation, TickRecord, Timestamp, Trigger};
use doproxy_core::pipeline::BalancerSample;
use doproxy_core::seams::{
    CloudProvider, Inventory, InventoryError, InventoryErrorKind, LoadBalancer, Platform, Stats,
};
use doproxy_metrics as metrics;
use doproxy_metrics::{Collector, MetricRequirements};
use doproxy_plugin_host::ConfiguredPolicy;
use doproxy_plugin_registry::Reference;
use doproxy_telemetry::{LastTick, PolicyStatus, ReloadStatus, families};
use tokio::time::{Instant, sleep_until, timeout};

use crate::error::ControllerError;
use crate::service::conditions::Conditions;
use crate::service::file_watcher::FileWatcher;
use crate::service::policy_loader::{LoadReason, PendingLoad, PolicyLoader, PolicySpec};
use crate::service::policy_slot::{PolicySlot, UnavailablePolicy};
use crate::service::reporter;
use crate::service::reporter::Reporter;
use crate::service::run::{ConfigSource, Hooks, ReloadedConfig, ServiceSpec, Shared};
use crate::tick::{AutoscalerState, Tick, TickInput};

/// The delay of the first tick, because rates need two samples; at most one interval.
const FIRST_TICK_DELAY: Duration = Duration::from_secs(5);
/// The minimum delay that a policy may request until its next evaluation.
const MIN_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The timeout for HAProxy's counters. If they take longer, the tick proceeds without them.
const STATS_TIMEOUT: Duration = Duration::from_secs(2);
/// The time beyond the next tick after which the autoscaler counts as stalled. A tick does not wait for the network.
const MAX_TICK_DURATION: Duration = Duration::from_mins(1);
/// Time that policies get to load before the loop starts without them.
const STARTUP_LOAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The delay before a policy that failed to load is retried; it doubles up to [`MAX_RETRY_DELAY`].
const INITIAL_RETRY_DELAY: Duration = Duration::from_secs(5);
const MAX_RETRY_DELAY: Duration = Duration::from_mins(5);
/// The name of the loop in health reports.
const LOOP_NAME: &str = "autoscaler";

/// The state of the autoscaler between ticks.
pub(super) struct Autoscaler<P: Platform> {
    shared: Arc<Shared<P>>,
    loader: PolicyLoader,
    collector: Collector,
    spec: ServiceSpec,
    config_source: Option<ConfigSource>,
    hooks: Hooks,
    state: AutoscalerState,
    /// The last two samples of HAProxy's counters.
    prev_sample: BalancerSample,
    sample: BalancerSample,
    /// True once HAProxy has been reachable.
    has_sample: bool,
    /// The observation of the last tick.
    last_observation: Option<Observation>,
    watcher: FileWatcher,
    /// Components of the most recently read configuration if it is not in effect; they are watched as well.
    watched_components: Vec<PathBuf>,
    pending_load: Option<PendingLoad>,
    retry_delay: Duration,
    retry_at: Option<Instant>,
    next_tick: Instant,
    /// An earlier time that a policy requested.
    requested_at: Option<Instant>,
    reporter: Reporter,
    conditions: Conditions,
}

impl<P: Platform> fmt::Debug for Autoscaler<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticker").field("wish", &self.spec).finish_non_exhaustive()
    }
}

impl<P: Platform> Autoscaler<P> {
    pub(super) async fn start(
        shared: Arc<Shared<P>>,
        loader: PolicyLoader,
        collector: Collector,
        spec: ServiceSpec,
        configuration: Option<ConfigSource>,
        hooks: Hooks,
    ) -> Result<Self, ControllerError> {
        let controller = &shared.controller;
        let mut state = controller.restore_state(Vec::new()).await?;
        let size =
            controller.load().await?.droplets.iter().filter(|droplet| droplet.phase.counts_toward_size()).count();
        let now = BalancerSample { at: controller.now(), stats: Stats::default() };
        state.history.start(now.at, u32::try_from(size).unwrap_or(u32::MAX));
        shared.telemetry.update_status(|status| status.started_at = now.at);
        let tick_at = Instant::now() + FIRST_TICK_DELAY.min(spec.interval);
        let mut autoscaler = Self {
            shared,
            loader,
            collector,
            spec,
            config_source: configuration,
            hooks,
            state,
            prev_sample: now.clone(),
            sample: now,
            has_sample: false,
            last_observation: None,
            watcher: FileWatcher::default(),
            watched_components: Vec::new(),
            pending_load: None,
            retry_delay: INITIAL_RETRY_DELAY,
            retry_at: None,
            next_tick: tick_at,
            requested_at: None,
            reporter: Reporter::default(),
            conditions: Conditions::default(),
        };
        // Before loading, so that a file saved in the meantime counts as changed.
        autoscaler.files_changed();
        autoscaler.load_initial_policies().await?;
        autoscaler.update_metric_requirements();
        autoscaler.poll_balancer().await;
        Ok(autoscaler)
    }

    /// Creates a slot for every policy; policies that do not load in time are marked unavailable.
    async fn load_initial_policies(&mut self) -> Result<(), ControllerError> {
        for spec in self.spec.policies.clone() {
            let (slot, ticks) = self.unavailable_slot(&spec, "still loading").await?;
            self.state.tick = self.state.tick.max(ticks);
            self.state.slots.push(slot);
        }
        if self.spec.policies.is_empty() {
            return Ok(());
        }
        let mut preparing = self.loader.start_load(self.spec.clone(), LoadReason::Unavailable);
        if let Ok(loaded) = timeout(STARTUP_LOAD_TIMEOUT, preparing.wait()).await {
            self.fill_unavailable_slots(loaded).await;
        } else {
            self.pending_load = Some(preparing);
        }
        Ok(())
    }

    /// Passes the metrics that the policies require to the collector, and warns about unmet requirements.
    fn update_metric_requirements(&mut self) {
        let policies = self.state.slots.iter().filter_map(PolicySlot::policy);
        let needs = MetricRequirements::union(policies.flat_map(|policy| &policy.policy.manifest().metrics));
        self.collector.set_requirements(needs, self.shared.controller.now());
        for policy in self.state.slots.iter().filter_map(PolicySlot::policy) {
            for unmet in
                metrics::unmet_requirements(self.collector.options(), &policy.name, &policy.policy.manifest().metrics)
            {
                tracing::warn!("{unmet}");
            }
        }
    }

    /// Creates a slot for an unavailable policy, with its stored state and its last good component.
    async fn unavailable_slot(&mut self, spec: &PolicySpec, why: &str) -> Result<(PolicySlot, u64), ControllerError> {
        let kept = self.shared.controller.load_policy_state(&spec.name).await?;
        let last_good = self.loader.last_good(spec, &kept.identity).await;
        let missing = UnavailablePolicy {
            name: spec.name.clone(),
            mode: spec.mode,
            reference: spec.plugin.to_string(),
            config: spec.config.clone(),
            identity: kept.identity,
            why: why.to_owned(),
        };
        let mut slot = PolicySlot::unavailable(missing, kept.state.clone());
        if let Some(policy) = last_good {
            slot.set_last_good(policy, kept.state);
        }
        Ok((slot, kept.ticks))
    }

    /// Runs ticks until the service is stopped.
    pub(super) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            let tick_at = self.requested_at.map_or(self.next_tick, |check| check.min(self.next_tick));
            let quiet = tick_at.saturating_duration_since(Instant::now());
            shared.telemetry.health().heartbeat(LOOP_NAME, quiet + MAX_TICK_DURATION);
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => return,
                loaded = next_loaded(&mut self.pending_load) => self.on_loaded(loaded).await,
                () = shared.reload.notified() => self.reload(),
                () = sleep_until(tick_at) => self.run_due_tick().await,
            }
        }
    }

    async fn run_due_tick(&mut self) {
        let is_interval = Instant::now() >= self.next_tick;
        if is_interval {
            // Missed ticks are skipped.
            let late = self.next_tick.elapsed();
            let interval = self.spec.interval.max(MIN_CHECK_INTERVAL);
            let skipped = u32::try_from(late.as_nanos() / interval.as_nanos().max(1)).unwrap_or(u32::MAX);
            self.next_tick += interval.saturating_mul(skipped.saturating_add(1));
            if self.files_changed() {
                self.reload();
            }
            self.retry_unavailable();
        }
        self.tick(if is_interval { Trigger::Interval } else { Trigger::NextCheck }).await;
    }

    /// Reports whether the configuration or a component changed since the last call.
    fn files_changed(&mut self) -> bool {
        let components = component_files(&self.spec).chain(self.watched_components.iter().cloned());
        let files: BTreeSet<_> = self.config_source.iter().map(|one| one.file.clone()).chain(components).collect();
        self.watcher.retain(|file| files.contains(file));
        // Check every file, so that no change is reported a second time.
        files.iter().filter(|file| self.watcher.has_changed(file)).count() > 0
    }

    /// Retries policies that failed to load, with increasing delays.
    fn retry_unavailable(&mut self) {
        let is_time = self.retry_at.is_some_and(|at| at <= Instant::now());
        if is_time && self.pending_load.is_none() {
            self.retry_at = None;
            self.pending_load = Some(self.loader.start_load(self.spec.clone(), LoadReason::Unavailable));
        }
    }

    /// Reads the configuration and starts to load its policies. The previous ones stay in effect until all of it
    /// succeeds.
    fn reload(&mut self) {
        (self.hooks.on_reload)(true);
        // Before reading, so that a file saved in the meantime counts as changed.
        self.files_changed();
        let in_effect = self.collector.options();
        let read = self.config_source.as_mut().map(|configuration| (configuration.read)(in_effect));
        match read {
            Some(Err(why)) => self.reject_reload(&why),
            Some(Ok(reloaded)) => {
                let ReloadedConfig { spec, collector, needs_restart } = reloaded;
                self.watched_components = component_files(&spec).collect();
                self.watched_components.iter().for_each(|file| self.watcher.track(file));
                let why = LoadReason::Reload { collector: collector.map(Box::new), needs_restart };
                self.pending_load = Some(self.loader.start_load(spec, why));
            }
            None => {
                let why = LoadReason::Reload { collector: None, needs_restart: Vec::new() };
                self.pending_load = Some(self.loader.start_load(self.spec.clone(), why));
            }
        }
    }

    async fn on_loaded(&mut self, loaded: Vec<Result<ConfiguredPolicy, String>>) {
        let Some((spec, why)) = self.pending_load.take().map(PendingLoad::into_parts) else { return };
        let (collector, needs_restart) = match why {
            LoadReason::Unavailable => {
                self.fill_unavailable_slots(loaded).await;
                return self.update_metric_requirements();
            }
            LoadReason::Reload { collector, needs_restart } => (collector, needs_restart),
        };
        match self.validate_replacements(&spec, loaded).await {
            Err(why) => self.reject_reload(&why),
            Ok(replacements) => {
                if let Some(other) = collector {
                    self.collector = *other;
                }
                self.apply_replacements(replacements, spec);
                self.update_metric_requirements();
                self.finish_reload(needs_restart);
                self.tick(Trigger::Reload).await;
            }
        }
    }

    /// Fills unavailable slots with the policies that were loaded. The others are retried later.
    async fn fill_unavailable_slots(&mut self, loaded: Vec<Result<ConfiguredPolicy, String>>) {
        let mut failed = false;
        for (index, policy) in loaded.into_iter().enumerate() {
            let Some(name) =
                self.state.slots.get(index).filter(|slot| slot.is_unavailable()).map(|slot| slot.name().to_owned())
            else {
                continue;
            };
            let subject = format!("load {name}");
            let policy = match policy {
                // Restore its stored state; otherwise the policy would start from scratch.
                Ok(policy) => match self.shared.controller.restore_policy_state(&policy).await {
                    Ok((state, _)) => Ok((policy, state)),
                    Err(error) => Err(error.to_string()),
                },
                Err(why) => Err(why),
            };
            match policy {
                Ok((policy, state)) => {
                    if self.conditions.clear(&subject) {
                        tracing::info!(policy = name, "policy loaded after an earlier failure");
                    }
                    self.state.slots[index].load(policy, state);
                }
                Err(why) => {
                    failed = true;
                    if self.conditions.raise(&subject, &why) {
                        let pause = self.retry_delay.as_secs();
                        tracing::error!(policy = name, "failed to load the policy: {why}; retrying in {pause} s");
                    }
                    self.state.slots[index].mark_unavailable(&why);
                }
            }
        }
        if failed {
            self.retry_at = Some(Instant::now() + self.retry_delay);
            self.retry_delay = (self.retry_delay * 2).min(MAX_RETRY_DELAY);
        } else {
            self.retry_at = None;
            self.retry_delay = INITIAL_RETRY_DELAY;
        }
    }

    /// Returns the change to each slot, provided that all policies loaded and evaluate the last observation
    /// successfully.
    async fn validate_replacements(
        &mut self,
        spec: &ServiceSpec,
        loaded: Vec<Result<ConfiguredPolicy, String>>,
    ) -> Result<Vec<Replacement>, String> {
        let mut replacements = Vec::new();
        for (policy_spec, policy) in spec.policies.iter().zip(loaded) {
            let name = &policy_spec.name;
            let policy = policy.map_err(|why| format!("policy {name}: {why}"))?;
            let slot = self.state.slots.iter().position(|slot| slot.name() == *name);
            if let Some(index) = slot
                && self.state.slots[index].holds(&policy)
            {
                replacements.push(Replacement::Keep(index));
                continue;
            }
            let restored = self.shared.controller.restore_policy_state(&policy).await;
            let (state, _) = restored.map_err(|error| format!("policy {name}: {error}"))?;
            if let Some(observation) = &self.last_observation
                && let Some(why) = policy.evaluate(observation, &state).await.failure
            {
                return Err(format!("policy {name} failed to evaluate the current fleet: {why}"));
            }
            replacements.push(Replacement::Replace { slot, policy: Box::new(policy), state });
        }
        Ok(replacements)
    }

    fn apply_replacements(&mut self, replacements: Vec<Replacement>, spec: ServiceSpec) {
        let mut before: Vec<Option<PolicySlot>> = std::mem::take(&mut self.state.slots).into_iter().map(Some).collect();
        let mut taken = |index: usize| before.get_mut(index).and_then(Option::take);
        for replacement in replacements {
            let slot = match replacement {
                Replacement::Keep(index) => taken(index),
                Replacement::Replace { slot, policy, state } => {
                    tracing::info!(policy = policy.name, digest = policy.policy.digest(), "replaced the policy");
                    Some(match slot.and_then(&mut taken) {
                        Some(mut slot) => {
                            slot.replace(*policy, state);
                            slot
                        }
                        None => PolicySlot::new(*policy, state),
                    })
                }
            };
            self.state.slots.extend(slot);
        }
        if spec.interval != self.spec.interval {
            self.next_tick = Instant::now() + spec.interval;
            self.shared.set_interval(spec.interval);
        }
        if spec.scaling != self.spec.scaling {
            tracing::info!("new scaling limits and rules are in effect");
        }
        self.spec = spec;
        self.watched_components.clear();
        (self.retry_delay, self.retry_at) = (INITIAL_RETRY_DELAY, None);
    }

    fn finish_reload(&mut self, needs_restart: Vec<String>) {
        reporter::report_reload(&self.shared.telemetry, "ok");
        if needs_restart.is_empty() {
            tracing::info!("configuration reloaded");
        } else {
            let keys = needs_restart.join(", ");
            tracing::warn!("configuration reloaded; restart doproxy to apply the changes in {keys}");
        }
        let at = self.shared.controller.now();
        self.shared
            .telemetry
            .update_status(|status| status.reload = Some(ReloadStatus { at, refused: None, needs_restart }));
        (self.hooks.on_reload)(false);
    }

    fn reject_reload(&mut self, why: &str) {
        reporter::report_reload(&self.shared.telemetry, "refused");
        tracing::error!("configuration reload failed; keeping the previous configuration: {why}");
        let reload =
            ReloadStatus { at: self.shared.controller.now(), refused: Some(why.to_owned()), needs_restart: Vec::new() };
        self.shared.telemetry.update_status(|status| status.reload = Some(reload));
        // The reload aborted a load that was in progress.
        if self.pending_load.is_none() && self.state.slots.iter().any(PolicySlot::is_unavailable) {
            self.retry_at.get_or_insert_with(|| Instant::now() + self.retry_delay);
        }
        (self.hooks.on_reload)(false);
    }

    /// Reads HAProxy's counters; reports whether they are current. Without a response it uses the previous counters, so
    /// that rates stay constant.
    async fn poll_balancer(&mut self) -> bool {
        let polled = timeout(STATS_TIMEOUT, self.shared.controller.stats()).await;
        let failure = match polled {
            Ok(Ok(stats)) => {
                let last = std::mem::replace(&mut self.sample, stats);
                self.prev_sample = if self.has_sample { last } else { self.sample.clone() };
                self.has_sample = true;
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no response within {STATS_TIMEOUT:?}")),
        };
        if failure.is_some() {
            let now = self.shared.controller.now();
            let passed = now.since(self.sample.at);
            self.prev_sample.at = self.prev_sample.at.plus(passed);
            self.sample.at = now;
        }
        match &failure {
            Some(why) if self.conditions.raise(HAPROXY_CONDITION, why) => {
                tracing::warn!(
                    "failed to read HAProxy's counters: {why}; using the previous ones and suspending scale-in"
                );
            }
            None if self.conditions.clear(HAPROXY_CONDITION) => {
                tracing::info!("HAProxy's counters are available again")
            }
            _ => {}
        }
        let is_current = failure.is_none();
        self.collector.collect(self.sample.at, is_current.then_some(&self.sample)).await;
        let up = f64::from(u8::from(is_current));
        self.shared.telemetry.record(|registry| registry.set(&families::HAPROXY_UP, &[], up));
        self.shared.telemetry.update_status(|status| status.haproxy_error = failure);
        is_current
    }

    /// Runs one tick. Errors do not prevent the next one.
    async fn tick(&mut self, trigger: Trigger) {
        let started = Instant::now();
        self.requested_at = None;
        let is_current = self.poll_balancer().await;
        let shared = Arc::clone(&self.shared);
        // A change by a concurrent manual command would not have been observed.
        let turn = shared.acquire().await;
        if matches!(turn, Err(InventoryError { kind: InventoryErrorKind::Locked { .. }, .. })) {
            // The reconciler notices soon when the command has finished.
            shared.wake.notify_one();
        }
        let metrics = self.collector.series(self.sample.at);
        let input = TickInput {
            prev_sample: &self.prev_sample,
            sample: &self.sample,
            metrics: &metrics,
            trigger,
            api_unreachable: shared.api_failure(),
            balancer_unreachable: !is_current,
        };
        let planned = shared.controller.plan(&mut self.state, &self.spec.scaling, &input).await;
        let mut tick = match planned {
            Ok(tick) => tick,
            Err(error) => return self.on_tick_failed(trigger, &error),
        };
        let blocked = match &turn {
            Err(error) if !tick.plan().is_empty() => Some(error.to_string()),
            _ => shared.controller.ensure_not_in_maintenance().await.err().map(|error| error.to_string()),
        };
        // Operations that failed to start are noted in the record and planned again at the next tick.
        let committed = match blocked.filter(|_| !tick.plan().is_empty()) {
            None => shared.controller.commit(&mut self.state, &mut tick).await,
            Some(why) => shared.controller.commit_without_plan(&mut self.state, &mut tick, why).await,
        };
        drop(turn);
        if let Err(error) = committed {
            tick.record.outcome.error.get_or_insert_with(|| error.to_string());
        }
        if !tick.record.outcome.operations.is_empty() {
            shared.wake.notify_one();
        }
        self.finish_tick(tick, started);
    }

    fn finish_tick(&mut self, tick: Tick, started: Instant) {
        let record = tick.record;
        (self.hooks.on_tick)(&record);
        if self.conditions.clear(TICK_CONDITION) {
            tracing::info!("ticks succeed again");
        }
        self.reporter.report_tick(&self.shared.telemetry, &record, started.elapsed());
        self.requested_at = next_check(&record).map(|after| started + after).filter(|check| *check < self.next_tick);
        self.report_status(&record);
        self.last_observation = Some(record.observation);
    }

    fn on_tick_failed(&mut self, trigger: Trigger, error: &ControllerError) {
        let why = error.to_string();
        reporter::report_failed_tick(&self.shared.telemetry, trigger);
        if self.conditions.raise(TICK_CONDITION, &why) {
            tracing::error!("tick failed: {why}");
        }
        self.shared.telemetry.update_status(|status| status.tick_error = Some(why));
    }

    fn report_status(&self, record: &TickRecord) {
        let policies = self.state.slots.iter().zip(&record.evaluations).map(|(slot, evaluation)| PolicyStatus {
            name: evaluation.policy.clone(),
            reference: evaluation.reference.clone(),
            digest: evaluation.digest.clone(),
            mode: evaluation.mode,
            answered_by: evaluation.answered_by,
            failing_since: slot.failing_since(),
            failures: slot.failures(),
            last_error: evaluation.failure.clone(),
        });
        let chosen = record.selected.and_then(|index| record.evaluations.get(index as usize));
        let last_tick = LastTick {
            tick: record.observation.tick,
            at: record.at,
            from: record.plan.from,
            to: record.plan.to,
            reason: chosen
                .map_or_else(|| "no policy is active".to_owned(), |evaluation| evaluation.decision.reason.clone()),
            restrictions: record.plan.restrictions.iter().map(|restriction| restriction.rule.clone()).collect(),
            error: record.outcome.error.clone(),
        };
        let stale = record.observation.metrics.iter().filter(|series| series.stale).map(|series| series.name.clone());
        let next = self
            .requested_at
            .map_or(self.next_tick, |check| check.min(self.next_tick))
            .saturating_duration_since(Instant::now());
        let next: Timestamp = self.shared.controller.now().plus(next);
        self.shared.telemetry.update_status(|status| {
            status.ticks += 1;
            status.last_tick = Some(last_tick);
            status.tick_error = None;
            status.next_tick = Some(next);
            status.policies = policies.collect();
            status.stale = stale.collect();
        });
    }
}

/// Returns the component files of a specification's policies.
fn component_files(spec: &ServiceSpec) -> impl Iterator<Item = PathBuf> {
    spec.policies.iter().filter_map(|policy| match &policy.plugin {
        Reference::File(path) => Some(path.clone()),
        _ => None,
    })
}

/// The change to a slot.
enum Replacement {
    /// Keeps the policy in that slot.
    Keep(usize),
    /// Installs another component or configuration, in the slot of the same name if there is one.
    Replace { slot: Option<usize>, policy: Box<ConfiguredPolicy>, state: Vec<u8> },
}

const HAPROXY_CONDITION: &str = "haproxy";
const TICK_CONDITION: &str = "tick";

/// Returns the earliest next evaluation that the active policies request.
fn next_check(record: &TickRecord) -> Option<Duration> {
    let active =
        record.evaluations.iter().filter(|evaluation| evaluation.mode == Mode::Active && evaluation.failure.is_none());
    let soonest = active.filter_map(|evaluation| evaluation.decision.next_check_ms).min()?;
    Some(Duration::from_millis(soonest).max(MIN_CHECK_INTERVAL))
}

/// Waits for the pending load; never returns if there is none.
async fn next_loaded(preparing: &mut Option<PendingLoad>) -> Vec<Result<ConfiguredPolicy, String>> {
    match preparing {
        Some(preparing) => preparing.wait().await,
        None => std::future::pending().await,
    }
}
