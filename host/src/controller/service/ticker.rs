//! Decides, tick by tick: looks, asks, writes down what is to be done, and wakes the mover.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::policies::{Loader, PolicyWish, Preparing, Why};
use super::tell::{self, Teller};
use super::trouble::Troubles;
use super::watch::Watched;
use super::{Configuration, Hooks, Reread, Shared, Wish};
use crate::balancer::{Balancer, Stats};
use crate::cloud::Cloud;
use crate::controller::decide::{ConfiguredPolicy, Missing, Seat};
use crate::controller::{ControllerError, Mind, Seen, Tick};
use crate::inventory::Inventory;
use crate::inventory::sqlite::InventoryError;
use crate::metrics::{self, Collector, Needs, StatsAt};
use crate::model::{Mode, Observation, TickRecord, Timestamp, Trigger};
use crate::plugin::Reference;
use crate::telemetry::families;
use crate::telemetry::status::{LastTick, PolicyStatus, ReloadStatus};

/// Rates need two looks: the first tick comes this long after the first look, at the latest after an interval.
const FIRST_TICK_AFTER: Duration = Duration::from_secs(5);
/// The soonest that a policy may ask to be asked again.
const SOONEST_CHECK: Duration = Duration::from_secs(1);
/// HAProxy answers at once or not in time for this tick.
const LOOK_TAKES_AT_MOST: Duration = Duration::from_secs(2);
/// Beyond the time until the next tick, a ticker that is quiet for longer is stuck. A tick waits for no network.
const TICK_TAKES_AT_MOST: Duration = Duration::from_mins(1);
/// How long policies may take to load before the loop begins without them.
const START_WAITS_FOR_POLICIES: Duration = Duration::from_secs(10);
/// How long after a policy could not be loaded that is tried again; it doubles up to [`LONGEST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LONGEST_RETRY: Duration = Duration::from_mins(5);
/// The loop that health speaks of.
const NAME: &str = "ticker";

/// What the ticker remembers from tick to tick.
pub(super) struct Ticker<C, B, I> {
    shared: Arc<Shared<C, B, I>>,
    loader: Loader,
    collector: Collector,
    wish: Wish,
    configuration: Option<Configuration>,
    hooks: Hooks,
    mind: Mind,
    /// HAProxy's counters at the last two looks that it answered.
    before: StatsAt,
    now: StatsAt,
    /// Whether HAProxy ever answered.
    looked: bool,
    /// What was seen at the last tick.
    observation: Option<Observation>,
    watched: Watched,
    /// Components of the configuration that was read last and is not taken, so that they are watched as well.
    wanted: Vec<PathBuf>,
    preparing: Option<Preparing>,
    retry: Duration,
    retry_at: Option<Instant>,
    due: Instant,
    /// Sooner than that, since a policy asked for it.
    check: Option<Instant>,
    teller: Teller,
    troubles: Troubles,
}

impl<C, B, I> fmt::Debug for Ticker<C, B, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticker").field("wish", &self.wish).finish_non_exhaustive()
    }
}

impl<C: Cloud, B: Balancer, I: Inventory> Ticker<C, B, I> {
    pub(super) async fn start(
        shared: Arc<Shared<C, B, I>>,
        loader: Loader,
        collector: Collector,
        wish: Wish,
        configuration: Option<Configuration>,
        hooks: Hooks,
    ) -> Result<Self, ControllerError> {
        let controller = &shared.controller;
        let mut mind = controller.mind(Vec::new()).await?;
        let size = controller.load().await?.droplets.iter().filter(|droplet| droplet.phase.counts()).count();
        let now = StatsAt { at: controller.now(), stats: Stats::default() };
        mind.memory.begin(now.at, u32::try_from(size).unwrap_or(u32::MAX));
        shared.telemetry.tell(|status| status.started_at = now.at);
        let due = Instant::now() + FIRST_TICK_AFTER.min(wish.interval);
        let mut ticker = Self {
            shared,
            loader,
            collector,
            wish,
            configuration,
            hooks,
            mind,
            before: now.clone(),
            now,
            looked: false,
            observation: None,
            watched: Watched::default(),
            wanted: Vec::new(),
            preparing: None,
            retry: FIRST_RETRY,
            retry_at: None,
            due,
            check: None,
            teller: Teller::default(),
            troubles: Troubles::default(),
        };
        // Before they are loaded: what is saved meanwhile has changed.
        ticker.has_changed();
        ticker.begin_with_policies().await?;
        ticker.tell_needs();
        ticker.look().await;
        Ok(ticker)
    }

    /// Every policy has its place from the beginning; who cannot be loaded in time is missing in it.
    async fn begin_with_policies(&mut self) -> Result<(), ControllerError> {
        for wish in self.wish.policies.clone() {
            let (seat, ticks) = self.missing(&wish, "it is still being loaded").await?;
            self.mind.tick = self.mind.tick.max(ticks);
            self.mind.seats.push(seat);
        }
        if self.wish.policies.is_empty() {
            return Ok(());
        }
        let mut preparing = self.loader.prepare(self.wish.clone(), Why::Missing);
        if let Ok(loaded) = timeout(START_WAITS_FOR_POLICIES, preparing.done()).await {
            self.fill_empty_seats(loaded).await;
        } else {
            self.preparing = Some(preparing);
        }
        Ok(())
    }

    /// What the policies need is kept at hand.
    fn tell_needs(&mut self) {
        let policies = self.mind.seats.iter().filter_map(Seat::policy);
        let needs = Needs::of(policies.flat_map(|policy| &policy.policy.manifest().metrics));
        self.collector.set_needs(needs, self.shared.controller.now());
        for policy in self.mind.seats.iter().filter_map(Seat::policy) {
            for unmet in metrics::unmet(self.collector.options(), &policy.name, &policy.policy.manifest().metrics) {
                tracing::warn!("{unmet}");
            }
        }
    }

    /// A place for a policy that is not there, with what it remembered and with its last good component.
    async fn missing(&mut self, wish: &PolicyWish, why: &str) -> Result<(Seat, u64), ControllerError> {
        let kept = self.shared.controller.kept(&wish.name).await?;
        let last_good = self.loader.last_good(wish, &kept.policy).await;
        let missing = Missing {
            name: wish.name.clone(),
            mode: wish.mode,
            reference: wish.plugin.to_string(),
            config: wish.config.clone(),
            identity: kept.policy,
            why: why.to_owned(),
        };
        let mut seat = Seat::missing(missing, kept.state.clone());
        if let Some(policy) = last_good {
            seat.fall_back_on(policy, kept.state);
        }
        Ok((seat, kept.ticks))
    }

    /// Ticks until the service is stopped.
    pub(super) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            let due = self.check.map_or(self.due, |check| check.min(self.due));
            let quiet = due.saturating_duration_since(Instant::now());
            shared.telemetry.health().beat(NAME, quiet + TICK_TAKES_AT_MOST);
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => return,
                loaded = done(&mut self.preparing) => self.prepared(loaded).await,
                () = shared.reload.notified() => self.reload(),
                () = sleep_until(due) => self.tick_when_due().await,
            }
        }
    }

    async fn tick_when_due(&mut self) {
        let is_interval = Instant::now() >= self.due;
        if is_interval {
            // Ticks that were missed are not made up for.
            let late = self.due.elapsed();
            let interval = self.wish.interval.max(SOONEST_CHECK);
            let skipped = u32::try_from(late.as_nanos() / interval.as_nanos().max(1)).unwrap_or(u32::MAX);
            self.due += interval.saturating_mul(skipped.saturating_add(1));
            if self.has_changed() {
                self.reload();
            }
            self.retry_missing();
        }
        self.tick(if is_interval { Trigger::Interval } else { Trigger::NextCheck }).await;
    }

    /// Whether the configuration or a component is another than when this was asked last.
    fn has_changed(&mut self) -> bool {
        let components = components(&self.wish).chain(self.wanted.iter().cloned());
        let files: BTreeSet<_> = self.configuration.iter().map(|one| one.file.clone()).chain(components).collect();
        self.watched.retain(|file| files.contains(file));
        // Each is looked at, so that none has changed a second time.
        files.iter().filter(|file| self.watched.changed(file)).count() > 0
    }

    /// Policies that could not be loaded are tried again, less and less often.
    fn retry_missing(&mut self) {
        let is_time = self.retry_at.is_some_and(|at| at <= Instant::now());
        if is_time && self.preparing.is_none() {
            self.retry_at = None;
            self.preparing = Some(self.loader.prepare(self.wish.clone(), Why::Missing));
        }
    }

    /// Reads the configuration again and begins to load what it names. What is there stays until all of that works.
    fn reload(&mut self) {
        (self.hooks.on_reload)(true);
        // Before they are read: what is saved meanwhile has changed.
        self.has_changed();
        let in_effect = self.collector.options();
        let read = self.configuration.as_mut().map(|configuration| (configuration.read)(in_effect));
        match read {
            Some(Err(why)) => self.refuse_reload(&why),
            Some(Ok(reread)) => {
                let Reread { wish, collector, needs_restart } = reread;
                self.wanted = components(&wish).collect();
                self.wanted.iter().for_each(|file| self.watched.begin(file));
                let why = Why::Reload { collector: collector.map(Box::new), needs_restart };
                self.preparing = Some(self.loader.prepare(wish, why));
            }
            None => {
                let why = Why::Reload { collector: None, needs_restart: Vec::new() };
                self.preparing = Some(self.loader.prepare(self.wish.clone(), why));
            }
        }
    }

    async fn prepared(&mut self, loaded: Vec<Result<ConfiguredPolicy, String>>) {
        let Some((wish, why)) = self.preparing.take().map(Preparing::into_parts) else { return };
        let (collector, needs_restart) = match why {
            Why::Missing => {
                self.fill_empty_seats(loaded).await;
                return self.tell_needs();
            }
            Why::Reload { collector, needs_restart } => (collector, needs_restart),
        };
        match self.replacements(&wish, loaded).await {
            Err(why) => self.refuse_reload(&why),
            Ok(replacements) => {
                if let Some(other) = collector {
                    self.collector = *other;
                }
                self.replace(replacements, wish);
                self.tell_needs();
                self.finish_reload(needs_restart);
                self.tick(Trigger::Reload).await;
            }
        }
    }

    /// Puts who was loaded where nobody is yet. Who was not is tried again later.
    async fn fill_empty_seats(&mut self, loaded: Vec<Result<ConfiguredPolicy, String>>) {
        let mut failed = false;
        for (index, policy) in loaded.into_iter().enumerate() {
            let Some(name) =
                self.mind.seats.get(index).filter(|seat| seat.is_missing()).map(|seat| seat.name().to_owned())
            else {
                continue;
            };
            let subject = format!("load {name}");
            let policy = match policy {
                // What it remembers is read again: without that it would begin from nothing.
                Ok(policy) => match self.shared.controller.remembered(&policy).await {
                    Ok((state, _)) => Ok((policy, state)),
                    Err(error) => Err(error.to_string()),
                },
                Err(why) => Err(why),
            };
            match policy {
                Ok((policy, state)) => {
                    if self.troubles.ends(&subject) {
                        tracing::info!(policy = name, "the policy could be loaded after all");
                    }
                    self.mind.seats[index].take(policy, state);
                }
                Err(why) => {
                    failed = true;
                    if self.troubles.begins(&subject, &why) {
                        let pause = self.retry.as_secs();
                        tracing::error!(policy = name, "cannot load the policy: {why}; trying again in {pause} s");
                    }
                    self.mind.seats[index].still_missing(&why);
                }
            }
        }
        if failed {
            self.retry_at = Some(Instant::now() + self.retry);
            self.retry = (self.retry * 2).min(LONGEST_RETRY);
        } else {
            self.retry_at = None;
            self.retry = FIRST_RETRY;
        }
    }

    /// Who takes which place, if all that were loaded also answer about what was seen last.
    async fn replacements(
        &mut self,
        wish: &Wish,
        loaded: Vec<Result<ConfiguredPolicy, String>>,
    ) -> Result<Vec<Replacement>, String> {
        let mut replacements = Vec::new();
        for (wanted, policy) in wish.policies.iter().zip(loaded) {
            let name = &wanted.name;
            let policy = policy.map_err(|why| format!("policy {name}: {why}"))?;
            let seat = self.mind.seats.iter().position(|seat| seat.name() == *name);
            if let Some(index) = seat
                && self.mind.seats[index].is(&policy)
            {
                replacements.push(Replacement::Same(index));
                continue;
            }
            let remembered = self.shared.controller.remembered(&policy).await;
            let (state, _) = remembered.map_err(|error| format!("policy {name}: {error}"))?;
            if let Some(observation) = &self.observation
                && let Some(why) = policy.ask(observation, &state).await.failure
            {
                return Err(format!("policy {name} does not answer about the fleet as it is: {why}"));
            }
            replacements.push(Replacement::Other { seat, policy: Box::new(policy), state });
        }
        Ok(replacements)
    }

    fn replace(&mut self, replacements: Vec<Replacement>, wish: Wish) {
        let mut before: Vec<Option<Seat>> = std::mem::take(&mut self.mind.seats).into_iter().map(Some).collect();
        let mut taken = |index: usize| before.get_mut(index).and_then(Option::take);
        for replacement in replacements {
            let seat = match replacement {
                Replacement::Same(index) => taken(index),
                Replacement::Other { seat, policy, state } => {
                    tracing::info!(
                        policy = policy.name,
                        digest = policy.policy.digest(),
                        "another policy decides from now on"
                    );
                    Some(match seat.and_then(&mut taken) {
                        Some(mut seat) => {
                            seat.replace(*policy, state);
                            seat
                        }
                        None => Seat::new(*policy, state),
                    })
                }
            };
            self.mind.seats.extend(seat);
        }
        if wish.interval != self.wish.interval {
            self.due = Instant::now() + wish.interval;
            self.shared.set_interval(wish.interval);
        }
        if wish.bounds != self.wish.bounds {
            tracing::info!("the bounds and rules of the configuration hold from now on");
        }
        self.wish = wish;
        self.wanted.clear();
        (self.retry, self.retry_at) = (FIRST_RETRY, None);
    }

    fn finish_reload(&mut self, needs_restart: Vec<String>) {
        tell::reload(&self.shared.telemetry, "ok");
        if needs_restart.is_empty() {
            tracing::info!("loaded the configuration anew");
        } else {
            let keys = needs_restart.join(", ");
            tracing::warn!(
                "loaded the configuration anew; what changed in {keys} takes effect when doproxy is restarted"
            );
        }
        let at = self.shared.controller.now();
        self.shared.telemetry.tell(|status| status.reload = Some(ReloadStatus { at, refused: None, needs_restart }));
        (self.hooks.on_reload)(false);
    }

    fn refuse_reload(&mut self, why: &str) {
        tell::reload(&self.shared.telemetry, "refused");
        tracing::error!("not loaded anew, what was there stays: {why}");
        let reload =
            ReloadStatus { at: self.shared.controller.now(), refused: Some(why.to_owned()), needs_restart: Vec::new() };
        self.shared.telemetry.tell(|status| status.reload = Some(reload));
        // Policies that were being loaded meanwhile are not any more.
        if self.preparing.is_none() && self.mind.seats.iter().any(Seat::is_missing) {
            self.retry_at.get_or_insert_with(|| Instant::now() + self.retry);
        }
        (self.hooks.on_reload)(false);
    }

    /// Reads HAProxy's counters; whether they are current. Without an answer those of before stand in, so that rates stay
    /// what they were.
    async fn look(&mut self) -> bool {
        let looked = timeout(LOOK_TAKES_AT_MOST, self.shared.controller.stats()).await;
        let failure = match looked {
            Ok(Ok(stats)) => {
                let last = std::mem::replace(&mut self.now, stats);
                self.before = if self.looked { last } else { self.now.clone() };
                self.looked = true;
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {LOOK_TAKES_AT_MOST:?}")),
        };
        if failure.is_some() {
            let now = self.shared.controller.now();
            let passed = now.since(self.now.at);
            self.before.at = self.before.at.plus(passed);
            self.now.at = now;
        }
        match &failure {
            Some(why) if self.troubles.begins(HAPROXY, why) => {
                tracing::warn!(
                    "HAProxy's counters cannot be read: {why}; going on with those of before, and no droplet goes"
                );
            }
            None if self.troubles.ends(HAPROXY) => tracing::info!("HAProxy's counters can be read again"),
            _ => {}
        }
        let is_current = failure.is_none();
        self.collector.collect(self.now.at, is_current.then_some(&self.now)).await;
        let up = f64::from(u8::from(is_current));
        self.shared.telemetry.count(|registry| registry.set(&families::HAPROXY_UP, &[], up));
        self.shared.telemetry.tell(|status| status.haproxy_failure = failure);
        is_current
    }

    /// One tick. Whatever goes wrong in it, the next one comes.
    async fn tick(&mut self, trigger: Trigger) {
        let started = Instant::now();
        self.check = None;
        let is_current = self.look().await;
        let shared = Arc::clone(&self.shared);
        // What a command by hand changes meanwhile would not have been seen.
        let turn = shared.take_turn().await;
        if matches!(turn, Err(InventoryError::Locked { .. })) {
            // It sees soon when that is over.
            shared.wake.notify_one();
        }
        let metrics = self.collector.series(self.now.at);
        let seen = Seen {
            before: &self.before,
            now: &self.now,
            metrics: &metrics,
            trigger,
            api_unreachable: shared.api_failure(),
            stale: !is_current,
        };
        let planned = shared.controller.plan(&mut self.mind, &self.wish.bounds, &seen).await;
        let mut tick = match planned {
            Ok(tick) => tick,
            Err(error) => return self.failed(trigger, &error),
        };
        let hold_back = match &turn {
            Err(error) if !tick.plan().is_empty() => Some(error.to_string()),
            _ => shared.controller.refuse_when_frozen().await.err().map(|error| error.to_string()),
        };
        // What could not be begun stands in the record, and is planned anew at the next tick.
        let committed = match hold_back.filter(|_| !tick.plan().is_empty()) {
            None => shared.controller.commit(&mut self.mind, &mut tick).await,
            Some(why) => shared.controller.hold_back(&mut self.mind, &mut tick, why).await,
        };
        drop(turn);
        if let Err(error) = committed {
            tick.record.outcome.error.get_or_insert_with(|| error.to_string());
        }
        if !tick.record.outcome.operations.is_empty() {
            shared.wake.notify_one();
        }
        self.finish(tick, started);
    }

    fn finish(&mut self, tick: Tick, started: Instant) {
        let record = tick.record;
        (self.hooks.on_tick)(&record);
        if self.troubles.ends(TICK) {
            tracing::info!("ticks come to a plan again");
        }
        self.teller.tick(&self.shared.telemetry, &record, started.elapsed());
        self.check = next_check(&record).map(|after| started + after).filter(|check| *check < self.due);
        self.tell_status(&record);
        self.observation = Some(record.observation);
    }

    fn failed(&mut self, trigger: Trigger, error: &ControllerError) {
        let why = error.to_string();
        tell::failed_tick(&self.shared.telemetry, trigger);
        if self.troubles.begins(TICK, &why) {
            tracing::error!("a tick came to no plan: {why}");
        }
        self.shared.telemetry.tell(|status| status.tick_failure = Some(why));
    }

    fn tell_status(&self, record: &TickRecord) {
        let policies = self.mind.seats.iter().zip(&record.answers).map(|(seat, answer)| PolicyStatus {
            name: answer.policy.clone(),
            reference: answer.reference.clone(),
            digest: answer.digest.clone(),
            mode: answer.mode,
            rung: answer.rung,
            failing_since: seat.failing_since(),
            failures: seat.failures(),
            failure: answer.failure.clone(),
        });
        let chosen = record.chosen.and_then(|index| record.answers.get(index as usize));
        let last_tick = LastTick {
            tick: record.observation.tick,
            at: record.at,
            from: record.plan.from,
            to: record.plan.to,
            reason: chosen.map_or_else(|| "no policy is active".to_owned(), |answer| answer.decision.reason.clone()),
            cuts: record.plan.cuts.iter().map(|cut| cut.rule.clone()).collect(),
            error: record.outcome.error.clone(),
        };
        let stale = record.observation.metrics.iter().filter(|series| series.stale).map(|series| series.name.clone());
        let next = self.check.map_or(self.due, |check| check.min(self.due)).saturating_duration_since(Instant::now());
        let next: Timestamp = self.shared.controller.now().plus(next);
        self.shared.telemetry.tell(|status| {
            status.ticks += 1;
            status.last_tick = Some(last_tick);
            status.tick_failure = None;
            status.next_tick = Some(next);
            status.policies = policies.collect();
            status.stale = stale.collect();
        });
    }
}

/// The files that the policies of a wish are.
fn components(wish: &Wish) -> impl Iterator<Item = PathBuf> {
    wish.policies.iter().filter_map(|policy| match &policy.plugin {
        Reference::File(path) => Some(path.clone()),
        _ => None,
    })
}

/// Who takes a place.
enum Replacement {
    /// Who is in that seat.
    Same(usize),
    /// Another component or configuration, in the seat of the same name where there is one.
    Other { seat: Option<usize>, policy: Box<ConfiguredPolicy>, state: Vec<u8> },
}

const HAPROXY: &str = "haproxy";
const TICK: &str = "tick";

/// When the soonest of the active policies wants to be asked again.
fn next_check(record: &TickRecord) -> Option<Duration> {
    let active = record.answers.iter().filter(|answer| answer.mode == Mode::Active && answer.failure.is_none());
    let soonest = active.filter_map(|answer| answer.decision.next_check_ms).min()?;
    Some(Duration::from_millis(soonest).max(SOONEST_CHECK))
}

/// What is being loaded, once it is; never where nothing is.
async fn done(preparing: &mut Option<Preparing>) -> Vec<Result<ConfiguredPolicy, String>> {
    match preparing {
        Some(preparing) => preparing.done().await,
        None => std::future::pending().await,
    }
}
